/**
 * The running responses. One may go on in the background while another thread is shown. A response whose connection is
 * lost is attached again: the server replays what was missed and continues.
 */
import { backoff, ConnectionLost, RequestError } from "../protocol/client";
import type { ClientToolCallItem, StreamEvent, UserMessageItem } from "../protocol/wire";
import type { Chat } from "./chat";
import type { Conversation } from "./conversation";
import type { UserMessage } from "./draft";

const ATTACH_TRIES = 10;
const STOP_TRIES = 6;
/** After Stop, the server ends the stream; one that does not is closed. */
const STOP_MS = 5_000;

class StreamError extends Error {
  override name = "StreamError";
}

interface Response {
  conversation: Conversation;
  abort: AbortController;
  /** The server has accepted the request: an event has come. */
  isAccepted: boolean;
}

export class Responses {
  private readonly running = new Map<Conversation, Response>();

  constructor(private readonly chat: Chat) {}

  conversationOf(threadId: string): Conversation | null {
    return [...this.running.keys()].find(({ id }) => id === threadId) ?? null;
  }

  /** Runs a streaming operation to its end, with the tools it calls in the page; returns whether it was accepted. */
  async run(conversation: Conversation, type: string, params: unknown, message?: UserMessage): Promise<boolean> {
    conversation.failure = null;
    conversation.notices = [];
    const echo = message && this.showSent(conversation, message);
    this.begin(conversation);
    this.chat.emit("log", { name: "composer.submit", data: { type } });
    const response = this.open(conversation);
    try {
      for await (const event of this.chat.client.stream(type, params, response.abort.signal)) {
        if (echo && isEcho(event)) conversation.items.delete(echo.id);
        this.accept(response, event, message !== undefined);
      }
    } catch (error) {
      if (!response.abort.signal.aborted) await this.failed(response, error as Error, message !== undefined);
    }
    if (echo) conversation.items.delete(echo.id);
    this.end(response);
    await this.runTools(conversation);
    return response.isAccepted;
  }

  /** Shows a turn that is running at the server; does nothing without one. Its failures are silent. */
  async attach(conversation: Conversation): Promise<void> {
    if (!conversation.id || this.running.has(conversation)) return;
    const response = this.open(conversation);
    await this.follow(response);
    this.end(response);
    await this.runTools(conversation);
  }

  /** Stops the response here and at the server. */
  stop(conversation: Conversation): void {
    const response = this.running.get(conversation);
    if (!response || !conversation.id) return response?.abort.abort();
    void this.stopAtServer(conversation.id).then((isStopped) => {
      if (!isStopped) response.abort.abort();
    });
    setTimeout(() => response.abort.abort(), STOP_MS);
  }

  private async stopAtServer(threadId: string): Promise<boolean> {
    for (let tries = 1; tries <= STOP_TRIES; tries++) {
      if (await this.chat.client.stop(threadId)) return true;
      await backoff(tries);
    }
    return false;
  }

  private open(conversation: Conversation): Response {
    const response = { conversation, abort: new AbortController(), isAccepted: false };
    this.running.set(conversation, response);
    return response;
  }

  private begin(conversation: Conversation): void {
    if (conversation.isResponding) return;
    conversation.isResponding = true;
    conversation.changed();
    if (conversation === this.chat.shown) this.chat.emit("response.start");
  }

  private end({ conversation }: Response): void {
    this.running.delete(conversation);
    const wasResponding = conversation.isResponding;
    conversation.close();
    if (wasResponding && conversation === this.chat.shown) this.chat.emit("response.end");
  }

  private accept(response: Response, event: StreamEvent, isMessage: boolean): void {
    const { conversation } = response;
    if (event.type === "error") {
      const message = event.message || this.chat.strings.somethingWentWrong;
      const failure = { message, code: event.code, allowRetry: Boolean(event.allow_retry) };
      if (isMessage && !response.isAccepted) this.chat.toast({ level: "danger", text: message });
      else conversation.failure = failure;
      this.chat.emit("error", { error: new StreamError(message) });
      return conversation.changed();
    }
    if (!isMessage || isEcho(event)) response.isAccepted = true;
    if (event.type === "progress_update" || event.type === "thread.item.added") this.begin(conversation);
    conversation.apply(event);
    this.chat.handle(conversation, event);
  }

  private async failed(response: Response, error: Error, isMessage: boolean): Promise<void> {
    if (error instanceof ConnectionLost) return this.follow(response, 1);
    this.chat.emit("error", { error });
    if (isMessage) return this.chat.toast({ level: "danger", text: this.chat.describe(error) });
    response.conversation.failure = { message: this.chat.describe(error), code: error instanceof RequestError ? error.code : null, allowRetry: true };
  }

  /** Attaches until the turn has ended. */
  private async follow(response: Response, lost = 0): Promise<void> {
    const { conversation, abort } = response;
    const params = { thread_id: conversation.id, item_id: null, action: { type: "turn.attach", payload: null } };
    for (let failures = lost; ; failures++) {
      if (failures > ATTACH_TRIES) {
        conversation.failure = { message: this.chat.strings.connectionLost, code: null, allowRetry: true };
        return;
      }
      if (failures) await backoff(failures, abort.signal, 15_000);
      if (abort.signal.aborted || !conversation.id) return;
      try {
        for await (const event of this.chat.client.stream("threads.custom_action", params, abort.signal, 1)) {
          failures = 0;
          if (event.type === "error" && !conversation.isResponding) continue; // an older turn's
          this.accept(response, event, false);
        }
        return;
      } catch (error) {
        // A server without re-attach, or a thread that is gone.
        if (error instanceof RequestError && !error.isTemporary) return;
      }
    }
  }

  private async runTools(conversation: Conversation): Promise<void> {
    const call = [...conversation.items.values()].map(({ item }) => item).findLast((item) => item.type === "client_tool_call" && item.status === "pending");
    if (call?.type !== "client_tool_call" || !conversation.id) return;
    conversation.items.delete(call.id); // it runs once
    const result = await this.resultOf(call);
    await this.run(conversation, "threads.add_client_tool_output", { thread_id: conversation.id, result });
  }

  /** A tool that throws answers too: the agent would wait for ever. */
  private async resultOf({ name, arguments: params }: ClientToolCallItem): Promise<unknown> {
    try {
      const { onClientTool } = this.chat.options;
      if (!onClientTool) return { error: `The page has no handler for the tool ${name}.` };
      return (await onClientTool({ name, params })) ?? null;
    } catch (error) {
      this.chat.emit("error", { error });
      return { error: String(error) };
    }
  }

  /** Shows the sent message until the server's own item replaces it. */
  private showSent(conversation: Conversation, message: UserMessage): UserMessageItem {
    const item: UserMessageItem = {
      type: "user_message",
      id: `sending-${Date.now()}`,
      thread_id: conversation.id ?? "",
      created_at: new Date().toISOString(),
      content: message.content ?? [{ type: "input_text", text: message.text ?? "" }],
      attachments: message.attachments ?? [],
      quoted_text: message.reply ?? null,
      inference_options: {},
    };
    conversation.apply({ type: "thread.item.done", item });
    return item;
  }
}

function isEcho(event: StreamEvent): boolean {
  return event.type === "thread.item.done" && event.item.type === "user_message";
}
