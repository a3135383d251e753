/**
 * The chat: which thread is shown, what is sent, what its streams do. The components call its methods and render its
 * state; the element passes options and methods in and dispatches its events.
 */
import type { ChatKitOptions, Entity } from "@openai/chatkit";

import { en, type Strings } from "../locales/en";
import { textsOf, wantedLocale } from "../locales/locales";
import { Observable } from "../observable";
import { Client, RequestError } from "../protocol/client";
import type { Action, StreamEvent, ThreadItem, WidgetItem } from "../protocol/wire";
import { Conversation } from "./conversation";
import { Draft, type UserMessage } from "./draft";
import { loadThread } from "./load-thread";
import { inputOf } from "./message";
import { Responses } from "./responses";
import { ThreadList } from "./thread-list";

/** The least time between two refreshes: a return to the tab is several events. */
const REFRESH_MS = 2_000;

export interface Toast {
  level: "info" | "warning" | "danger";
  text: string;
}

/** An action of a widget, with what chatkit's `ActionConfig` adds to it. */
export interface WidgetAction extends Action {
  handler?: "client" | "server";
  loadingBehavior?: "auto" | "none" | "self" | "container";
  streaming?: boolean;
}

/** Dispatches `chatkit.<name>`. */
export type Emit = (name: string, detail?: unknown) => void;

export class Chat extends Observable {
  strings: Strings = en;
  /** The language of the texts, with the user's region: for dates and numbers. */
  locale = "en";
  direction: "ltr" | "rtl" = "ltr";
  /** Resolves when the texts of the chosen language are there, or cannot be loaded. */
  texts: Promise<void>;
  /** Changes with the options and the texts; every part renders again. */
  readonly settings = new Observable();
  shown = new Conversation();
  /** The thread that is being loaded. */
  loadingId: string | null = null;
  private loading: { done: Promise<void>; abort: AbortController } | null = null;
  private refreshedAt = -REFRESH_MS;
  private hasStarted = false;
  isHistoryOpen = false;
  toasts: Toast[] = [];
  readonly client: Client;
  readonly draft: Draft;
  readonly threads: ThreadList;
  readonly responses: Responses;

  constructor(
    public options: ChatKitOptions,
    home: string,
    readonly emit: Emit,
  ) {
    super();
    this.client = new Client(
      () => ({ api: this.options.api, locale: wantedLocale(this.options), home }),
      (error) => this.emit("error", { error }),
    );
    this.draft = new Draft((toolId) => this.emit("tool.change", { toolId }));
    this.threads = new ThreadList(this.client);
    this.responses = new Responses(this);
    this.texts = this.loadTexts();
  }

  /** Applies new options; they replace all earlier ones. The initial thread counts only once. */
  configure(options: ChatKitOptions): void {
    const { url } = this.client;
    const locale = wantedLocale(this.options);
    this.options = options;
    if (options.history?.enabled === false) this.closeHistory();
    if (this.client.url !== url && this.hasStarted) void this.restart();
    if (wantedLocale(options) !== locale) this.texts = this.loadTexts();
    this.settings.changed();
    this.changed();
  }

  private async loadTexts(): Promise<void> {
    const wanted = wantedLocale(this.options);
    const texts = await textsOf(wanted);
    if (wanted !== wantedLocale(this.options)) return; // the page has chosen another one meanwhile
    Object.assign(this, texts);
    this.settings.changed();
    this.changed();
  }

  /** Loads the history and the first thread; call once. */
  async start(): Promise<void> {
    this.hasStarted = true;
    const { api, history, initialThread } = this.options;
    if (history?.enabled !== false) void this.refreshHistory();
    else if (!initialThread && "getClientSecret" in api) void this.client.logIn();
    if (initialThread) await this.open(initialThread);
  }

  // Threads

  /** Whether the start screen is shown. */
  get isNew(): boolean {
    const { items, failure } = this.shown;
    return items.size === 0 && !this.loadingId && !failure && (this.hasStarted || !this.options.initialThread);
  }

  /** Whether a message can be sent now. */
  get canSend(): boolean {
    return !this.shown.isResponding;
  }

  /** Shows a thread, or a new one; the stream of the last one goes on in the background. */
  async open(threadId: string | null): Promise<void> {
    this.closeHistory();
    this.loading?.abort.abort();
    this.loading = null;
    this.loadingId = null;
    const running = threadId && this.responses.conversationOf(threadId);
    if (running || !threadId) return this.show(running || new Conversation());
    const abort = new AbortController();
    this.loadingId = threadId;
    this.draft.showThread(threadId);
    this.changed();
    this.emit("thread.load.start", { threadId });
    this.loading = { abort, done: this.loadAndShow(threadId, abort.signal) };
    await this.loading.done;
  }

