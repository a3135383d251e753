/**
 * Keeps the shown thread up to date: re-attaches to a running answer after a reload or a lost connection, fetches what
 * other tabs have added, and makes Stop stop an answer on the server. Imports only types: copy this file into any page
 * that uses chatkit-server.
 *
 *     const attach = createAttach();
 *     element.setOptions({ api: { url: "/chatkit", domainKey: "…", fetch: attach.fetch } });
 *     const undo = attach.connect(element); // in React: useEffect(() => attach.connect(chat.ref.current!), [])
 *
 * Use both functions, and one `createAttach` per element. What they do:
 * - Each post has the header `x-chatkit-detach: 1`, so that the turn continues when its connection is lost.
 * - The widget's Stop button only closes the connection. Its event (`chatkit.response.stop`) triggers a request to stop
 *   the turn, which is retried a few times and survives leaving the page.
 * - After a thread was loaded, and after the connection of its answer was lost, the action `turn.attach` makes the
 *   server replay the answer and continue it live. Attaching is retried with exponential backoff, and immediately when
 *   the browser is online again.
 * - When the user returns to the tab, its thread is fetched again: another tab may have added messages.
 * - A thread that fails to load (no response, 5xx) is requested twice more before the widget sees the failure.
 *
 * The open element of chatkit-server does all this by itself: connected to one, this file does nothing.
 *
 * Why this wraps `fetch` instead of only using events: `chatkit.error` does not distinguish a lost connection from an
 * error sent by the server, but the page may attach only after the former: a new response removes the error's text and
 * its Retry button. The difference is only visible in the stream.
 */
import type { OpenAIChatKit } from "@openai/chatkit";

const ACTION = "turn.attach";
const ATTACH_TRIES = 10;
const STOP_TRIES = 6;
const LOAD_TRIES = 3;
const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 15_000;
/** A connection that lasted this long resets the count of failures. */
const STEADY_MS = 5_000;
/** The least time between two refreshes: a return to the tab is several events. */
const REFRESH_MS = 2_000;

export interface Attach {
  /** For the widget's `api.fetch`. */
  fetch: typeof fetch;
  /** Call before the element loads its first thread; returns a function that disconnects. */
  connect: (element: OpenAIChatKit) => () => void;
}

/** `fetch` is the page's own wrapper, if it has one (cookies, tokens); it also sends the stop request. */
export function createAttach({ fetch = window.fetch.bind(window) }: { fetch?: typeof window.fetch } = {}): Attach {
  const answers = new Answers((input, init) => fetch(input, init));
  return { fetch: answers.fetch, connect: (element) => connect(element, answers) };
}

