/**
 * Wraps the element's fetch: requests pass through unchanged, and their outcomes are reported.
 *
 * Why: OpenAI's element ignores most failed requests (the message just disappears), and its events do not distinguish a
 * deleted thread from one that could not be loaded.
 */
import type { Attachment, UserMessageContent } from "@openai/chatkit";

import { observed, type StreamEvent } from "./events";
import type { Speedometer } from "./speed";

/** The outcome of one request of the element. */
export interface Answer {
  /** The ChatKit operation, such as `threads.get_by_id`; empty for an upload, or if the body could not be read. */
  operation: string;
  threadId: string | null;
  /** The user's message in the request; OpenAI's element discards it when the request fails. */
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
  params?: { thread_id?: string; name?: string; action?: { type?: string }; input?: { content?: UserMessageContent[]; quoted_text?: string; attachments?: string[] } };
}

interface CreatedAttachment {
  id?: string;
  name?: string;
  upload_descriptor?: { url?: string };
}

/** Returns a `fetch` that reports each outcome. Aborts are not failures: an element aborts at every normal end. */
export function watchedFetch(fetch: typeof window.fetch, speedometer: Speedometer, report: (answer: Answer) => void): typeof window.fetch {
  const files = new Files();
  return async (input, init) => {
    const url = input instanceof Request ? input.url : new URL(input, document.baseURI).href;
    const body = (parse(init?.body) ?? {}) as Body;
    const request = describe(body, url, files);
    const speed = new Headers(init?.headers).get("accept")?.includes("text/event-stream") ? speedometer.start(body.params?.action?.type === ATTACH) : null;
    try {
      const response = await fetch(input, init);
      if (response.ok && request.operation === "attachments.create") await files.add(response.clone());
      if (response.ok && speed && isStream(response)) {
        const tell = request.message ? once(report) : null; // until then, the message is not accepted
        if (!tell) report({ ...request, failure: null });
        const onEvent = (event: StreamEvent) => {
          tell?.({ ...request, failure: refusalOf(event, response.status) });
          if (event.update?.type === TEXT_DELTA && event.update.delta) speed.text(event.update.delta);
        };
        const onEnd = () => {
          tell?.({ ...request, failure: null });
          speed.end();
        };
        return observed(response, onEvent, onEnd);
      }
      speed?.end();
      report({ ...request, failure: response.ok ? null : await failureOf(response.clone()) });
      return response;
    } catch (error) {
      speed?.end();
      const aborted = init?.signal?.aborted || (error instanceof DOMException && error.name === "AbortError");
      if (!aborted) report({ ...request, failure: { status: null, code: null, message: null } });
      throw error;
    }
  };
}

const ATTACH = "turn.attach";
const TEXT_DELTA = "assistant_message.content_part.text_delta";

function once<T>(call: (argument: T) => void): (argument: T) => void {
  let isCalled = false;
  return (argument) => {
    if (isCalled) return;
    isCalled = true;
    call(argument);
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

function describe({ type = "", params }: Body, url: string, files: Files): Omit<Answer, "failure"> {
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

/** Returns the failure if a stream begins with an error; null if it begins with anything else. */
function refusalOf({ type, code, message }: StreamEvent, status: number): Failure | null {
  return type === "error" ? { status, code: stringOrNull(code), message: stringOrNull(message) } : null;
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
