/**
 * `<openai-chatkit>`: the element that a page sees. Options, methods and events as in the types of `@openai/chatkit`
 * 1.9.0; the components below it only know `Chat`.
 */
import type { ChatKitOptions, OpenAIChatKit } from "@openai/chatkit";
import { html, LitElement, nothing, type PropertyValues } from "lit";

import { Chat } from "./chat/chat";
import type { ComposerValue, UserMessage } from "./chat/draft";
import { frameSheet } from "./frame/frame";
import { Watch } from "./observable";
import { applyTheme, themeSheet } from "./theme/theme";

import "./composer/composer";
import "./icons/icon";
import "./frame/header";
import "./frame/start-screen";
import "./frame/toasts";
import "./thread/thread";

const NAME = "openai-chatkit";
/** The same element under a name that the stock script does not take: a name can be defined once per document. */
const OWN_NAME = "open-chatkit";

/** Where the script came from; only known while it runs. */
const home = (document.currentScript as HTMLScriptElement | null)?.src || document.baseURI;

export class OpenChatKit extends LitElement implements Omit<OpenAIChatKit, keyof HTMLElement> {
  static override styles = [themeSheet, frameSheet];

  /** Tells a page which element it has got, also before there is one. This one re-attaches and stops by itself. */
  static readonly implementation = "open";
  readonly implementation = "open";
  private chat: Chat | null = null;
  private readonly watch = new Watch(this, null);
  private start = () => {};
  /** The first render with options is done. */
  private readonly started = new Promise<void>((resolve) => {
    this.start = resolve;
  });
  private hasStarted = false;

  // Options and methods, as in the types of @openai/chatkit

  setOptions(options: ChatKitOptions): void {
    if (this.chat) {
      this.chat.options = options;
      this.chat.changed();
    } else {
      this.chat = new Chat(options, home, (name, detail) => this.emit(name, detail));
      this.watch.watch(this.chat);
    }
    applyTheme(this, options.theme);
    this.ariaLabel = options.frameTitle ?? this.chat.strings.chat;
    this.requestUpdate();
  }

  async focusComposer(): Promise<void> {
    (await this.whenReady()).shadow.querySelector<HTMLElement>("ck-composer [data-input]")?.focus();
  }

  async setThreadId(threadId: string | null): Promise<void> {
    await (await this.whenReady()).chat.open(threadId);
  }

  async sendUserMessage(message: UserMessage): Promise<void> {
    await (await this.whenReady()).chat.send(message);
  }

  async setComposerValue(value: ComposerValue): Promise<void> {
    const { chat } = await this.whenReady();
    chat.draft.set(value);
    if (value.files?.length) await (await import("./composer/uploads")).upload(chat, value.files);
  }

  async fetchUpdates(): Promise<void> {
    await (await this.whenReady()).chat.fetchUpdates();
  }

  async sendCustomAction(action: { type: string; payload?: Record<string, unknown> }, itemId?: string): Promise<void> {
    await (await this.whenReady()).chat.sendAction(action, itemId);
  }

  async showHistory(): Promise<void> {
    (await this.whenReady()).chat.openHistory();
  }

  async hideHistory(): Promise<void> {
    (await this.whenReady()).chat.closeHistory();
  }

  // Life cycle

  override connectedCallback(): void {
    super.connectedCallback();
    this.role ??= "region";
    document.addEventListener("visibilitychange", this.refresh);
    window.addEventListener("focus", this.refresh);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("visibilitychange", this.refresh);
    window.removeEventListener("focus", this.refresh);
  }

  override render() {
    const { chat } = this;
    if (!chat) return nothing;
    const { header, startScreen } = chat.options;
    const isNew = chat.shown.items.size === 0 && !chat.loadingId;
    return html`
      ${header?.enabled === false ? nothing : html`<ck-header .chat=${chat}></ck-header>`}
      <main>
        ${isNew && startScreen !== null ? html`<ck-start-screen .chat=${chat}></ck-start-screen>` : html`<ck-thread .chat=${chat} .conversation=${chat.shown}></ck-thread>`}
      </main>
      <ck-composer .chat=${chat}></ck-composer>
      ${chat.isHistoryOpen ? html`<ck-history .chat=${chat}></ck-history>` : nothing}
      <ck-toasts .chat=${chat}></ck-toasts>
    `;
  }

  protected override updated(_changed: PropertyValues): void {
    if (!this.chat || this.hasStarted) return;
    this.hasStarted = true;
    this.start();
    this.emit("ready");
    void this.chat.start();
  }

  private async whenReady(): Promise<{ chat: Chat; shadow: ShadowRoot }> {
    await this.started;
    return { chat: this.chat!, shadow: this.shadowRoot! };
  }

  private readonly refresh = () => {
    if (!document.hidden) void this.chat?.fetchUpdates().catch(() => {});
  };

  private emit(name: string, detail?: unknown): void {
    this.dispatchEvent(new CustomEvent(`chatkit.${name}`, { detail, bubbles: true, composed: true }));
  }
}

for (const name of [NAME, OWN_NAME]) if (!customElements.get(name)) customElements.define(name, class extends OpenChatKit {} as unknown as CustomElementConstructor);