function connect(element: OpenAIChatKit, answers: Answers): () => void {
  answers.isPassive = "implementation" in element && element.implementation === "open";
  if (answers.isPassive) return () => {};
  const connection = new AbortController();
  const attaching = new Set<string>();
  let shown: string | null = null;
  let isLoading = false;
  let refreshedAt = -REFRESH_MS;

  const on = (name: string, listener: (event: CustomEvent) => void) =>
    element.addEventListener(`chatkit.${name}`, listener as EventListener, { signal: connection.signal });
  on("thread.load.start", ({ detail }) => {
    shown = detail.threadId;
    isLoading = true;
  });
  on("thread.change", ({ detail }) => {
    shown = detail.threadId;
    isLoading = false;
    resume();
  });
  on("thread.load.end", ({ detail }) => {
    shown = detail.threadId;
    isLoading = false;
    answers.resetFailures(detail.threadId);
    void attach(detail.threadId);
  });
  on("error", resume); // its error is named StreamError, as of the widget of June 2026
  on("response.end", resume);
  on("response.stop", () => shown !== null && void stop(shown));
  document.addEventListener("visibilitychange", () => void refresh(), { signal: connection.signal });
  window.addEventListener("focus", () => void refresh(), { signal: connection.signal });
  answers.onCreated = (threadId) => {
    shown ??= threadId; // the widget's own event may come after Stop
  };

  function resume() {
    if (shown !== null && answers.failures(shown)) void attach(shown);
  }

  /** Shows what was added elsewhere. An error stays: loading the thread would remove its Retry button. */
  async function refresh() {
    const threadId = shown;
    if (document.hidden || isLoading || threadId === null || !isWanted(threadId) || answers.failedThreads.has(threadId)) return;
    if (performance.now() - refreshedAt < REFRESH_MS) return;
    refreshedAt = performance.now();
    await element.fetchUpdates().catch(() => {});
    if (!isLoading && shown === threadId) await attach(threadId); // an answer may be running
  }

  /** Retries until the answer is shown again or there is no reason left to; once at a time per thread. */
  async function attach(threadId: string) {
    if (attaching.has(threadId)) return;
    attaching.add(threadId);
    let isDone = false;
    while (!isDone && answers.failures(threadId) < ATTACH_TRIES) {
      await pause(answers.failures(threadId));
      isDone = !isWanted(threadId) || (await isAttached(threadId));
    }
    attaching.delete(threadId);
  }

  function isWanted(threadId: string): boolean {
    const isShown = shown === threadId && element.isConnected && !connection.signal.aborted;
    return isShown && !answers.isOpen(threadId);
  }

  /** The widget rejects with "ignored" while it loads or responds, and without a thread; all of these are temporary. */
  async function isAttached(threadId: string): Promise<boolean> {
    const before = answers.failures(threadId);
    const isAccepted = await element.sendCustomAction({ type: ACTION }).then(
      () => true,
      () => false,
    );
    const isLost = answers.failures(threadId) > before;
    if (!isAccepted && !isLost) answers.addFailure(threadId);
    return isAccepted && !isLost;
  }

  async function stop(threadId: string) {
    answers.stopping.add(threadId);
    for (let tries = 1; tries <= STOP_TRIES && answers.stopping.has(threadId); tries++) {
      if ((await answers.stop(threadId)) || connection.signal.aborted) break;
      await pause(tries);
    }
    answers.stopping.delete(threadId);
  }

  /** Waits; ends early when the browser is online again, when a thread was loaded, or on disconnect. Never ends offline. */
  function pause(failures: number): Promise<void> {
    if (!failures || connection.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = new AbortController();
      const timer = setTimeout(() => navigator.onLine && wake(), waitAfter(failures));
      function wake() {
        clearTimeout(timer);
        waiting.abort();
        resolve();
      }
      window.addEventListener("online", wake, waiting);
      element.addEventListener("chatkit.thread.load.end", wake, waiting);
      connection.signal.addEventListener("abort", wake, waiting);
    });
  }

  return () => connection.abort();
}

/** Exponential backoff with jitter, so that not all pages return at the same moment after an outage. */
function waitAfter(failures: number): number {
  return Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}

/** The body of a widget request, as far as it is used here. */
interface Operation {
  type: string;
  params?: { thread_id?: string; action?: { type?: string } };
}

/** One streamed answer. */
interface Answer {
  threadId: string | null;
  isAttach: boolean;
  /** When its response arrived. */
  startedAt: number | null;
  /** The server sent an error event in the stream. */
  hasError: boolean;
}

/** The widget's requests and their outcomes. */
class Answers {
  /** Only forwards requests. */
  isPassive = false;
  onCreated: (threadId: string) => void = () => {};
  /** Threads for which a stop is being retried; a new message cancels it, as it would stop the new answer. */
  readonly stopping = new Set<string>();
  /** Threads whose last answer ended with an error: the widget shows it with a Retry button. */
  readonly failedThreads = new Set<string>();
  private readonly open = new Set<Answer>();
  private readonly lost = new Map<string, number>();
  private readonly send: typeof fetch;
  private apiUrl = "";

  constructor(send: typeof fetch) {
    this.send = send;
  }

  /** Forwards every request. Only ChatKit operations get the header: the storage behind an upload may reject it. */
  readonly fetch: typeof fetch = async (input, init = {}) => {
    const operation = this.isPassive ? null : (parse(init.body) as Operation | null);
    if (!operation?.type) return this.send(input, init);
    this.apiUrl = input instanceof Request ? input.url : new URL(input, document.baseURI).href;
    const headers = new Headers(init.headers);
    headers.set("x-chatkit-detach", "1");
    if (headers.get("accept")?.includes("text/event-stream")) return this.stream(operation, input, { ...init, headers });
    const isLoad = operation.type === "threads.get_by_id" || operation.type === "items.list";
    return isLoad ? this.load(input, { ...init, headers }) : this.send(input, { ...init, headers });
  };

  isOpen(threadId: string): boolean {
    return [...this.open].some((answer) => answer.threadId === threadId);
  }

  /** The number of consecutive lost connections and failed attaches of the thread. */
  failures(threadId: string): number {
    return this.lost.get(threadId) ?? 0;
  }

  addFailure(threadId: string): void {
    this.lost.set(threadId, this.failures(threadId) + 1);
  }

