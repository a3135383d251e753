/**
 * The layout of the element: header, thread, composer from top to bottom; the history and toasts lie above them. The
 * element is a size container: parts ask for its width with `@container (inline-size …)`, not for that of the window.
 */
import { css } from "lit";

export const frameSheet = css`
  :host { display: block; inline-size: 100%; block-size: 100%; min-block-size: 0; }
  :host([hidden]) { display: none; }
  /* The page may give the element any display and position: the layout is inside. */
  .ck-frame {
    display: flex; flex-direction: column; position: relative; isolation: isolate;
    block-size: 100%; min-block-size: inherit; overflow: hidden; overflow: clip; container-type: inline-size; border-radius: inherit;
  }
  .ck-main { position: relative; flex: 1; min-block-size: 0; display: flex; flex-direction: column; }
  .ck-main > ck-thread { flex: 1; min-block-size: 0; }
  @container (inline-size >= 600px) {
    .ck-main, ck-header, ck-composer, ck-toasts { --ck-gutter: 24px; }
  }
`;
