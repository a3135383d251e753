/**
 * Wraps the widget's fetch: requests to `/chatkit` pass through unchanged, and their outcomes are reported.
 *
 * Why: the widget ignores most failed requests (the message just disappears), and its events do not distinguish a
 * deleted thread from one that could not be loaded.
 */

/** The outcome of one request of the widget. */
export interface Answer {
  /** The ChatKit operation, such as `threads.get_by_id`; empty if the body could not be read. */
  operation: string;
  threadId: string | null;
  /** The user's message in the request; the widget discards it when the request fails. */
  text: string | null;
  /** Null on success. */
  failure: Failure | null;
}

export interface Failure {
  /** Null without a response. */
  status: number | null;
  code: string | null;
  message: string | null;
}

interface Body {
  type?: string;
  params?: { thread_id?: string; input?: { content?: { text?: string }[] } };
}

/** Returns a `fetch` that reports each outcome. Aborts are not failures: the widget aborts at every normal end. */
export function watchedFetch(fetch: typeof window.fetch, report: (answer: Answer) => void): typeof window.fetch {
  return async (input, init) => {
    const request = describe(init?.body);
    try {
      const response = await fetch(input, init);
      report({ ...request, failure: response.ok ? null : await failureOf(response.clone()) });
      return response;
    } catch (error) {
      const aborted = init?.signal?.aborted || (error instanceof DOMException && error.name === "AbortError");
      if (!aborted) report({ ...request, failure: { status: null, code: null, message: null } });
      throw error;
    }
  };
}

function describe(body: BodyInit | null | undefined): Omit<Answer, "failure"> {
  const { type = "", params } = (parse(body) ?? {}) as Body;
  const text = params?.input?.content?.map((part) => part.text ?? "").join("");
  return { operation: type, threadId: params?.thread_id ?? null, text: text || null };
}

async function failureOf(response: Response): Promise<Failure> {
  const body = (parse(await response.text().catch(() => "")) ?? {}) as Partial<Record<"code" | "message", unknown>>;
  const stringOrNull = (value: unknown) => (typeof value === "string" ? value : null);
  return { status: response.status, code: stringOrNull(body.code), message: stringOrNull(body.message) };
}

function parse(body: unknown): unknown {
  try {
    return typeof body === "string" ? JSON.parse(body) : null;
  } catch {
    return null;
  }
}
