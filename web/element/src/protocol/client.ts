/**
 * Sends the protocol's requests: one URL, always POST, JSON in; JSON or an event stream out. Fast failures and lost
 * connections before the response are retried with exponential backoff; the server recognises the repeated post.
 */
import type { CustomApiConfig, HostedApiConfig } from "@openai/chatkit";

import { withClientSecret } from "../../../src/session";
import { isObject } from "./normalise";
import { readEvents } from "./sse";
import type { StreamEvent } from "./wire";

const STREAM_TRIES = 6;
const LOAD_TRIES = 3;
const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 10_000;
/** How long events are read without a pause. */
const SLICE_MS = 10;

/** A request without a good answer. `status` is null where no response came. */
export class RequestError extends Error {
  override name = "RequestError";

  constructor(
    message: string,
    readonly status: number | null,
    readonly code: string | null = null,
  ) {
    super(message);
  }

  /** Whether the server may answer the same request later. */
  get isTemporary(): boolean {
    return this.status === null || this.status >= 500 || this.status === 200;
  }

  /** Whether the server is away, rather than unable to answer this request. */
  get isOutage(): boolean {
    return this.status === null || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

/** The stream ended by a lost connection: its turn may go on at the server. */
export class ConnectionLost extends Error {
  override name = "ConnectionLost";
}

export interface ClientOptions {
  api: CustomApiConfig | HostedApiConfig;
  locale: string;
  /** The server that the script came from: used with `getClientSecret`, where the options name no URL. */
  home: string;
}

/** What became of a request to stop a turn; `unknown`: the server does not know the thread, or not this operation. */
export type StopOutcome = "stopped" | "unknown" | "failed";

export class Client {
  /** Identifies this element until the page is reloaded. */
  readonly frameId = uuid();
  private signed: { url: string; fetch: typeof fetch } | null = null;
  /** The server has answered, or the console says what may be wrong. */
  private isAdmitted = false;

  /** `report` gets the faults of a stream that goes on. */
  constructor(
    private readonly options: () => ClientOptions,
    private readonly report: (error: Error) => void = () => {},
  ) {}

  /** The absolute URL of the ChatKit API. */
  get url(): string {
    const { api, home } = this.options();
    return "url" in api ? new URL(api.url, document.baseURI).href : new URL("chatkit", home).href;
  }

  /** Asks an operation with a JSON answer. Loading is retried, as a thread that fails to load looks deleted. */
  async ask<T>(type: string, params: unknown, signal?: AbortSignal): Promise<T> {
    const tries = type === "threads.get_by_id" || type === "threads.list" || type === "items.list" ? LOAD_TRIES : 1;
    return retried(tries, signal, async () => {
      const response = await this.post(type, params, {}, signal);
      if (!response.ok) throw await failureOf(response);
      return (await response.json()) as T;
    });
  }

  /**
   * Yields the events of a streaming operation. Throws `RequestError` before the first event, `ConnectionLost` later: a
   * connection that breaks before the first event is opened again, with the same bytes.
   */
  async *stream(type: string, params: unknown, signal: AbortSignal, tries = STREAM_TRIES): AsyncGenerator<StreamEvent> {
    const { events, first } = await retried(tries, signal, () => this.openStream(type, params, signal));
    const slices = new Slices();
    try {
      for (let { done, value } = first; !done; { done, value } = await events.next()) {
        const event = this.parse(value as string);
        if (event) yield event;
        await slices.next();
      }
    } catch (error) {
      if (signal.aborted) return;
      throw new ConnectionLost(String(error));
    } finally {
      void events.return(undefined);
    }
  }

  /** Asks the server to stop the thread's turn. */
  async stop(threadId: string): Promise<StopOutcome> {
    const response = await this.fetch(this.resolve(`api/threads/${encodeURIComponent(threadId)}/stop`), { method: "POST", keepalive: true }).catch(() => null);
    await response?.text().catch(() => ""); // an unread body that no cache may store keeps its connection
    if (response?.ok) return "stopped";
    return response && (response.status === 404 || response.status === 405) ? "unknown" : "failed";
  }

  /** Makes a first request: pages stay covered until OpenAI's element asks for a client secret, which it does at once. */
  async logIn(): Promise<void> {
    const response = await this.fetch(this.resolve("api/chatkit/options"), {}).catch(() => null);
    await response?.text().catch(() => "");
  }

  /** Resolves a path of our server next to the ChatKit API. */
  resolve(path: string): string {
    return new URL(path, this.url).href;
  }

  /** Fetches with the page's `fetch`, the headers of this element, and the client secret if there is one. */
  async fetch(url: string, init: RequestInit): Promise<Response> {
    const { api, locale } = this.options();
    const headers = new Headers(init.headers);
    headers.set("chatkit-frame-instance-id", this.frameId);
    headers.set("accept-language", locale);
    if ("getClientSecret" in api) return this.session()(url, { ...init, headers });
    return (api.fetch ?? window.fetch).call(window, url, { ...init, headers });
  }

  /** The `fetch` with the client secret of the API in use. The page may replace `getClientSecret` by the same again. */
  private session(): typeof fetch {
    const { url } = this;
    if (this.signed?.url !== url) this.signed = { url, fetch: withClientSecret((existing) => this.clientSecret(existing), { url }) };
    return this.signed.fetch;
  }

  private async clientSecret(existing: string | null): Promise<string> {
    const { api } = this.options();
    if (!("getClientSecret" in api)) throw new RequestError("", null); // the options have changed meanwhile
    try {
      return await api.getClientSecret(existing);
    } catch (error) {
      console.error("ChatKit: getClientSecret failed:", error);
      throw new RequestError(messageOf(error), null);
    }
  }

  private async openStream(type: string, params: unknown, signal: AbortSignal): Promise<OpenStream> {
    const response = await this.post(type, params, { accept: "text/event-stream", "x-chatkit-detach": "1" }, signal);
    if (!response.ok) throw await failureOf(response);
    if (!response.body || !response.headers.get("content-type")?.startsWith("text/event-stream")) {
      void response.body?.cancel().catch(() => {});
      throw new RequestError("The server's answer is not an event stream.", response.status);
    }
    const events = readEvents(response.body);
    try {
      return { events, first: await events.next() };
    } catch (error) {
      throw new RequestError(messageOf(error), null);
    }
  }

  private parse(data: string): StreamEvent | null {
    try {
      const event: unknown = JSON.parse(data);
      return isObject(event) && typeof event.type === "string" ? (event as unknown as StreamEvent) : null;
    } catch (error) {
      this.report(new Error(`An event of the stream is not JSON: ${messageOf(error)}`));
      return null;
    }
  }

  private async post(type: string, params: unknown, headers: Record<string, string>, signal?: AbortSignal): Promise<Response> {
    const body = JSON.stringify({ type, params });
    try {
      const response = await this.fetch(this.url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body, ...(signal && { signal }) });
      this.isAdmitted = true;
      return response;
    } catch (error) {
      if (signal?.aborted || error instanceof RequestError) throw error;
      this.explainOrigin();
      throw new RequestError(messageOf(error), null);
    }
  }

  /** A script cannot see why a request to another origin failed; that it is not admitted is the usual reason. */
  private explainOrigin(): void {
    const { origin } = new URL(this.url);
    if (this.isAdmitted || origin === location.origin) return;
    this.isAdmitted = true;
    console.error(`ChatKit: no answer from ${origin}. If the server runs, its CHATKIT_CORS_ORIGINS has to name this page's origin, ${location.origin}.`);
  }
}

interface OpenStream {
  events: AsyncGenerator<string>;
  first: IteratorResult<string>;
}

/** Gives the browser time to paint and to react, where a whole answer arrives at once. */
class Slices {
  private readonly channel = new MessageChannel();
  private startedAt = performance.now();

