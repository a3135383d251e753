/**
 * A turn is not a connection: with this file a reload or a lost connection shows the running answer again, and Stop
 * stops it. It imports nothing but types: copy it into any page that talks to chatkit-server.
 *
 *     const attach = createAttach();
 *     element.setOptions({ api: { url: "/chatkit", domainKey: "…", fetch: attach.fetch } });
 *     const undo = attach.connect(element); // in React: useEffect(() => attach.connect(chat.ref.current!), [])
 *
 * Both halves are needed, and one `createAttach` for each element. What they do:
 * - Each post says `x-chatkit-detach: 1`, so that the server lets an answer go on without its reader.
 * - The Stop button sends no request of its own, so its event (`chatkit.response.stop`) becomes one, tried again a few
 *   times, that outlives the page.
 * - When a thread was loaded, and when the connection of its answer was lost, the action `turn.attach` makes the server
 *   send what the answer has so far and all that follows. A lost connection is tried again with growing waits, and at
 *   once when the browser is online again.
 * - A thread whose loading fails (no answer, 5xx) is asked for twice more before the widget hears of it.
 *
 * Why `fetch` and not the widget's events alone: `chatkit.error` has the same name for a connection that was lost and
 * for an error that the server sent, and only after the first may the page attach: a new answer takes the error's text
 * and its Retry button off the screen. Only who reads the stream can tell them apart.
 */
import type { OpenAIChatKit } from "@openai/chatkit";

const ACTION = "turn.attach";
const ATTACH_TRIES = 10;
const STOP_TRIES = 6;
const LOAD_TRIES = 3;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** A connection that held this long was a good one: the count of failures begins anew. */
const STEADY_MS = 5_000;

export interface Attach {
  /** For the widget's `api.fetch`. */
  fetch: typeof fetch;
  /** Listens to the element, from before its first thread is loaded; returns how to undo that. */
  connect: (element: OpenAIChatKit) => () => void;
}

/** `fetch` is the page's own, if it has one (cookies, tokens); the stop is sent through it as well. */
export function createAttach({ fetch = window.fetch.bind(window) }: { fetch?: typeof window.fetch } = {}): Attach {
  const answers = new Answers((input, init) => fetch(input, init));
  return { fetch: answers.fetch, connect: (element) => connect(element, answers) };
}

