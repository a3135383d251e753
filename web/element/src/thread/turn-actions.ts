/** One row per answer: copy, rate, answer again. */
import { css, html, nothing } from "lit";

import type { ShownItem } from "../chat/conversation";
import { icon } from "../icons/core";
import { define, Part } from "../part";
import { copyTextOf } from "./turns";

const COPIED_MS = 2_000;

class TurnActions extends Part {
  static override properties = {
    ...Part.properties,
    items: { attribute: false },
    turnKey: { attribute: false },
    rating: { attribute: false },
    isLast: { attribute: false },
    isCopied: { state: true },
  };
  static override sheet = css`
    ck-turn-actions {
      display: flex; gap: 2px; min-block-size: 28px; margin-block-start: calc(var(--ck-space) * -2.5); margin-inline-start: -6px;
      ck-turn:not([data-last]) > & { opacity: 0; transition: opacity var(--ck-fast); }
      ck-turn:is(:hover, :focus-within) > & { opacity: 1; }
      @media (hover: none) { ck-turn:not([data-last]) > & { opacity: 1; } }
    }
  `;

  declare items: ShownItem[];
  declare turnKey: string;
  declare rating: "positive" | "negative" | undefined;
  declare isLast: boolean;
  private declare isCopied: boolean;
  private timer: ReturnType<typeof setTimeout> | undefined;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.timer);
    this.isCopied = false;
  }

  override render() {
    const { chat, items, isLast, isCopied } = this;
    const { copyAnswer, copied, tryAgain } = chat.strings;
    const { feedback, retry } = chat.options.threadItemActions ?? {};
    const message = chat.shown.lastUserMessage;
    const label = isCopied ? copied : copyAnswer;
    return html`${copyTextOf(items)
        ? html`<button type="button" class="ck-icon-button small" aria-label=${label} title=${label} @click=${this.copy}>${icon(isCopied ? "check" : "copy")}</button>`
        : nothing}
      ${feedback === false ? nothing : html`${this.rate("positive")}${this.rate("negative")}`}
      ${retry && isLast && message && !chat.shown.failure
        ? html`<button type="button" class="ck-icon-button small" aria-label=${tryAgain} title=${tryAgain} @click=${({ detail }: MouseEvent) => this.retry(message.item.id, detail)}>${icon("reload")}</button>`
        : nothing}`;
  }

  private rate(kind: "positive" | "negative") {
    const { chat, items, turnKey, rating } = this;
    const label = kind === "positive" ? chat.strings.goodAnswer : chat.strings.badAnswer;
    const rate = () => rating !== kind && void chat.rate(items.map(({ item }) => item.id), kind, turnKey);
    return html`<button type="button" class="ck-icon-button small" aria-label=${label} title=${label} aria-pressed=${rating === kind} @click=${rate}>
      ${icon(kind === "positive" ? "thumbs-up" : "thumbs-down")}
    </button>`;
  }

  /** The row goes away: from the keyboard, one continues in the composer. */
  private retry(messageId: string, clicks: number): void {
    if (clicks === 0) this.dispatchEvent(new CustomEvent("ck-compose", { bubbles: true }));
    void this.chat.retry(messageId);
  }

  private readonly copy = async () => {
    try {
      await copyText(copyTextOf(this.items));
    } catch (error) {
      return this.chat.report(error as Error);
    }
    this.isCopied = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.isCopied = false;
    }, COPIED_MS);
  };
}

/** The clipboard of browsers needs a secure context; without one, a selected field is copied. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

define("ck-turn-actions", TurnActions);
