/**
 * The running responses. One may go on in the background while another thread is shown. A response whose connection is
 * lost is attached again: the server replays what was missed and continues.
 */
import { backoff, ConnectionLost, RequestError } from "../protocol/client";
import { itemOf } from "../protocol/normalise";
import type { ClientToolCallItem, ErrorEvent, StreamEvent } from "../protocol/wire";
import type { Chat } from "./chat";
import type { Conversation, Failure, ShownItem } from "./conversation";
import type { UserMessage } from "./draft";
import { echoOf } from "./message";

const ATTACH = "turn.attach";
const ATTACH_TRIES = 10;
const ATTACH_MAX_WAIT_MS = 15_000;
/** A connection that lasted this long resets the count of failures. */
const STEADY_MS = 5_000;
const STOP_TRIES = 6;
/** After Stop, the server ends the stream; one that does not is closed. */
const STOP_MS = 5_000;
/** The same, where the server has not said which thread it is. */
const UNKNOWN_STOP_MS = 1_000;

/** An error that the server sent in a stream, or a stream that was lost for good. */
class StreamError extends Error {
  override name = "StreamError";
}

/** The streams of one request: its own, and those by which it was attached again. */
class Response {
  readonly abort = new AbortController();
  /** The server has accepted the request. */
  isAccepted = false;
  isStopped = false;
  /** The message was refused, and the user was told why. */
  isRefused = false;
  /** The call of a tool in the page, which runs when the stream has ended. */
  call: ClientToolCallItem | null = null;
  readonly done: Promise<void>;
  finish = () => {};

  constructor(
    readonly conversation: Conversation,
    readonly type: string,
    /** The sent message, until the server's own item replaces it. */
    public echo: ShownItem | null = null,
  ) {
    this.isMessage = echo !== null;
    this.done = new Promise((resolve) => {
      this.finish = resolve;
    });
  }

  readonly isMessage: boolean;

  get isAttach(): boolean {
    return this.type === ATTACH;
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }
}

export class Responses {
  private readonly running = new Map<Conversation, Response>();
  /** Where a stop is being retried; a new message ends that, as it would stop the new answer. */
  private readonly stopping = new Set<Conversation>();
  private readonly calls = new Set<string>();

  constructor(private readonly chat: Chat) {}

  conversationOf(threadId: string): Conversation | null {
    for (const conversation of this.running.keys()) if (conversation.id === threadId) return conversation;
    return null;
  }

  isRunning(conversation: Conversation): boolean {
    return this.running.has(conversation);
  }

  /** Runs a streaming operation to its end, with the tool that it calls in the page; returns whether it was accepted. */
  async run(conversation: Conversation, type: string, params: unknown, message?: UserMessage): Promise<boolean> {
    while (this.running.has(conversation)) await this.makeRoom(conversation);
    this.stopping.delete(conversation);
    conversation.failure = null;
    conversation.notices = [];
    conversation.isStopped = false;
    const response = this.open(new Response(conversation, type, message ? conversation.echo(echoOf(message, conversation)) : null));
    // An action may only change a widget: it responds once the server begins to.
    if (type !== "threads.custom_action") this.begin(conversation);
    this.chat.changed(); // the first message takes the place of the start screen
    this.chat.emit("log", { name: message ? "composer.submit" : "request", data: { type } });
    try {
      await this.read(response, this.chat.client.stream(type, params, response.signal));
      if (conversation.hasOpenItems && !conversation.failure) await this.follow(response, 1); // a proxy may end a stream that it cuts
    } catch (error) {
      await this.failed(response, error as Error);
    }
    if (isUnanswered(response)) this.returnMessage(response, this.chat.strings.serverUnreachable);
    this.end(response);
    await this.runTool(response);
    return response.isAccepted;
  }

  /**
   * Shows a turn that is running at the server; does nothing without one. Its failures are silent unless the user waits
   * for it. `runsTools`: not where another tab may be running them.
   */
  async attach(conversation: Conversation, { runsTools = true } = {}): Promise<void> {
    if (!conversation.id || this.running.has(conversation) || this.stopping.has(conversation)) return;
    const response = this.open(new Response(conversation, ATTACH));
    await this.follow(response);
    this.end(response);
    if (runsTools) await this.runTool(response);
  }

  /** The same, for a user who waits: shows the response at once. */
  async attachAgain(conversation: Conversation): Promise<void> {
    if (this.running.has(conversation)) return;
    conversation.failure = null;
    this.begin(conversation);
    await this.attach(conversation);
  }

