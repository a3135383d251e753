/**
 * The look: the page's theme as custom properties of the element. Colours are `light-dark(…)` pairs, so that a part with
 * its own `color-scheme` (a dark card in a light chat) has all colours of that scheme.
 */
import type { ColorOption, ColorScheme, ThemeOption, TypographyOption } from "@openai/chatkit";
import { css } from "lit";

import { type Colors, USUAL } from "./usual";

const SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Open Sans", "Helvetica Neue", Arial, sans-serif';
const MONO = 'ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "Liberation Mono", monospace';

/** Corners: small (tags, code), usual (menus' rows), large (cards, bubbles), extra large (composer), full (buttons). */
const RADII = {
  pill: { sm: 6, md: 10, lg: 18, xl: 28, full: 999 },
  round: { sm: 6, md: 10, lg: 14, xl: 18, full: 12 },
  soft: { sm: 4, md: 6, lg: 8, xl: 10, full: 6 },
  sharp: { sm: 0, md: 0, lg: 0, xl: 0, full: 0 },
} as const;

/** The unit of all spacing, and the height of buttons and fields. */
const DENSITIES = { compact: { space: 3.25, control: 32 }, normal: { space: 4, control: 36 }, spacious: { space: 5, control: 42 } } as const;

/** What forced colours (high contrast) leave of the palette. */
export const themeSheet = css`
  :host {
    background: var(--ck-bg); color: var(--ck-fg); accent-color: var(--ck-accent-text);
    font: var(--ck-size) / 1.55 var(--ck-font);
    letter-spacing: normal; word-spacing: normal; text-align: start; text-indent: 0; text-shadow: none; text-transform: none; white-space: normal; cursor: auto;
    -webkit-font-smoothing: antialiased; -webkit-text-size-adjust: 100%; -webkit-tap-highlight-color: transparent;
    --ck-size-xs: calc(var(--ck-size) * 0.75); --ck-size-sm: calc(var(--ck-size) * 0.875);
    --ck-size-lg: calc(var(--ck-size) * 1.125); --ck-size-xl: calc(var(--ck-size) * 1.5);
    --ck-shadow: 0 1px 2px var(--ck-shadow-color), 0 8px 24px -6px var(--ck-shadow-color);
    --ck-shadow-sm: 0 1px 3px var(--ck-shadow-color);
    --ck-fast: 120ms; --ck-slow: 220ms; --ck-ease: cubic-bezier(0.2, 0, 0, 1);
    --ck-column: 48rem; --ck-gutter: 16px;
  }
  *, *::before, *::after { box-sizing: border-box; }
  button, input, textarea, select { margin: 0; font: inherit; letter-spacing: inherit; color: inherit; }
  button { padding: 0; border: none; background: none; text-align: start; cursor: pointer; }
  :disabled, [aria-disabled="true"] { cursor: default; }
  h1, h2, h3, p, ol, ul, dl, dd, figure { margin: 0; padding: 0; }
  ol, ul { list-style: none; }
  svg { flex: none; }
  :focus { outline: none; }
  :focus-visible { outline: 2px solid var(--ck-focus); outline-offset: 2px; }
  ::selection { background: var(--ck-accent-soft); color: var(--ck-fg); }
  .ck-hidden { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  @media (prefers-reduced-motion: reduce) {
    :host { --ck-fast: 0.01ms; --ck-slow: 0.01ms; }
    *, *::before, *::after { animation-duration: 0.01ms !important; animation-iteration-count: 1 !important; transition-duration: 0.01ms !important; scroll-behavior: auto !important; }
  }
  @media (forced-colors: active) {
    :host {
      --ck-bg: Canvas !important; --ck-surface: Canvas !important; --ck-surface-strong: Canvas !important; --ck-elevated: Canvas !important;
      --ck-user: Canvas !important; --ck-accent-soft: Canvas !important; --ck-hover: transparent !important; --ck-pressed: transparent !important;
      --ck-fg: CanvasText !important; --ck-muted: CanvasText !important; --ck-on-user: CanvasText !important; --ck-icon: CanvasText !important;
      --ck-border: CanvasText !important; --ck-border-strong: ButtonBorder !important;
      --ck-accent: Highlight !important; --ck-on-accent: HighlightText !important; --ck-accent-text: LinkText !important; --ck-focus: Highlight !important;
    }
  }
`;

/** The properties of one element, in a style sheet of its own: a page's style attributes stay untouched. */
export class Theme {
  readonly sheet = new CSSStyleSheet();
  /** The page's colours are there. */
  ready = Promise.resolve();
  private readonly style: CSSStyleDeclaration;
  private turn = 0;
  private applied = "";

  constructor() {
    this.sheet.insertRule(":host {}");
    this.style = (this.sheet.cssRules[0] as CSSStyleRule).style;
  }

  apply(theme: ColorScheme | ThemeOption | null = null): void {
    const key = JSON.stringify(theme);
    if (key === this.applied) return; // pages set all options again for a change of any
    this.applied = key;
    const options: ThemeOption = typeof theme === "string" ? { colorScheme: theme } : (theme ?? {});
    const scheme = options.colorScheme ?? "light";
    this.style.setProperty("color-scheme", scheme, "important");
    this.ready = this.setColors(scheme, options.color);
    const radii = RADII[options.radius ?? "pill"] ?? RADII.pill;
    for (const [name, radius] of Object.entries(radii)) this.set(name === "md" ? "radius" : `radius-${name}`, `${radius}px`);
    const { space, control } = DENSITIES[options.density ?? "normal"] ?? DENSITIES.normal;
    this.set("space", `${space}px`);
    this.set("control", `${control}px`);
    this.setFonts(options.typography ?? {});
  }

  /** The calculation of a page's own colours is loaded on demand; until then, the last ones stay. */
  private async setColors(scheme: ColorScheme, color: ColorOption | undefined): Promise<void> {
    const turn = ++this.turn;
    if (!color || turn === 1) this.setPairs(USUAL);
    if (!color) return;
    const chosen = await import("./chosen").catch(() => null);
    if (chosen && turn === this.turn) this.setPairs(chosen.colorsOf(scheme, color));
  }

  private setPairs(colors: Colors): void {
    for (const [name, [light, dark]] of Object.entries(colors)) this.set(name, `light-dark(${light}, ${dark})`);
  }

  private setFonts({ baseSize = 16, fontSources = [], fontFamily, fontFamilyMono }: TypographyOption): void {
    if (fontSources.length) void import("./fonts").then(({ loadFonts }) => loadFonts(fontSources), () => {});
    this.set("size", `${baseSize}px`);
    this.set("font", fontFamily ? `${fontFamily}, ${SANS}` : SANS);
    this.set("mono", fontFamilyMono ? `${fontFamilyMono}, ${MONO}` : MONO);
  }

  private set(name: string, value: string): void {
    this.style.setProperty(`--ck-${name}`, value);
  }
}
