/** Reads server-sent events. Only `data` matters in this protocol; names, ids, comments and retry times are skipped. */

/** So long is a server silent that sends pings. A connection can be gone without a word: after sleep, in another network. */
const SILENT_MS = 60_000;

/**
 * Yields the data of each event as it arrives; throws when the connection breaks. A server that has sent a ping, that is a
 * comment, is expected to send more of them: `silentMs` without any byte count as a broken connection.
 */
export async function* readEvents(body: ReadableStream<Uint8Array<ArrayBuffer>>, silentMs = SILENT_MS): AsyncGenerator<string> {
  const reader = body.getReader();
  let isPinged = false;
  const lines = new Lines();
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await (isPinged ? within(silentMs, reader.read()) : reader.read());
      for (const line of done ? lines.end() : lines.add(value)) {
        if (line.startsWith("data:")) data.push(line.startsWith("data: ") ? line.slice(6) : line.slice(5));
        else if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        } else if (line.startsWith(":")) isPinged = true;
      }
      if (!done) continue;
      if (data.length) yield data.join("\n");
      return;
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error("The connection is silent.")), milliseconds);
  });
  try {
    return await Promise.race([work, silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** Splits bytes into lines. Looks at each character once, however long a line is. */
class Lines {
  private readonly decoder = new TextDecoder();
  /** The parts of the line that is not complete. */
  private parts: string[] = [];
  private endsWithCr = false;

  add(bytes: Uint8Array<ArrayBuffer>): string[] {
    return this.split(this.decoder.decode(bytes, { stream: true }));
  }

  /** The last line, where no line break ends it. */
  end(): string[] {
    return [...this.split(this.decoder.decode()), this.parts.join("")];
  }

  private split(text: string): string[] {
    if (!text) return [];
    // The CR before was the first half of a CRLF.
    const rest = this.endsWithCr && text.startsWith("\n") ? text.slice(1) : text;
    this.endsWithCr = text.endsWith("\r");
    const [first = "", ...others] = rest.split(/\r\n|\n|\r/);
    this.parts.push(first);
    if (!others.length) return [];
    const complete = [this.parts.join(""), ...others.slice(0, -1)];
    this.parts = [others.at(-1)!];
    return complete;
  }
}