  /** Stops the response here and at the server. */
  stop(conversation: Conversation): void {
    const response = this.running.get(conversation);
    if (!response || response.isStopped) return;
    response.isStopped = true;
    conversation.isStopped = true;
    conversation.changed();
    if (conversation.id) void this.stopTurn(response, conversation.id);
    setTimeout(() => response.abort.abort(), conversation.id ? STOP_MS : UNKNOWN_STOP_MS);
  }

  /** Closes the connection; the turn goes on at the server. */
  leave(conversation: Conversation): void {
    this.running.get(conversation)?.abort.abort();
  }

  leaveAll(): void {
    for (const { abort } of this.running.values()) abort.abort();
    this.stopping.clear();
  }

  /** Where the server cannot be reached, the response ends here at once, and the server hears of it later. */
  private async stopTurn(response: Response, threadId: string): Promise<void> {
    const { conversation } = response;
    this.stopping.add(conversation);
    for (let tries = 1; tries <= STOP_TRIES && this.stopping.has(conversation); tries++) {
      const outcome = await this.chat.client.stop(threadId);
      if (outcome === "stopped") break;
      response.abort.abort();
      if (outcome === "unknown") break;
      await backoff(tries);
    }
    this.stopping.delete(conversation);
  }

  /** Only one stream at a time changes a conversation: two would double every word. */
  private async makeRoom(conversation: Conversation): Promise<void> {
    const last = this.running.get(conversation);
    if (last?.isAttach) last.abort.abort();
    await last?.done;
  }

  private open(response: Response): Response {
    this.running.set(response.conversation, response);
    response.conversation.responseCount++;
    return response;
  }

  private begin(conversation: Conversation): void {
    if (conversation.isResponding) return;
    conversation.isResponding = true;
    conversation.changed();
    this.chat.threads.changed(); // the history marks it
    if (conversation === this.chat.shown) this.chat.emit("response.start");
  }

  private end(response: Response): void {
    const { conversation } = response;
    this.running.delete(conversation);
    if (response.echo) {
      conversation.remove(response.echo);
      this.chat.changed();
    }
    const wasResponding = conversation.isResponding;
    conversation.close();
    this.chat.threads.changed();
    if (wasResponding && conversation === this.chat.shown) this.chat.emit("response.end");
    response.finish();
  }

  private async read(response: Response, events: AsyncIterable<StreamEvent>): Promise<void> {
    for await (const event of events) {
      if (response.signal.aborted) return;
      try {
        this.accept(response, event);
      } catch (error) {
        this.chat.emit("error", { error }); // the stream goes on without this event
      }
    }
  }

  private accept(response: Response, event: StreamEvent): void {
    const { conversation } = response;
    if (event.type === "error") return this.refuse(response, event);
    if (this.confirm(response, event)) return;
    if (!response.isMessage) response.isAccepted = true;
    if (event.type === "progress_update" || event.type === "thread.item.added") this.begin(conversation);
    if ((event.type === "thread.item.added" || event.type === "thread.item.done") && isPendingCall(event.item)) response.call = event.item;
    const isNew = !conversation.id;
    conversation.apply(event);
    this.chat.handle(conversation, event);
    if (isNew && conversation.id && response.isStopped) void this.stopTurn(response, conversation.id);
  }

  /** Replaces the echo by the server's item; returns whether the event was that item. */
  private confirm(response: Response, event: StreamEvent): boolean {
    const { conversation, echo } = response;
    if (!echo || event.type !== "thread.item.done" || event.item?.type !== "user_message" || conversation.items.has(event.item.id)) return false;
    const item = itemOf(event.item);
    if (!item) return false;
    response.echo = null;
    response.isAccepted = true;
    conversation.confirm(echo, item);
    return true;
  }

  private refuse(response: Response, { message, code, allow_retry }: ErrorEvent): void {
    if (response.isStopped) return;
    const text = typeof message === "string" && message ? message : this.chat.strings.somethingWentWrong;
    this.chat.emit("error", { error: new StreamError(text) });
    if (response.isMessage && !response.isAccepted) return this.returnMessage(response, text);
    this.fail(response.conversation, { message: text, code: typeof code === "string" ? code : null, allowRetry: Boolean(allow_retry), retries: "answer" });
  }

