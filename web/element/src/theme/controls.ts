/** Controls that all parts share, by class. A part's own rules come later and may change details. */
import { css } from "lit";

export const controlsSheet = css`
  .ck-icon-button {
    display: inline-grid; place-items: center; flex: none; position: relative;
    inline-size: var(--ck-control); block-size: var(--ck-control); border-radius: var(--ck-radius-full); color: var(--ck-icon);
    transition: background var(--ck-fast), color var(--ck-fast);
    svg, ck-icon { inline-size: 20px; block-size: 20px; }
    &:hover:not(:disabled), &[aria-expanded="true"], &[aria-pressed="true"] { background: var(--ck-hover); color: var(--ck-fg); }
    &:active:not(:disabled) { background: var(--ck-pressed); }
    &:disabled { opacity: 0.45; }
    &.primary { background: var(--ck-accent); color: var(--ck-on-accent); }
    &.primary:hover:not(:disabled) { background: color-mix(in oklab, var(--ck-accent) 88%, var(--ck-bg)); color: var(--ck-on-accent); }
    &.small { inline-size: 28px; block-size: 28px; svg, ck-icon { inline-size: 16px; block-size: 16px; } }
  }

  .ck-button {
    display: inline-flex; align-items: center; justify-content: center; gap: calc(var(--ck-space) * 1.5); flex: none; max-inline-size: 100%;
    min-block-size: var(--ck-control); padding-inline: calc(var(--ck-space) * 3.5); border: 1px solid var(--ck-border); border-radius: var(--ck-radius-full);
    background: var(--ck-bg); font-size: var(--ck-size-sm); font-weight: 500; line-height: 1.3;
    transition: background var(--ck-fast), border-color var(--ck-fast);
    svg, ck-icon { inline-size: 16px; block-size: 16px; }
    &:hover:not(:disabled) { background: linear-gradient(var(--ck-hover), var(--ck-hover)) var(--ck-bg); }
    &:active:not(:disabled) { background: linear-gradient(var(--ck-pressed), var(--ck-pressed)) var(--ck-bg); }
    &:disabled { opacity: 0.5; }
    &.primary { border-color: transparent; background: var(--ck-accent); color: var(--ck-on-accent); }
    &.primary:hover:not(:disabled) { background: color-mix(in oklab, var(--ck-accent) 88%, var(--ck-bg)); }
    &.danger { border-color: transparent; background: var(--ck-danger-solid); color: var(--ck-on-danger); }
    &.danger:hover:not(:disabled) { background: color-mix(in oklab, var(--ck-danger-solid) 90%, var(--ck-fg)); }
    &.quiet { border-color: transparent; background: none; }
    &.quiet:hover:not(:disabled) { background: var(--ck-hover); }
    &.small { min-block-size: 28px; padding-inline: calc(var(--ck-space) * 2.5); font-size: var(--ck-size-xs); }
  }

  .ck-field {
    inline-size: 100%; min-block-size: var(--ck-control); padding: calc(var(--ck-space) * 1.5) calc(var(--ck-space) * 3);
    border: 1px solid var(--ck-border-strong); border-radius: var(--ck-radius); background: var(--ck-bg); color: var(--ck-fg);
    &::placeholder { color: var(--ck-muted); opacity: 1; }
    &:focus-visible { outline-offset: -1px; }
    &[aria-invalid="true"] { border-color: var(--ck-danger); }
  }

  /* A popup of rows: [role=menuitem], [role=option], or buttons with the class ck-row. */
  .ck-menu {
    min-inline-size: 12rem; max-inline-size: min(22rem, 100cqi - 16px); padding: calc(var(--ck-space) * 1.5); overflow: auto;
    border: 1px solid var(--ck-border); border-radius: calc(var(--ck-radius) + 4px); background: var(--ck-elevated); color: var(--ck-fg);
    box-shadow: var(--ck-shadow); font-size: var(--ck-size-sm); line-height: 1.4;
  }
  .ck-row {
    display: flex; align-items: center; gap: calc(var(--ck-space) * 2.5); inline-size: 100%; min-block-size: var(--ck-control);
    padding: calc(var(--ck-space) * 1.5) calc(var(--ck-space) * 2.5); border-radius: var(--ck-radius);
    svg, ck-icon { inline-size: 18px; block-size: 18px; color: var(--ck-icon); }
    &:hover:not(:disabled), &[aria-selected="true"], &:focus-visible { background: var(--ck-hover); }
    &:focus-visible { outline-offset: -2px; }
    &.danger, &.danger :is(svg, ck-icon) { color: var(--ck-danger); }
    &:disabled, &[aria-disabled="true"] { color: var(--ck-muted); }
  }

  /* Text with dir="auto" that names something: it begins where the element's own texts begin. */
  .ck-frame:dir(rtl) .ck-name:dir(ltr) { text-align: right; }
  .ck-frame:dir(ltr) .ck-name:dir(rtl) { text-align: left; }

  .ck-spinner {
    display: inline-block; flex: none; inline-size: 16px; block-size: 16px; border: 2px solid var(--ck-border); border-block-start-color: currentColor;
    border-radius: 50%; animation: ck-spin 0.8s linear infinite;
  }
  .ck-skeleton { display: block; border-radius: var(--ck-radius-sm); background: var(--ck-surface-strong); animation: ck-pulse 1.6s ease-in-out infinite; }
  @keyframes ck-spin { to { rotate: 1turn; } }
  @keyframes ck-pulse { 50% { opacity: 0.5; } }
  @media (forced-colors: active) {
    .ck-icon-button[aria-pressed="true"], .ck-icon-button[aria-expanded="true"], .ck-row[aria-selected="true"] { outline: 2px solid Highlight; outline-offset: -2px; }
    .ck-button.primary, .ck-button.danger, .ck-icon-button.primary { border: 1px solid ButtonBorder; forced-color-adjust: none; background: Highlight; color: HighlightText; }
  }
`;