function connect(element: OpenAIChatKit, answers: Answers): () => void {
  const connection = new AbortController();
  const busy = new Set<string>();
  let shown: string | null = null;

  const on = (name: string, listener: (event: CustomEvent) => void) =>
    element.addEventListener(`chatkit.${name}`, listener as EventListener, { signal: connection.signal });
  on("thread.load.start", ({ detail }) => {
    shown = detail.threadId;
  });
  on("thread.change", ({ detail }) => {
    shown = detail.threadId;
    resume();
  });
  on("thread.load.end", ({ detail }) => {
    shown = detail.threadId;
    answers.forgive(detail.threadId);
    void attach(detail.threadId);
  });
  on("error", resume); // named StreamError, today
  on("response.end", resume);
  on("response.stop", () => shown !== null && void stop(shown));
  answers.onCreated = (threadId) => {
    shown ??= threadId; // the widget's own word for it may come later than Stop
  };

  function resume() {
    if (shown !== null && answers.failures(shown)) void attach(shown);
  }

  /** Until the running answer is shown again or there is no more reason to; at most once at a time for a thread. */
  async function attach(threadId: string) {
    if (busy.has(threadId)) return;
    busy.add(threadId);
    let isDone = false;
    while (!isDone && answers.failures(threadId) < ATTACH_TRIES) {
      await pause(answers.failures(threadId));
      isDone = !isWanted(threadId) || (await isAttached(threadId));
    }
    busy.delete(threadId);
  }

  function isWanted(threadId: string): boolean {
    const isShown = shown === threadId && element.isConnected && !connection.signal.aborted;
    return isShown && !answers.isOpen(threadId);
  }

  /** The widget rejects with "ignored" while it loads, while it responds and without a thread: each of them may pass. */
  async function isAttached(threadId: string): Promise<boolean> {
    const before = answers.failures(threadId);
    const isTaken = await element.sendCustomAction({ type: ACTION }).then(
      () => true,
      () => false,
    );
    const isLost = answers.failures(threadId) > before;
    if (!isTaken && !isLost) answers.failed(threadId);
    return isTaken && !isLost;
  }

  async function stop(threadId: string) {
    answers.stopping.add(threadId);
    for (let tries = 1; tries <= STOP_TRIES && answers.stopping.has(threadId); tries++) {
      if ((await answers.stop(threadId)) || connection.signal.aborted) break;
      await pause(tries);
    }
    answers.stopping.delete(threadId);
  }

  /** Also ends when the browser is online again, when a thread was loaded, and by `undo`; never while offline. */
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

/** Half of it by chance, so that the pages of a server that was away do not all come back in the same moment. */
function waitAfter(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}

/** What a body that the widget posts says; only what is read here. */
interface Operation {
  type: string;
  params?: { thread_id?: string; action?: { type?: string } };
}

/** One stream of the server. */
interface Answer {
  threadId: string | null;
  isAttach: boolean;
  /** When its first byte could be read. */
  begunAt: number | null;
  /** The server said in the stream that the answer failed. */
  hasError: boolean;
}

/** The widget's requests, and what became of their answers. */
class Answers {
  onCreated: (threadId: string) => void = () => {};
  /** Threads on which a stop is under way; a new message ends it, because it would stop the new answer. */
  readonly stopping = new Set<string>();
  private readonly open = new Set<Answer>();
  private readonly lost = new Map<string, number>();
  private readonly ask: typeof fetch;
  private address = "";

  constructor(ask: typeof fetch) {
    this.ask = ask;
  }

  /** Passes all on; only a ChatKit operation gets the header, which the storage behind an upload would refuse. */
  readonly fetch: typeof fetch = async (input, init = {}) => {
    const operation = parse(init.body) as Operation | null;
    if (!operation?.type) return this.ask(input, init);
    this.address = input instanceof Request ? input.url : new URL(input, document.baseURI).href;
    const headers = new Headers(init.headers);
    headers.set("x-chatkit-detach", "1");
    if (headers.get("accept")?.includes("text/event-stream")) return this.stream(operation, input, { ...init, headers });
    const isLoad = operation.type === "threads.get_by_id" || operation.type === "items.list";
    return isLoad ? this.load(input, { ...init, headers }) : this.ask(input, { ...init, headers });
  };

  isOpen(threadId: string): boolean {
    return [...this.open].some((answer) => answer.threadId === threadId);
  }

  /** How often in succession the thread's answer was lost or could not be reached. */
  failures(threadId: string): number {
    return this.lost.get(threadId) ?? 0;
  }

  failed(threadId: string): void {
    this.lost.set(threadId, this.failures(threadId) + 1);
  }

  forgive(threadId: string): void {
    this.lost.delete(threadId);
  }

  /** Whether nothing runs on the thread any more. */
  async stop(threadId: string): Promise<boolean> {
    const url = new URL(`api/threads/${encodeURIComponent(threadId)}/stop`, this.address);
    const response = await this.ask(url, { method: "POST", keepalive: true }).catch(() => null);
    return response !== null && (response.ok || response.status === 404);
  }

  private async load(input: RequestInfo | URL, init: RequestInit): Promise<Response> {
    for (let tries = 1; ; tries++) {
      const isLast = tries === LOAD_TRIES;
      const response = await this.ask(input, init).catch((error) => {
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
      const response = await this.ask(input, init);
      if (response.body && response.headers.get("content-type")?.startsWith("text/event-stream")) {
        answer.begunAt = Date.now();
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
    const answer: Answer = { threadId: params?.thread_id ?? null, isAttach, begunAt: null, hasError: false };
    if (answer.threadId !== null && !isAttach) this.stopping.delete(answer.threadId);
    this.open.add(answer);
    return answer;
  }

  /** Once for an answer: one that was aborted is over already, and not lost. */
  private end(answer: Answer, isLost: boolean): void {
    const { threadId, isAttach, begunAt, hasError } = answer;
    if (!this.open.delete(answer) || threadId === null) return;
    if (!isLost || hasError) return this.forgive(threadId);
    // A message that did not come through is the widget's to tell; attaching would hide that.
    if (begunAt === null && !isAttach) return;
    if (begunAt !== null && Date.now() - begunAt >= STEADY_MS) this.forgive(threadId);
    this.failed(threadId);
  }

  private watch(body: ReadableStream<Uint8Array<ArrayBuffer>>, answer: Answer): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = body.getReader();
    const read = this.reading(answer);
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>) => {
      try {
        const { done, value } = await reader.read();
        if (!done) {
          read(value);
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
    return new ReadableStream({ pull, cancel }, { highWaterMark: 0 }); // 0: read no sooner than the widget does
  }

  /** Looks for the two events that matter here; text, which is nearly everything, is not parsed. */
  private reading(answer: Answer): (bytes: Uint8Array) => void {
    const decoder = new TextDecoder();
    let rest = "";
    return (bytes) => {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (/^data:.*"(thread\.created|error)"/.test(line)) this.note(answer, parse(line.slice(5)));
    };
  }

  private note(answer: Answer, event: unknown): void {
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
