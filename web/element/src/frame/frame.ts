/** The layout of the element: header, thread, composer from top to bottom; the history and toasts lie above them. */
import { css } from "lit";

export const frameSheet = css`
  :host { display: flex; flex-direction: column; position: relative; min-height: 0; overflow: hidden; }
  :host([hidden]) { display: none; }
  main { flex: 1; min-height: 0; display: flex; flex-direction: column; }
`;
