/** Offers to quote what the user has selected in an answer. Loaded with the first selection, which it finds. */
import { css, html, nothing } from "lit";

import { icon } from "../icons/core";
import { define, Part } from "../part";
import { styled } from "../styled";
import { SELECTING, selectionNear } from "./selection";

const LONGEST_QUOTE = 2_000;

interface Selected {
  text: string;
  left: number;
  top: number;
}

class QuoteButton extends Part {
  static override properties = { ...Part.properties, selected: { state: true } };
  static override sheet = css`
    ck-quote-button button {
      position: absolute; z-index: 2; translate: -50% calc(-100% - 8px); background: var(--ck-elevated); box-shadow: var(--ck-shadow); animation: ck-rise var(--ck-fast) var(--ck-ease);
    }
  `;

  private declare selected: Selected | null;
  private listening = new AbortController();

  override connectedCallback(): void {
    super.connectedCallback();
    this.listening = new AbortController();
    const { signal } = this.listening;
    const root = this.getRootNode();
    for (const name of SELECTING) root.addEventListener(name, () => setTimeout(() => this.look()), { signal });
    document.addEventListener("selectionchange", () => this.selected && this.look(), { signal });
    this.parentElement?.addEventListener("scroll", () => this.hide(), { signal, capture: true, passive: true });
    this.look();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.listening.abort();
  }

  override render() {
    if (!this.selected) return nothing;
    const { left, top } = this.selected;
    // The pointer must not take the selection away.
    const keep = (event: Event) => event.preventDefault();
    return html`<button type="button" class="ck-button small" ${styled({ left: `${left}px`, top: `${top}px` })} @pointerdown=${keep} @mousedown=${keep} @click=${this.quote}>
      ${icon("quote")} ${this.chat.strings.quoteReply}
    </button>`;
  }

  private look(): void {
    if (this.isConnected) this.selected = this.read();
  }

  private hide(): void {
    if (this.selected) this.selected = null;
  }

  private read(): Selected | null {
    const selection = selectionNear(this);
    const text = selection?.toString().trim();
    if (!selection?.rangeCount || !text) return null;
    const range = selection.getRangeAt(0);
    const common = range.commonAncestorContainer;
    if (!(common instanceof Element ? common : common.parentElement)?.closest("ck-answer")) return null;
    const selected = range.getBoundingClientRect();
    const thread = this.parentElement!.getBoundingClientRect();
    const left = Math.min(Math.max(selected.left + selected.width / 2 - thread.left, 80), thread.width - 80);
    // Phones show a menu of their own above the selection.
    const isBelow = matchMedia("(pointer: coarse)").matches;
    return { text: text.slice(0, LONGEST_QUOTE), left, top: isBelow ? selected.bottom - thread.top + 52 : Math.max(selected.top - thread.top, 44) };
  }

  private readonly quote = () => {
    const { text } = this.selected!;
    selectionNear(this)?.removeAllRanges();
    this.selected = null;
    this.chat.draft.set({ reply: text });
    this.dispatchEvent(new CustomEvent("ck-compose", { bubbles: true }));
  };
}

define("ck-quote-button", QuoteButton);
