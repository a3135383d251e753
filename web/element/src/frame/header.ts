/** The page's own buttons, History, the title, and New chat. */
import type { HeaderOption } from "@openai/chatkit";
import { css, html, nothing } from "lit";

import { icon } from "../icons/core";
import { anyIcon } from "../icons/icon";
import { Watch } from "../observable";
import { define, Part } from "../part";
import { labelOf } from "./action-labels";

class Header extends Part {
  static override sheet = css`
    ck-header {
      display: flex; align-items: center; gap: 2px; flex: none; position: relative; z-index: 1;
      padding: calc(var(--ck-space) * 2) calc(var(--ck-gutter) - 8px);
      h2 { flex: 1; min-inline-size: 0; padding-inline: 6px; overflow: hidden; font-size: var(--ck-size); font-weight: 600; line-height: 1.4; text-overflow: ellipsis; white-space: nowrap; }
      &:dir(rtl) :is([data-icon*="left"], [data-icon*="right"], [data-icon^="back"]) { scale: -1 1; }
    }
  `;

  private readonly watch = new Watch(this, null);
  private readonly threadWatch = new Watch(this, null);

  override willUpdate() {
    this.watch.watch(this.chat);
    this.threadWatch.watch(this.chat.shown);
  }

  override render() {
    const { chat } = this;
    const { header = {}, history } = chat.options;
    const { strings } = chat;
    const title = header.title?.enabled === false ? "" : (header.title?.text ?? this.threadTitle() ?? "");
    return html`
      ${this.action(header.leftAction, "left")}
      ${history?.enabled === false
        ? nothing
        : html`<button type="button" class="ck-icon-button" data-history aria-haspopup="dialog" aria-expanded=${chat.isHistoryOpen} aria-label=${strings.history} title=${strings.history} @click=${() => chat.openHistory()}>
            ${icon("history")}
          </button>`}
      <h2 class="ck-name" title=${title || nothing} dir="auto">${title || html`<span class="ck-hidden">${strings.newChat}</span>`}</h2>
      <button type="button" class="ck-icon-button" data-new aria-label=${strings.newChat} title=${strings.newChat} @click=${this.startNew}>${icon("compose")}</button>
      ${this.action(header.rightAction, "right")}
    `;
  }

  /** Also of a thread that is still loading, if the history knows it. */
  private threadTitle(): string | null | undefined {
    const { loadingId, shown, threads } = this.chat;
    return loadingId ? threads.threads.find(({ id }) => id === loadingId)?.title : shown.thread?.title;
  }

  private action(action: HeaderOption["leftAction"], side: "left" | "right") {
    if (!action) return nothing;
    const label = labelOf(action.icon, this.chat.strings);
    return html`<button type="button" class="ck-icon-button" data-action=${side} aria-label=${label} title=${label} @click=${() => action.onClick()}>${anyIcon(action.icon)}</button>`;
  }

  private readonly startNew = () => {
    const { chat } = this;
    if (chat.shown.id || chat.loadingId) void chat.open(null);
    this.dispatchEvent(new CustomEvent("ck-compose", { bubbles: true }));
  };
}

define("ck-header", Header);
