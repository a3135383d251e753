/** `<ck-quote>`: the text that the message replies to. Loaded with the first quote. */
import { css, html } from "lit";

import { icon } from "../icons/core";
import { Watch } from "../observable";
import { define, Part } from "../part";

class Quote extends Part {
  static override sheet = css`
    ck-quote {
      display: flex; align-items: start; gap: calc(2 * var(--ck-space)); padding: calc(1.5 * var(--ck-space)); padding-inline-start: calc(3 * var(--ck-space));
      border-radius: var(--ck-radius-lg); background: var(--ck-surface); color: var(--ck-muted); font-size: var(--ck-size-sm); line-height: 1.45; cursor: default;
      > svg { flex: none; inline-size: 18px; block-size: 18px; margin-block-start: 4px; &:dir(rtl) { scale: -1 1; } }
      > p { flex: 1; margin: 0; margin-block: 3px; min-inline-size: 0; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; overflow-wrap: anywhere; }
    }
  `;
  private readonly watch = new Watch(this, null);

  override willUpdate() {
    this.watch.watch(this.chat.draft);
  }

  override render() {
    const { draft, strings } = this.chat;
    return html`${icon("reply")}
      <p dir="auto">${draft.quote}</p>
      <button type="button" class="ck-icon-button small" aria-label=${strings.removeQuote} @click=${() => draft.set({ reply: "" })}>${icon("close")}</button>`;
  }
}

define("ck-quote", Quote);