  private async loadAndShow(threadId: string, signal: AbortSignal): Promise<void> {
    try {
      const { thread, items } = await loadThread(this.client, threadId, signal);
      if (signal.aborted) return; // the user has chosen another one
      this.loadingId = null;
      this.show(new Conversation(thread, items));
      this.emit("thread.load.end", { threadId });
      void this.responses.attach(this.shown);
    } catch (error) {
      if (signal.aborted) return;
      this.loadingId = null;
      this.showUnloaded(threadId, error as Error);
    }
  }

  /** A thread that may load later stays the shown one, with Retry; one that is gone makes place for a new one. */
  private showUnloaded(threadId: string, error: Error): void {
    this.emit("error", { error });
    const message = this.describe(error);
    const isLasting = error instanceof RequestError && !error.isTemporary;
    const known = this.threads.threads.find(({ id }) => id === threadId) ?? { id: threadId, created_at: "" };
    const conversation = isLasting ? new Conversation() : new Conversation(known);
    if (isLasting) this.toast({ level: "danger", text: message });
    else conversation.failure = { message, code: null, allowRetry: true, retries: "load" };
    this.show(conversation);
  }

  /** Fetches the shown thread again, for example after another tab has written to it. */
  async fetchUpdates(): Promise<void> {
    await this.update({ runsTools: true });
  }

  /** When the user returns to the tab, or to the network. An error stays: new items would remove its Retry. */
  async refresh(): Promise<void> {
    const { shown } = this;
    if (document.hidden || performance.now() - this.refreshedAt < REFRESH_MS) return;
    this.refreshedAt = performance.now();
    if (shown.failure?.retries === "connection" || shown.failure?.retries === "load") return this.retryFailure();
    if (!shown.failure) await this.update({ runsTools: false }).catch(() => {});
  }

  private async update({ runsTools }: { runsTools: boolean }): Promise<void> {
    const { shown } = this;
    if (!shown.id || this.responses.isRunning(shown) || this.loadingId) return;
    const { responseCount } = shown;
    const { thread, items } = await loadThread(this.client, shown.id);
    if (shown.responseCount !== responseCount) return; // what the user has sent meanwhile is newer
    shown.reload(thread, items);
    this.threads.put(thread);
    if (shown === this.shown) await this.responses.attach(shown, { runsTools });
  }

  /** The element has left the page: streams end, turns go on at the server. */
  suspend(): void {
    this.responses.leaveAll();
    this.loading?.abort.abort();
  }

  /** The element is in the page again. */
  async resume(): Promise<void> {
    const threadId = this.loadingId;
    if (threadId) await this.open(threadId);
    else await this.update({ runsTools: true }).catch(() => {});
  }

  /** Begins anew, with another server. */
  async restart(): Promise<void> {
    this.responses.leaveAll();
    this.loading?.abort.abort();
    this.loading = null;
    this.loadingId = null;
    this.threads.clear();
    this.show(new Conversation());
    await this.start();
  }

  async rename(threadId: string, title: string): Promise<void> {
    await this.threads.rename(threadId, title);
    if (this.shown.id === threadId && this.shown.thread) this.shown.apply({ type: "thread.updated", thread: { ...this.shown.thread, title } });
  }

  async delete(threadId: string): Promise<void> {
    await this.threads.delete(threadId);
    const running = this.responses.conversationOf(threadId);
    if (running) this.responses.leave(running);
    if (this.shown.id === threadId) this.show(new Conversation());
  }

  async refreshHistory(): Promise<void> {
    await this.threads.load().catch((error: Error) => this.emit("error", { error }));
  }

  openHistory(): void {
    if (this.isHistoryOpen || this.options.history?.enabled === false) return;
    this.isHistoryOpen = true;
    this.changed();
    this.emit("history.open");
    void this.refreshHistory();
  }

  closeHistory(): void {
    if (!this.isHistoryOpen) return;
    this.isHistoryOpen = false;
    this.changed();
    this.emit("history.close");
  }

  private show(conversation: Conversation): void {
    const last = this.shown;
    this.shown = conversation;
    this.draft.showThread(conversation.id);
    this.changed();
    if (last !== conversation && last.isResponding) this.emit("response.end");
    this.emit("thread.change", { threadId: conversation.id });
    if (last !== conversation && conversation.isResponding) this.emit("response.start");
  }

  // Messages and answers

  /**
   * Sends a message; resolves when the response has ended, rejects while one runs. A message that was not accepted
   * returns to the composer.
   */
  async send(message: UserMessage): Promise<void> {
    if (message.newThread && (this.shown.id || this.loadingId || !this.canSend)) await this.open(null);
    if (this.loadingId) await this.loading?.done;
    const conversation = this.shown;
    if (!this.canSend || this.loadingId) throw new Error("A response is running.");
    const input = inputOf(message);
    const isAccepted = conversation.id
      ? await this.responses.run(conversation, "threads.add_user_message", { thread_id: conversation.id, input }, message)
      : await this.responses.run(conversation, "threads.create", { input }, message);
    if (isAccepted) return;
    const composed = this.loadingId ?? this.shown.id; // the thread that the composer writes to now
    this.draft.giveBack(message, conversation.id === composed ? undefined : conversation.id);
  }