  /** A message, not a timer: these are slow in a hidden tab. */
  async next(): Promise<void> {
    if (performance.now() - this.startedAt < SLICE_MS) return;
    await new Promise((resolve) => {
      this.channel.port1.onmessage = resolve;
      this.channel.port2.postMessage(null);
    });
    this.startedAt = performance.now();
  }
}

/**
 * Waits with exponential backoff and jitter, so that not all pages return at the same moment after an outage. Ends early
 * when the browser is online again, or when aborted; `isPatient`: never ends while it is offline.
 */
export function backoff(failures: number, signal?: AbortSignal, { maxMs = MAX_WAIT_MS, isPatient = false } = {}): Promise<void> {
  const milliseconds = Math.min(maxMs, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
  return new Promise((resolve) => {
    const waiting = new AbortController();
    const wake = () => {
      clearTimeout(timer);
      waiting.abort();
      resolve();
    };
    const timer = setTimeout(() => (navigator.onLine || !isPatient) && wake(), milliseconds);
    window.addEventListener("online", wake, { signal: waiting.signal });
    signal?.addEventListener("abort", wake, { signal: waiting.signal });
    if (signal?.aborted) wake();
  });
}

async function retried<T>(tries: number, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await work();
    } catch (error) {
      if (signal?.aborted || failures >= tries || !(error instanceof RequestError) || !error.isTemporary) throw error;
    }
    await backoff(failures, signal);
    signal?.throwIfAborted();
  }
}

async function failureOf(response: Response): Promise<RequestError> {
  const body = await response.json().catch(() => null);
  const message = typeof body?.message === "string" ? body.message : "";
  return new RequestError(message, response.status, typeof body?.code === "string" ? body.code : null);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `crypto.randomUUID` exists in secure contexts only; the element also runs on plain HTTP. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
