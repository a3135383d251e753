/** Short messages that leave by themselves, except while the user points at them or has focused them. */
import { css, html } from "lit";
import { repeat } from "lit/directives/repeat.js";

import type { Toast } from "../chat/chat";
import { icon } from "../icons/core";
import { Watch } from "../observable";
import { define, Part } from "../part";

const ICONS = { info: "info", warning: "warning", danger: "alert" } as const;
const SHOWN_MS = 6_000;
/** Long texts take longer to read. */
const MS_PER_CHARACTER = 50;

class Toasts extends Part {
  static override sheet = css`
    ck-toasts {
      /* Below the header: nothing covers the composer. */
      position: absolute; inset-block-start: calc(var(--ck-control) + var(--ck-space) * 5); inset-inline: 0; z-index: 30;
      display: flex; flex-direction: column; align-items: center; gap: 8px; padding-inline: var(--ck-gutter); pointer-events: none;
      > div { display: contents; }
      .toast {
        display: flex; align-items: flex-start; gap: calc(var(--ck-space) * 2.5); max-inline-size: min(34rem, 100%); padding: calc(var(--ck-space) * 2) calc(var(--ck-space) * 2) calc(var(--ck-space) * 2) calc(var(--ck-space) * 3.5);
        border: 1px solid var(--ck-border); border-radius: var(--ck-radius-lg); background: var(--ck-elevated); box-shadow: var(--ck-shadow);
        font-size: var(--ck-size-sm); line-height: 1.45; pointer-events: auto; animation: ck-toast var(--ck-slow) var(--ck-ease);
        > svg { inline-size: 18px; block-size: 18px; margin-block-start: 5px; color: var(--ck-info); }
        &.warning > svg { color: var(--ck-warning); }
        &.danger > svg { color: var(--ck-danger); }
        p { min-inline-size: 0; max-block-size: 9lh; margin-block: auto; padding-block: 3px; overflow: auto; overflow-wrap: anywhere; white-space: pre-line; }
      }
    }
    @keyframes ck-toast { from { opacity: 0; translate: 0 -8px; } }
  `;

  private readonly watch = new Watch(this, null);
  /** Null while the user holds the toast. */
  private readonly timers = new Map<Toast, ReturnType<typeof setTimeout> | null>();

  override willUpdate() {
    const { toasts } = this.chat;
    this.watch.watch(this.chat);
    for (const toast of toasts) if (!this.timers.has(toast)) this.release(toast);
    for (const toast of [...this.timers.keys()]) {
      if (toasts.includes(toast)) continue;
      this.hold(toast);
      this.timers.delete(toast);
    }
  }

  /** Both regions are there before their first message: screen readers announce changes only. */
  override render() {
    const { toasts } = this.chat;
    const urgent = toasts.filter(({ level }) => level === "danger");
    const others = toasts.filter(({ level }) => level !== "danger");
    return html`<div role="alert">${this.list(urgent)}</div>
      <div role="status">${this.list(others)}</div>`;
  }

  private list(toasts: Toast[]) {
    const { chat } = this;
    return repeat(
      toasts,
      (toast) => toast,
      (toast) => {
        const hold = () => this.hold(toast);
        const release = () => this.release(toast);
        return html`<div class="toast ${toast.level}" @pointerenter=${hold} @pointerleave=${release} @focusin=${hold} @focusout=${release}>
          ${icon(ICONS[toast.level])}
          <p>${toast.text}</p>
          <button type="button" class="ck-icon-button small" aria-label=${chat.strings.dismiss} @click=${() => chat.dismiss(toast)}>${icon("close")}</button>
        </div>`;
      },
    );
  }

  private release(toast: Toast): void {
    this.hold(toast);
    this.timers.set(toast, setTimeout(() => this.chat.dismiss(toast), SHOWN_MS + toast.text.length * MS_PER_CHARACTER));
  }

  private hold(toast: Toast): void {
    clearTimeout(this.timers.get(toast) ?? undefined);
    this.timers.set(toast, null);
  }
}

define("ck-toasts", Toasts);
