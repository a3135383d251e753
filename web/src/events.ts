/** Reads a stream's events while they pass through to the element. */

/** What this page reads of an event. */
export interface StreamEvent {
  type?: string;
  code?: unknown;
  message?: unknown;
  update?: { type?: string; delta?: string };
}

/** Returns the same response, whose events are reported as the element reads them; `onEnd` when it ends, however. */
export function observed(response: Response, onEvent: (event: StreamEvent) => void, onEnd: () => void): Response {
  if (!response.body) return response;
  const reader = response.body.getReader();
  const scan = scanner(onEvent);
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>) => {
    try {
      const { done, value } = await reader.read();
      if (done) {
        onEnd();
        return controller.close();
      }
      scan(value);
      controller.enqueue(value);
    } catch (error) {
      onEnd();
      controller.error(error);
    }
  };
  const cancel = (reason: unknown) => {
    onEnd();
    return reader.cancel(reason);
  };
  return new Response(new ReadableStream({ pull, cancel }, { highWaterMark: 0 }), response); // 0: do not read ahead
}

function scanner(onEvent: (event: StreamEvent) => void): (bytes: Uint8Array) => void {
  const decoder = new TextDecoder();
  let incomplete = "";
  return (bytes) => {
    const lines = (incomplete + decoder.decode(bytes, { stream: true })).split("\n");
    incomplete = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data:")) onEvent(parse(line.slice(5)));
  };
}

function parse(data: string): StreamEvent {
  try {
    return (JSON.parse(data) as StreamEvent | null) ?? {};
  } catch {
    return {};
  }
}
