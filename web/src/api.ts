/**
 * Wraps the widget's fetch: requests pass through unchanged, and their outcomes are reported.
 *
 * Why: the widget ignores most failed requests (the message just disappears), and its events do not distinguish a
 * deleted thread from one that could not be loaded.
 */
import type { Attachment, UserMessageContent } from "@openai/chatkit";

/** The outcome of one request of the widget. */
export interface Answer {
  /** The ChatKit operation, such as `threads.get_by_id`; empty for an upload, or if the body could not be read. */
  operation: string;
  threadId: string | null;
  /** The user's message in the request; the widget discards it when the request fails. */
  message: SentMessage | null;
  /** The name of the file that the request announces or uploads. */
  file: string | null;
  /** Null on success. */
  failure: Failure | null;
}

/** What the user sent, in the shape of the element's `sendUserMessage` and `setComposerValue`. */
export interface SentMessage {
  content: UserMessageContent[];
  reply?: string;
  attachments: Attachment[];
}

export interface Failure {
  /** Null without a response; 200 if the stream begins with an error: the message was not accepted. */
  status: number | null;
  code: string | null;
  message: string | null;
}

interface Body {
  type?: string;
  params?: { thread_id?: string; name?: string; input?: { content?: UserMessageContent[]; quoted_text?: string; attachments?: string[] } };
}

interface CreatedAttachment {
  id?: string;
  name?: string;
  upload_descriptor?: { url?: string };
}

/** Returns a `fetch` that reports each outcome. Aborts are not failures: the widget aborts at every normal end. */
export function watchedFetch(fetch: typeof window.fetch, report: (answer: Answer) => void): typeof window.fetch {
  const files = new Files();
  return async (input, init) => {
    const url = input instanceof Request ? input.url : new URL(input, document.baseURI).href;
    const request = describe(init?.body, url, files);
    try {
      const response = await fetch(input, init);
      if (!response.ok) report({ ...request, failure: await failureOf(response.clone()) });
      else if (request.message && isStream(response)) void refusalOf(response.clone()).then((failure) => report({ ...request, failure }));
      else report({ ...request, failure: null });
      if (response.ok && request.operation === "attachments.create") await files.add(response.clone());
      return response;
    } catch (error) {
      const aborted = init?.signal?.aborted || (error instanceof DOMException && error.name === "AbortError");
      if (!aborted) report({ ...request, failure: { status: null, code: null, message: null } });
      throw error;
    }
  };
}

/** The files that were announced, to name them and to send them again. */
class Files {
  private readonly attachments = new Map<string, Attachment>();
  private readonly uploads = new Map<string, string>();

  async add(response: Response): Promise<void> {
    const created = (await response.json().catch(() => null)) as CreatedAttachment | null;
    if (!created?.id) return;
    this.attachments.set(created.id, created as Attachment);
    const url = created.upload_descriptor?.url;
    if (url && created.name) this.uploads.set(new URL(url, document.baseURI).href, created.name);
  }

  nameOf(uploadUrl: string): string | null {
    return this.uploads.get(uploadUrl) ?? null;
  }

  attachmentsOf(ids: string[]): Attachment[] {
    return ids.map((id) => this.attachments.get(id)).filter((attachment) => attachment !== undefined);
  }
}

function describe(body: BodyInit | null | undefined, url: string, files: Files): Omit<Answer, "failure"> {
  const { type = "", params } = (parse(body) ?? {}) as Body;
  const { content, quoted_text, attachments = [] } = params?.input ?? {};
  const message = content?.length || attachments.length
    ? { content: content ?? [], ...(quoted_text && { reply: quoted_text }), attachments: files.attachmentsOf(attachments) }
    : null;
  const file = type === "attachments.create" ? (params?.name ?? null) : files.nameOf(url);
  return { operation: type, threadId: params?.thread_id ?? null, message, file };
}

function isStream(response: Response): boolean {
  return response.body !== null && (response.headers.get("content-type")?.startsWith("text/event-stream") ?? false);
}

/** Returns the error with which a stream begins, or null. Reads only the beginning. */
async function refusalOf(response: Response): Promise<Failure | null> {
  const reader = response.body?.getReader();
  const start = await reader?.read().catch(() => null);
  void reader?.cancel().catch(() => {}); // settles only when the widget has read its copy
  const data = new TextDecoder().decode(start?.value).match(/^data: ?(.*)$/m)?.[1];
  const event = (parse(data) ?? {}) as Record<string, unknown>;
  return event.type === "error" ? { status: response.status, code: stringOrNull(event.code), message: stringOrNull(event.message) } : null;
}

async function failureOf(response: Response): Promise<Failure> {
  const body = (parse(await response.text().catch(() => "")) ?? {}) as Record<string, unknown>;
  return { status: response.status, code: stringOrNull(body.code), message: stringOrNull(body.message) };
}

function stringOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function parse(body: unknown): unknown {
  try {
    return typeof body === "string" ? JSON.parse(body) : null;
  } catch {
    return null;
  }
}
