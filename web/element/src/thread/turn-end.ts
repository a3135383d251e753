/** The end of the thread: what the assistant does now, notices, and why an answer is missing. */
import { css, html, nothing } from "lit";

import type { Conversation } from "../chat/conversation";
import { icon } from "../icons/core";
import { anyIcon } from "../icons/icon";
import "../markdown/markdown";
import { Watch } from "../observable";
import { define, Part } from "../part";
import type { NoticeEvent } from "../protocol/wire";

const LEVELS = {
  info: { icon: "info", label: "information" },
  warning: { icon: "warning", label: "warning" },
  danger: { icon: "alert", label: "problem" },
} as const;
const NONE: [] = [];

class TurnEnd extends Part {
  static override properties = { ...Part.properties, conversation: { attribute: false } };
  static override sheet = css`
    ck-turn-end {
      display: flex; flex-direction: column; gap: calc(var(--ck-space) * 3);
      .progress { display: flex; align-items: center; gap: calc(var(--ck-space) * 2); min-block-size: 1.6em; color: var(--ck-muted); svg, ck-icon { inline-size: 18px; block-size: 18px; } }
      .dots { display: inline-flex; gap: 5px; padding-block: 0.6em; span { inline-size: 7px; block-size: 7px; border-radius: 50%; background: var(--ck-muted); animation: ck-dot 1.2s ease-in-out infinite; } span:nth-child(2) { animation-delay: 0.15s; } span:nth-child(3) { animation-delay: 0.3s; } }
      .notice {
        --tone: var(--ck-info); display: grid; grid-template-columns: auto minmax(0, 1fr) auto; align-items: start; gap: 0 calc(var(--ck-space) * 2.5); padding: calc(var(--ck-space) * 3) calc(var(--ck-space) * 3.5);
        border: 1px solid color-mix(in oklab, var(--tone) 30%, transparent); border-radius: var(--ck-radius); background: color-mix(in oklab, var(--tone) 7%, var(--ck-bg)); font-size: var(--ck-size-sm); line-height: 1.5;
        & > svg { inline-size: 18px; block-size: 18px; margin-block-start: 2px; color: var(--tone); }
        strong { display: block; font-weight: 600; }
        ck-markdown { font-size: inherit; }
        .ck-button { margin-block: -3px; }
        @container (inline-size < 400px) { .ck-button { grid-column: 2; justify-self: start; margin-block: calc(var(--ck-space) * 2) 0; } }
      }
      .notice.warning { --tone: var(--ck-warning); }
      .notice.danger { --tone: var(--ck-danger); }
      .stopped { color: var(--ck-muted); font-size: var(--ck-size-sm); }
    }
    :is(ck-workflow, ck-turn-end) .shimmer {
      color: transparent; background: linear-gradient(90deg, var(--ck-muted) 35%, var(--ck-fg) 50%, var(--ck-muted) 65%) 100% 0 / 300% 100%; background-clip: text; animation: ck-shimmer 2.2s linear infinite;
    }
    @keyframes ck-shimmer { from { background-position: 100% 0; } to { background-position: 0 0; } }
    @media (prefers-reduced-motion: reduce), (forced-colors: active) {
      :is(ck-workflow, ck-turn-end) .shimmer { color: inherit; background: none; }
    }
    @keyframes ck-dot { 0%, 60%, 100% { opacity: 0.3; translate: 0 0; } 30% { opacity: 1; translate: 0 -3px; } }
  `;

  declare conversation: Conversation;
  private readonly watch = new Watch(this, null);

  override willUpdate(): void {
    this.watch.watch(this.conversation);
  }

  override render() {
    const { chat, conversation } = this;
    const { failure, notices, isResponding, isStopped } = conversation;
    return html`${isResponding && !isStopped ? this.progress() : nothing} ${notices.map((notice) => this.notice(notice))} ${failure ? this.failure() : nothing}
      ${isStopped && !isResponding ? html`<p class="stopped">${chat.strings.stoppedByYou}</p>` : nothing}`;
  }

  private progress() {
    const { progress, hasOpenItems } = this.conversation;
    if (progress) return html`<div class="progress">${progress.icon ? anyIcon(progress.icon) : nothing}<span class="shimmer">${progress.text}</span></div>`;
    if (hasOpenItems) return nothing;
    return html`<div class="dots" role="img" aria-label=${this.chat.strings.answering}><span></span><span></span><span></span></div>`;
  }

  private notice({ level, title, message }: NoticeEvent) {
    const { chat } = this;
    const { icon: name, label } = Object.hasOwn(LEVELS, level) ? LEVELS[level] : LEVELS.info;
    return html`<div class="notice ${level}" role="status">
      ${icon(name)}
      <div>
        <span class="ck-hidden">${chat.strings[label]}: </span>${title ? html`<strong>${title}</strong>` : nothing}
        <ck-markdown .chat=${chat} .text=${String(message ?? "")} .annotations=${NONE} .isOpen=${false}></ck-markdown>
      </div>
    </div>`;
  }

  private failure() {
    const { chat } = this;
    const { message, allowRetry, retries } = this.conversation.failure!;
    const canRetry = allowRetry && (retries !== "answer" || this.conversation.lastUserMessage);
    return html`<div class="notice danger" role="alert">
      ${icon("alert")}
      <div>${message}</div>
      ${canRetry ? html`<button type="button" class="ck-button small" @click=${this.retry}>${chat.strings.retry}</button>` : nothing}
    </div>`;
  }

  /** The button goes away: from the keyboard, one continues in the composer. */
  private readonly retry = ({ detail }: MouseEvent) => {
    if (detail === 0) this.dispatchEvent(new CustomEvent("ck-compose", { bubbles: true }));
    void this.chat.retryFailure();
  };
}

define("ck-turn-end", TurnEnd);
