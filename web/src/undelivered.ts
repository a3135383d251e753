/** Puts a message back into the composer once OpenAI's element has given up sending it: that element discards the text. */
import type { Failure, SentMessage } from "./api";
import { textOf } from "./problem";

/** The widget repeats a request that failed with 5xx, at most 10 s after the last attempt (June 2026). */
const REPEAT_MS = 12_000;

/** Returns a message as the parameters of the element's `sendUserMessage` and `setComposerValue`. */
export function parametersOf({ content, ...rest }: SentMessage) {
  return content.some(({ type }) => type === "input_tag") ? { content, ...rest } : { text: textOf({ content, ...rest }), ...rest };
}

export class Undelivered {
  private last: { message: SentMessage; failure: Failure } | null = null;
  private restored: SentMessage | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `restore` puts a message into the composer and says why, `clear` empties the composer. */
  constructor(
    private readonly restore: (message: SentMessage, failure: Failure) => void,
    private readonly clear: () => void,
  ) {}

  /** Call after each failed attempt; `isFinal` if the element will not repeat it. */
  failed(message: SentMessage, failure: Failure, isFinal: boolean): void {
    clearTimeout(this.timer);
    this.last = { message, failure };
    if (isFinal) this.giveBack();
    else this.timer = setTimeout(() => this.giveBack(), REPEAT_MS);
  }

  /** Call when a message was accepted; a restored one that arrives after all leaves the composer. */
  delivered(message: SentMessage): void {
    clearTimeout(this.timer);
    this.last = null;
    if (this.restored && JSON.stringify(this.restored) === JSON.stringify(message)) this.clear();
    this.restored = null;
  }

  /** Call when the element has stopped waiting for an answer: it has given up. */
  ended(): void {
    if (this.last) this.giveBack();
  }

  private giveBack(): void {
    clearTimeout(this.timer);
    const { last } = this;
    this.last = null;
    this.restored = last?.message ?? null;
    if (last) this.restore(last.message, last.failure);
  }
}
