/** Puts a message back into the composer once the widget has given up sending it: the widget discards the text. */
import type { SentMessage } from "./api";
import { textOf } from "./problem";

/** The widget repeats a request that failed with 5xx, at most 10 s after the last attempt (June 2026). */
const REPEAT_MS = 12_000;

/** Returns a message as the parameters of the element's `sendUserMessage` and `setComposerValue`. */
export function parametersOf({ content, ...rest }: SentMessage) {
  return content.some(({ type }) => type === "input_tag") ? { content, ...rest } : { text: textOf({ content, ...rest }), ...rest };
}

export class Undelivered {
  private message: SentMessage | null = null;
  private restored: SentMessage | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly restore: (message: SentMessage) => void;
  private readonly clear: () => void;

  /** `restore` puts a message into the composer, `clear` empties the composer. */
  constructor(restore: (message: SentMessage) => void, clear: () => void) {
    this.restore = restore;
    this.clear = clear;
  }

  /** Call after each failed attempt; `isFinal` if the widget will not repeat it. */
  failed(message: SentMessage, isFinal: boolean): void {
    clearTimeout(this.timer);
    this.message = message;
    if (isFinal) this.giveBack();
    else this.timer = setTimeout(() => this.giveBack(), REPEAT_MS);
  }

  /** Call when a message was accepted; a restored one that arrives after all leaves the composer. */
  delivered(message: SentMessage): void {
    clearTimeout(this.timer);
    this.message = null;
    if (this.restored && JSON.stringify(this.restored) === JSON.stringify(message)) this.clear();
    this.restored = null;
  }

  /** Call when the widget has stopped waiting for an answer: it has given up. */
  ended(): void {
    if (this.message) this.giveBack();
  }

  private giveBack(): void {
    clearTimeout(this.timer);
    const { message } = this;
    this.message = null;
    this.restored = message;
    if (message) this.restore(message);
  }
}