  /** Answers a user message again: removes what followed it. Where the server refuses, it is shown again. */
  async retry(userMessageId: string): Promise<void> {
    const conversation = this.shown;
    if (!conversation.id || conversation.isResponding) return;
    const cut = conversation.cutAfter(userMessageId);
    const isAccepted = await this.responses.run(conversation, "threads.retry_after_item", { thread_id: conversation.id, item_id: userMessageId });
    if (!isAccepted) conversation.restore(cut);
  }

  /** What the Retry of an error does. */
  async retryFailure(): Promise<void> {
    const { id, failure, lastUserMessage } = this.shown;
    if (failure?.retries === "load") await this.open(id);
    else if (failure?.retries === "connection") await this.responses.attachAgain(this.shown);
    else if (lastUserMessage) await this.retry(lastUserMessage.item.id);
  }

  stop(): void {
    this.emit("response.stop");
    this.responses.stop(this.shown);
  }

  /** Rates the items of a turn; `key` is that of its first item. */
  async rate(itemIds: string[], kind: "positive" | "negative", key: string): Promise<void> {
    const conversation = this.shown;
    const before = conversation.ratings.get(key);
    conversation.ratings.set(key, kind);
    conversation.changed();
    try {
      await this.client.ask("items.feedback", { thread_id: conversation.id, item_ids: itemIds, kind });
    } catch (error) {
      if (before) conversation.ratings.set(key, before);
      else conversation.ratings.delete(key);
      conversation.changed();
      this.report(error as Error);
    }
  }

  /** Answers a structured input. */
  async answer(itemId: string, input: { status: "answered" | "skipped"; answers: Record<string, { values: string[]; skipped: boolean }> }): Promise<void> {
    const conversation = this.shown;
    if (!conversation.id || conversation.isResponding) return;
    await this.responses.run(conversation, "threads.add_structured_input", { thread_id: conversation.id, item_id: itemId, input });
  }

  /** Sends an action. Rejects, as the stock element does, while a thread loads, while it responds, and without one. */
  async sendAction(action: Action, itemId?: string): Promise<void> {
    const conversation = this.shown;
    if (this.loadingId || conversation.isResponding || !conversation.id) throw new Error("ignored");
    // From a page with attach.ts, which it does not need here.
    if (action.type === "turn.attach") return this.responses.attach(conversation);
    await this.responses.run(conversation, "threads.custom_action", { thread_id: conversation.id, item_id: itemId ?? null, action });
  }

  /** Runs a widget's action at the page or at the server, as the action says; resolves when its effect is there. */
  async runAction(action: WidgetAction, widgetItem: WidgetItem): Promise<void> {
    const { handler, streaming, type, payload } = action;
    const conversation = this.shown;
    try {
      if (handler === "client") {
        await this.options.widgets?.onAction?.({ type, payload: payload as Record<string, unknown> }, widgetItem);
      } else if (streaming === false) {
        const params = { thread_id: conversation.id, item_id: widgetItem.id, action: { type, payload } };
        const { updated_item } = await this.client.ask<{ updated_item?: ThreadItem | null }>("threads.sync_custom_action", params);
        if (updated_item) conversation.apply({ type: "thread.item.replaced", item: updated_item });
      } else if (!conversation.isResponding) {
        await this.sendAction({ type, payload }, widgetItem.id);
      }
    } catch (error) {
      this.report(error as Error);
    }
  }

  // Events that are about more than one thread; `Responses` calls these

  handle(conversation: Conversation, event: StreamEvent): void {
    if (event.type === "client_effect") return this.emit("effect", { name: event.name, data: event.data ?? {} });
    if ((event.type !== "thread.created" && event.type !== "thread.updated") || !event.thread?.id) return;
    this.threads.put(event.thread);
    if (event.type === "thread.created" && conversation === this.shown) {
      this.draft.nameThread(event.thread.id);
      this.emit("thread.change", { threadId: event.thread.id });
    }
    this.changed();
  }

  // Messages to the user

  /** Reports an error to the page and shows it briefly. */
  report(error: Error): void {
    this.emit("error", { error });
    this.toast({ level: "danger", text: this.describe(error) });
  }

  describe(error: Error): string {
    if (!(error instanceof RequestError)) return error.message || this.strings.somethingWentWrong;
    if (error.status === 429) return this.strings.tooManyRequests;
    if (error.message && error.status !== null && error.status !== 200) return error.message;
    return navigator.onLine ? this.strings.serverUnreachable : this.strings.offline;
  }

  /** `Toasts` dismisses it after a while. */
  toast(toast: Toast): void {
    this.toasts = [...this.toasts.filter(({ text }) => text !== toast.text), toast];
    this.changed();
  }

  dismiss(toast: Toast): void {
    this.toasts = this.toasts.filter((other) => other !== toast);
    this.changed();
  }

  clickEntity(entity: Entity): void {
    this.options.entities?.onClick?.(entity);
  }
}
