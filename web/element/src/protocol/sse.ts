/** Reads server-sent events. Only `data` matters in this protocol; names, ids, comments and retry times are skipped. */

/** Yields the data of each event as it arrives; throws when the connection breaks. */
export async function* readEvents(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  const reader = body.getReader();
  const lines = new Lines();
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      for (const line of done ? lines.end() : lines.add(value)) {
        if (line.startsWith("data:")) data.push(line.startsWith("data: ") ? line.slice(6) : line.slice(5));
        else if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
      if (!done) continue;
      if (data.length) yield data.join("\n");
      return;
    }
  } finally {
    void reader.cancel().catch(() => {});
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