  private async failed(response: Response, error: Error): Promise<void> {
    const { conversation, type, isMessage, signal } = response;
    if (signal.aborted || response.isStopped) return;
    if (error instanceof ConnectionLost) {
      this.chat.emit("log", { name: "connection.lost", data: { type } });
      return this.follow(response, 1);
    }
    const isAnswer = type === "threads.retry_after_item" || type === "threads.add_client_tool_output";
    if (!isMessage && !isAnswer) return this.chat.report(error);
    this.chat.emit("error", { error });
    const message = this.chat.describe(error);
    if (isMessage) return this.returnMessage(response, message);
    this.fail(conversation, { message, code: error instanceof RequestError ? error.code : null, allowRetry: true, retries: "answer" });
  }

  private fail(conversation: Conversation, failure: Failure): void {
    conversation.failure = failure;
    conversation.changed();
  }

  private returnMessage(response: Response, reason: string): void {
    response.isRefused = true;
    this.chat.toast({ level: "danger", text: `${reason} ${this.chat.strings.messageReturned}` });
  }

  /** Attaches until the turn has ended. */
  private async follow(response: Response, failures = 0): Promise<void> {
    const { conversation, signal } = response;
    const params = { thread_id: conversation.id, item_id: null, action: { type: ATTACH, payload: null } };
    while (failures <= ATTACH_TRIES) {
      if (failures) await backoff(failures, signal, { maxMs: ATTACH_MAX_WAIT_MS, isPatient: true });
      if (signal.aborted || response.isStopped || !conversation.id) return;
      const startedAt = performance.now();
      try {
        const isKnown = await this.readAgain(response, params);
        if (!isKnown) return this.lost(response, "answer");
        if (!conversation.hasOpenItems || conversation.failure) return;
      } catch (error) {
        // A server without re-attach, or a thread that is gone.
        if (error instanceof RequestError && !error.isOutage) return this.lost(response, "answer");
      }
      failures = performance.now() - startedAt < STEADY_MS ? failures + 1 : 1;
    }
    this.lost(response, "connection");
  }

  /** Reads an attached stream; returns false if the server answers with an error only: it does not know the action. */
  private async readAgain(response: Response, params: unknown): Promise<boolean> {
    let hasBegun = false;
    const events = this.chat.client.stream("threads.custom_action", params, response.signal, 1);
    const known = async function* () {
      for await (const event of events) {
        if (event.type !== "error") hasBegun = true;
        if (hasBegun) yield event;
      }
    };
    await this.read(response, known());
    return hasBegun || response.signal.aborted;
  }

  /** Nobody waits for a turn that was not shown as running: then this is silent. */
  private lost(response: Response, retries: "answer" | "connection"): void {
    const { conversation, signal } = response;
    if (signal.aborted || response.isStopped || !conversation.isResponding) return;
    const message = this.chat.strings.connectionLost;
    this.chat.emit("error", { error: new StreamError(message) });
    if (response.isMessage && !response.isAccepted) return this.returnMessage(response, message);
    this.fail(conversation, { message, code: null, allowRetry: true, retries });
  }

  private async runTool({ conversation, call, signal, isStopped }: Response): Promise<void> {
    if (!call || !conversation.id || signal.aborted || isStopped || this.calls.has(call.id)) return;
    this.calls.add(call.id);
    const result = await this.resultOf(call);
    // The user has not waited for the tool: the server has no call that this could answer.
    if (conversation.isResponding) return this.chat.emit("log", { name: "tool.late", data: { name: call.name } });
    await this.run(conversation, "threads.add_client_tool_output", { thread_id: conversation.id, result });
  }

  /** A tool that throws answers too: the agent would wait for ever. */
  private async resultOf({ name, arguments: params }: ClientToolCallItem): Promise<unknown> {
    try {
      const { onClientTool } = this.chat.options;
      if (!onClientTool) return { error: `The page has no handler for the tool ${name}.` };
      const result: unknown = (await onClientTool({ name, params })) ?? null;
      JSON.stringify(result); // a result that cannot be sent is an error of the tool
      return result;
    } catch (error) {
      this.chat.emit("error", { error: error instanceof Error ? error : new Error(String(error)) });
      return { error: String(error) };
    }
  }
}

/** A message that got an empty stream: nobody has told the user. */
function isUnanswered({ isMessage, isAccepted, isRefused, isStopped, signal }: Response): boolean {
  return isMessage && !isAccepted && !isRefused && !isStopped && !signal.aborted;
}

function isPendingCall(item: unknown): item is ClientToolCallItem {
  const { type, status, id } = (item ?? {}) as Partial<ClientToolCallItem>;
  return type === "client_tool_call" && status !== "completed" && typeof id === "string";
}
