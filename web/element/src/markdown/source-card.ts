/** What a citation says about its source: a card next to the chip, by pointer or keyboard. */
import { css, html, nothing } from "lit";

import { domainOf } from "../addresses";
import { define, Part } from "../part";
import type { Source } from "../protocol/wire";

const CLOSE_MS = 200;
const GAP = 6;

class SourceCard extends Part {
  static override properties = { ...Part.properties, source: { attribute: false } };
  static override sheet = css`
    ck-source-card {
      position: fixed; margin: 0; inset: auto; box-sizing: border-box; inline-size: max-content; max-inline-size: min(20rem, calc(100vw - 1rem));
      padding: calc(var(--ck-space) * 3) calc(var(--ck-space) * 3.5); overflow-wrap: anywhere;
      color: var(--ck-fg); background: var(--ck-bg); border: 1px solid var(--ck-border); border-radius: var(--ck-radius); box-shadow: 0 4px 16px #0002;
      font: 0.875em / 1.45 var(--ck-font);

      & p { margin: 0; }
      & .title { font-weight: 600; }
      & .text { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 4; overflow: hidden; }
      & .from { color: var(--ck-muted); font-size: 0.925em; }
      & p + p { margin-block-start: var(--ck-space); }
    }
  `;

  declare source: Source;
  private chip: HTMLElement | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.id = "ck-source-card";
    this.role = "tooltip";
    this.popover = "manual";
    this.addEventListener("pointerenter", () => clearTimeout(this.timer));
    this.addEventListener("pointerleave", this.closeSoon);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.close();
  }

  override render() {
    const { source } = this;
    const from = source.type === "url" ? domainOf(source.url) : source.type === "file" ? source.filename : source.label;
    return html`<p class="title">${source.title || from}</p>
      ${source.description ? html`<p class="text">${source.description}</p>` : nothing} ${from && from !== source.title ? html`<p class="from">${from}</p>` : nothing}`;
  }

  async show(chip: HTMLElement, source: Source): Promise<void> {
    clearTimeout(this.timer);
    if (this.chip === chip) return;
    this.close();
    this.chip = chip;
    this.source = source;
    chip.setAttribute("aria-describedby", this.id);
    chip.addEventListener("pointerleave", this.closeSoon);
    chip.addEventListener("blur", this.closeSoon);
    window.addEventListener("keydown", this.closeOnEscape, true);
    window.addEventListener("scroll", this.close, true);
    await this.updateComplete;
    if (this.chip !== chip || !chip.isConnected) return;
    this.showPopover();
    const anchor = chip.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this;
    const below = anchor.bottom + GAP;
    const top = below + height > window.innerHeight ? Math.max(GAP, anchor.top - GAP - height) : below;
    this.style.setProperty("left", `${Math.max(GAP, Math.min(anchor.left, window.innerWidth - width - GAP))}px`);
    this.style.setProperty("top", `${top}px`);
  }

  private readonly closeSoon = () => {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.close, CLOSE_MS);
  };

  private readonly closeOnEscape = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    this.close();
  };

  private readonly close = () => {
    const { chip } = this;
    this.chip = null;
    if (!chip) return;
    chip.removeAttribute("aria-describedby");
    chip.removeEventListener("pointerleave", this.closeSoon);
    chip.removeEventListener("blur", this.closeSoon);
    window.removeEventListener("keydown", this.closeOnEscape, true);
    window.removeEventListener("scroll", this.close, true);
    if (this.matches(":popover-open")) this.hidePopover();
  };
}

define("ck-source-card", SourceCard);

export function showSource(chip: HTMLElement, source: Source): void {
  const root = chip.getRootNode();
  if (!(root instanceof ShadowRoot)) return;
  const card = root.querySelector<SourceCard>("ck-source-card") ?? root.appendChild(document.createElement("ck-source-card") as SourceCard);
  void card.show(chip, source);
}
