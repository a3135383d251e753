/** Measures an answer while it streams: the time to its first words, and its speed. */

/** The figures of the last answer; null before they are known. */
export interface Speed {
  isStreaming: boolean;
  firstTokenMs: number | null;
  tokensPerSecond: number | null;
}

const REPORT_MS = 500;
/** A speed over less time means nothing. */
const LEAST_MS = 1_000;

/** Reports at most twice a second; of two answers at once, the later one. */
export class Speedometer {
  private current: Measurement | null = null;

  constructor(private readonly report: (speed: Speed) => void) {}

  /** Call when the request is sent; an answer that is attached to has no first token to wait for. */
  start(isAttached: boolean): Measurement {
    this.current?.end();
    const measurement: Measurement = new Measurement(isAttached, (speed) => {
      if (measurement === this.current) this.report(speed);
    });
    this.current = measurement;
    return measurement;
  }
}

export class Measurement {
  private readonly startedAt = performance.now();
  private firstAt: number | null = null;
  private lastAt = 0;
  private reportedAt = 0;
  private tokens = 0;
  private hasEnded = false;

  constructor(
    private readonly isAttached: boolean,
    private readonly report: (speed: Speed) => void,
  ) {}

  text(delta: string): void {
    if (this.hasEnded) return;
    const now = performance.now();
    const isFirst = this.firstAt === null;
    if (isFirst) this.firstAt = now;
    else this.tokens += countTokens(delta); // the first ones came with the waiting time
    this.lastAt = now;
    if (isFirst || now - this.reportedAt >= REPORT_MS) this.tell(now);
  }

  end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.tell(performance.now());
  }

  private tell(now: number): void {
    this.reportedAt = now;
    const { firstAt, lastAt, tokens } = this;
    const duration = firstAt === null ? 0 : lastAt - firstAt;
    this.report({
      isStreaming: !this.hasEnded && firstAt !== null,
      firstTokenMs: firstAt === null || this.isAttached ? null : firstAt - this.startedAt,
      tokensPerSecond: duration >= LEAST_MS ? (tokens / duration) * 1000 : null,
    });
  }
}

/**
 * Roughly the number of tokens in a text, for any model: the server joins several tokens in one event and does not tell
 * how many. A short word with its space, three digits, a group of signs or a Chinese character are one each.
 */
export function countTokens(text: string): number {
  return text.match(TOKEN)?.length ?? 0;
}

const TOKEN = / ?[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}]{1,7}| ?[\p{Script=Arabic}\p{Script=Hebrew}]{1,3}|\p{N}{1,3}|\p{L}| ?[^\s\p{L}\p{N}]{1,4}|\s+/gu;
