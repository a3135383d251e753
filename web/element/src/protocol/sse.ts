/** Reads server-sent events. Only `data` matters in this protocol; names, ids, comments and retry times are skipped. */

/** Yields the data of each event as it arrives; throws when the connection breaks. */
export async function* readEvents(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      // A CR at the end may be the first half of a CRLF.
      const lines = rest.split(done ? /\r\n|\n|\r/ : /\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield data.join("\n");
          data = [];
        } else if (line.startsWith("data:")) {
          data.push(line.startsWith("data: ") ? line.slice(6) : line.slice(5));
        }
      }
      if (done) {
        if (rest.startsWith("data:")) data.push(rest.slice(5).trimStart());
        if (data.length) yield data.join("\n");
        return;
      }
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}
