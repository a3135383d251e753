/** The look: options of the theme as custom properties of the element. */
import type { ColorScheme, ThemeOption } from "@openai/chatkit";
import { css } from "lit";

export const themeSheet = css`
  :host {
    --ck-bg: #fff; --ck-fg: #0d0d0d; --ck-muted: #5d5d5d; --ck-border: #0000001a; --ck-surface: #f4f4f4; --ck-hover: #0000000d;
    --ck-accent: #0d0d0d; --ck-on-accent: #fff;
    --ck-danger: #b3261e; --ck-warning: #8a5a00; --ck-success: #146c2e; --ck-info: #0b57d0; --ck-discovery: #6b3fa0;
    --ck-radius: 10px; --ck-radius-lg: 16px; --ck-radius-full: 999px;
    --ck-space: 4px; --ck-size: 16px;
    --ck-font: system-ui, sans-serif; --ck-mono: ui-monospace, monospace;
    background: var(--ck-bg); color: var(--ck-fg); font: var(--ck-size) / 1.5 var(--ck-font);
  }
`;

export function applyTheme(element: HTMLElement, theme: ColorScheme | ThemeOption | undefined): void {
  element.dataset.scheme = (typeof theme === "string" ? theme : theme?.colorScheme) ?? "light";
}
