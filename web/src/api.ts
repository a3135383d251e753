/**
 * The widget's fetch, watched: each request to `/chatkit` is passed on unchanged, and its outcome is reported.
 *
 * Why: the widget is silent about most failed requests (the message just vanishes), and its events do not tell a thread
 * that is gone from one that could not be loaded.
 */

/** What became of one request of the widget. */
export interface Answer {
  /** The ChatKit operation, such as `threads.get_by_id`; empty when the body could not be read. */
  operation: string;
  threadId: string | null;
  /** The message in the request, which the widget does not give back when it fails. */
  text: string | null;
  /** Null when it worked. */
  failure: Failure | null;
}

export interface Failure {
  /** Null when no answer came at all. */
  status: number | null;
  code: string | null;
  message: string | null;
}

interface Body {
  type?: string;
  params?: { thread_id?: string; input?: { content?: { text?: string }[] } };
}

/** `fetch`, reporting each answer. An aborted request is no failure: the widget aborts at every normal end. */
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
  const word = (value: unknown) => (typeof value === "string" ? value : null);
  return { status: response.status, code: word(body.code), message: word(body.message) };
}

function parse(body: unknown): unknown {
  try {
    return typeof body === "string" ? JSON.parse(body) : null;
  } catch {
    return null;
  }
}