  resetFailures(threadId: string): void {
    this.lost.delete(threadId);
  }

  /** Stops the running turn; returns whether none is running now. */
  async stop(threadId: string): Promise<boolean> {
    const url = new URL(`api/threads/${encodeURIComponent(threadId)}/stop`, this.apiUrl);
    const response = await this.send(url, { method: "POST", keepalive: true }).catch(() => null);
    await response?.text().catch(() => ""); // an unread body that no cache may store keeps its connection
    return response !== null && (response.ok || response.status === 404);
  }

  private async load(input: RequestInfo | URL, init: RequestInit): Promise<Response> {
    for (let tries = 1; ; tries++) {
      const isLast = tries === LOAD_TRIES;
      const response = await this.send(input, init).catch((error) => {
        if (isLast || init.signal?.aborted) throw error;
      });
      if (response && (isLast || response.status < 500)) return response;
      await new Promise((resolve) => setTimeout(resolve, waitAfter(tries)));
    }
  }

  private async stream(operation: Operation, input: RequestInfo | URL, init: RequestInit): Promise<Response> {
    const answer = this.begin(operation);
    init.signal?.addEventListener("abort", () => this.open.delete(answer));
    try {
      const response = await this.send(input, init);
      if (response.body && response.headers.get("content-type")?.startsWith("text/event-stream")) {
        answer.startedAt = Date.now();
        return new Response(this.watch(response.body, answer), response);
      }
      this.end(answer, response.status >= 500);
      return response;
    } catch (error) {
      this.end(answer, true);
      throw error;
    }
  }

  private begin({ type, params }: Operation): Answer {
    const isAttach = type === "threads.custom_action" && params?.action?.type === ACTION;
    const answer: Answer = { threadId: params?.thread_id ?? null, isAttach, startedAt: null, hasError: false };
    if (answer.threadId !== null && !isAttach) {
      this.stopping.delete(answer.threadId);
      this.failedThreads.delete(answer.threadId);
    }
    this.open.add(answer);
    return answer;
  }

  /** Call once per answer; an aborted answer has ended already and does not count as lost. */
  private end(answer: Answer, isLost: boolean): void {
    const { threadId, isAttach, startedAt, hasError } = answer;
    if (!this.open.delete(answer) || threadId === null) return;
    if (!isAttach && (hasError || isLost)) this.failedThreads.add(threadId);
    else this.failedThreads.delete(threadId);
    if (!isLost || hasError) return this.resetFailures(threadId);
    // The widget reports a message that was not delivered; attaching would hide that.
    if (startedAt === null && !isAttach) return;
    if (startedAt !== null && Date.now() - startedAt >= STEADY_MS) this.resetFailures(threadId);
    this.addFailure(threadId);
  }

  private watch(body: ReadableStream<Uint8Array<ArrayBuffer>>, answer: Answer): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = body.getReader();
    const scan = this.scanner(answer);
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>) => {
      try {
        const { done, value } = await reader.read();
        if (!done) {
          scan(value);
          return controller.enqueue(value);
        }
        this.end(answer, false);
        controller.close();
      } catch (error) {
        this.end(answer, true);
        controller.error(error);
      }
    };
    const cancel = (reason: unknown) => {
      this.open.delete(answer);
      return reader.cancel(reason);
    };
    return new ReadableStream({ pull, cancel }, { highWaterMark: 0 }); // 0: do not read ahead of the widget
  }

  /** Returns a function that looks for the two relevant event types; all other events, mostly text, are not parsed. */
  private scanner(answer: Answer): (bytes: Uint8Array) => void {
    const decoder = new TextDecoder();
    let incomplete = "";
    return (bytes) => {
      const lines = (incomplete + decoder.decode(bytes, { stream: true })).split("\n");
      incomplete = lines.pop() ?? "";
      for (const line of lines) if (/^data:.*"(thread\.created|error)"/.test(line)) this.handle(answer, parse(line.slice(5)));
    };
  }

  private handle(answer: Answer, event: unknown): void {
    const { type, thread } = (event ?? {}) as { type?: string; thread?: { id: string } };
    if (type === "error") answer.hasError = true;
    if (type !== "thread.created" || !thread) return;
    answer.threadId = thread.id;
    this.onCreated(thread.id);
  }
}

function parse(body: unknown): unknown {
  try {
    return typeof body === "string" ? JSON.parse(body) : null;
  } catch {
    return null;
  }
}
