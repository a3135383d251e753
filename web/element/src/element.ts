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
import { controlsSheet } from "./theme/controls";
import { Theme, themeSheet } from "./theme/theme";

import "./composer/composer";
import "./icons/icon";
import "./frame/header";
import "./frame/start-screen";
import "./thread/thread";

const NAME = "openai-chatkit";
/** The same element under a name that the stock script does not take: a name can be defined once per document. */
const OWN_NAME = "open-chatkit";

/** Where the script came from; only known while it runs. */
const home = (document.currentScript as HTMLScriptElement | null)?.src || document.baseURI;

/** The page may add its listeners in an effect after the first paint; the stock element loads a frame meanwhile. */
const READY_FRAMES = 2;
/** A hidden page has no frames. */
const READY_MS = 100;
/** The first render waits so long for the texts of another language than English, and for the page's colours. */
const LOOKS_MS = 1_500;

export class OpenChatKit extends LitElement implements Omit<OpenAIChatKit, keyof HTMLElement> {
  static override styles = [themeSheet, controlsSheet, frameSheet];

  /** Tells a page which element it has got, also before there is one. This one re-attaches and stops by itself. */
  static readonly implementation = "open";
  readonly implementation = "open";
  private chat: Chat | null = null;
  /** Texts and colours are there: the element may render. */
  private isShown = false;
  private hasStarted = false;
  private isSuspended = false;
  private isHistoryShown = false;
  /** The label that this element has given itself; a page may give it another. */
  private label: string | null = null;
  /** What has the focus when the history closes. */
  private afterHistory: HTMLElement | null = null;
  private readonly theme = new Theme();
  private readonly watch = new Watch(this, null);
  private readonly threadWatch = new Watch(this, null);
  private becomeReady = () => {};
  private readonly ready = new Promise<void>((resolve) => {
    this.becomeReady = resolve;
  });

  // Options and methods, as in the types of @openai/chatkit. Methods called before the first options wait for them.

  /** The same as `setOptions`, for pages and frameworks that set properties. */
  get options(): ChatKitOptions | null {
    return this.chat?.options ?? null;
  }

  set options(options: ChatKitOptions) {
    this.setOptions(options);
  }

  setOptions(options: ChatKitOptions): void {
    if (!options?.api) throw new TypeError("ChatKit: setOptions needs the option `api`, and all other options again.");
    this.theme.apply(options.theme);
    if (this.chat) return this.chat.configure(options);
    this.chat = new Chat(options, home, (name, detail) => this.emit(name, detail));
    this.watch.watch(this.chat);
    void this.showWith(Promise.all([this.chat.texts, this.theme.ready]));
  }

  async focusComposer(): Promise<void> {
    await this.ready;
    this.composer?.focus();
  }

  async setThreadId(threadId: string | null): Promise<void> {
    await (await this.whenReady()).open(threadId);
  }

  async sendUserMessage(message: UserMessage): Promise<void> {
    await (await this.whenReady()).send(message);
  }

  async setComposerValue(value: ComposerValue): Promise<void> {
    const chat = await this.whenReady();
    chat.draft.set(value);
    if (value.files?.length) await (await import("./composer/uploads")).upload(chat, value.files);
  }

  async fetchUpdates(): Promise<void> {
    await (await this.whenReady()).fetchUpdates();
  }

  async sendCustomAction(action: { type: string; payload?: Record<string, unknown> }, itemId?: string): Promise<void> {
    await (await this.whenReady()).sendAction(action, itemId);
  }

  async showHistory(): Promise<void> {
    (await this.whenReady()).openHistory();
  }

  async hideHistory(): Promise<void> {
    (await this.whenReady()).closeHistory();
  }

  // Life cycle

  override createRenderRoot(): HTMLElement | DocumentFragment {
    const root = super.createRenderRoot() as ShadowRoot;
    root.adoptedStyleSheets.push(this.theme.sheet);
    root.addEventListener("ck-compose", () => {
      if (matchMedia("(pointer: coarse)").matches) return; // a keyboard on the screen would come up
      if (this.isHistoryShown) this.afterHistory = this.composer;
      else void this.focusComposer();
    });
    return root;
  }

  override connectedCallback(): void {
    this.upgrade();
    super.connectedCallback();
    if (!this.hasAttribute("role")) this.setAttribute("role", "region");
    document.addEventListener("visibilitychange", this.refresh);
    window.addEventListener("focus", this.refresh);
    window.addEventListener("online", this.refresh);
    if (this.isSuspended) void this.chat?.resume();
    this.isSuspended = false;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("visibilitychange", this.refresh);
    window.removeEventListener("focus", this.refresh);
    window.removeEventListener("online", this.refresh);
    // Not where the page only moves the element.
    setTimeout(() => {
      if (this.isConnected || this.isSuspended) return;
      this.isSuspended = true;
      this.chat?.suspend();
    });
  }

  override willUpdate(): void {
    this.threadWatch.watch(this.chat?.shown ?? null);
    if (this.chat) this.describe(this.chat);
    if (this.chat && this.chat.isHistoryOpen !== this.isHistoryShown) this.toggleHistory(this.chat);
  }

  override render() {
    const { chat } = this;
    if (!chat || !this.isShown) return nothing;
    const { header, startScreen } = chat.options;
    return html`<div class="ck-frame">
      ${header?.enabled === false ? nothing : html`<ck-header .chat=${chat} ?inert=${chat.isHistoryOpen}></ck-header>`}
      <div class="ck-main" ?inert=${chat.isHistoryOpen}>
        ${chat.isNew && startScreen !== null ? html`<ck-start-screen .chat=${chat}></ck-start-screen>` : html`<ck-thread .chat=${chat} .conversation=${chat.shown}></ck-thread>`}
      </div>
      <ck-composer .chat=${chat} ?inert=${chat.isHistoryOpen}></ck-composer>
      ${chat.isHistoryOpen ? html`<ck-history .chat=${chat}></ck-history>` : nothing}
      <ck-toasts .chat=${chat}></ck-toasts>
    </div>`;
  }

  protected override updated(_changed: PropertyValues): void {
    if (!this.chat || !this.isShown || this.hasStarted) return;
    this.hasStarted = true;
    void this.begin(this.chat);
  }

  /** The history's code comes when it is first opened. Escape returns the focus to where it was before. */
  private toggleHistory(chat: Chat): void {
    this.isHistoryShown = chat.isHistoryOpen;
    if (!chat.isHistoryOpen) return void this.updateComplete.then(() => this.shadowRoot?.activeElement || this.afterHistory?.focus());
    this.afterHistory = this.shadowRoot!.activeElement as HTMLElement | null;
    import("./history/history").catch(() => {
      chat.closeHistory();
      chat.toast({ level: "danger", text: chat.strings.notLoaded });
    });
  }

  private async showWith(looks: Promise<unknown>): Promise<void> {
    await Promise.race([looks, new Promise((resolve) => setTimeout(resolve, LOOKS_MS))]);
    this.isShown = true;
    this.requestUpdate();
  }

  private async begin(chat: Chat): Promise<void> {
    await frames(READY_FRAMES);
    this.emit("ready");
    this.becomeReady();
    void import("./frame/toasts").catch(() => {}); // early: their messages are about lost connections
    await chat.start();
  }

  /** Name, language and direction, for assistive technology and the layout. */
  private describe({ options, strings, locale, direction }: Chat): void {
    const label = options.frameTitle ?? strings.chat;
    const isOurs = this.ariaLabel === null || this.ariaLabel === this.label;
    if (this.label !== label && (isOurs || options.frameTitle)) this.ariaLabel = this.label = label;
    if (this.lang !== locale) this.lang = locale;
    if (this.dir !== direction) this.dir = direction;
  }

  /** Options that were set before the script defined the element are properties of its own: passes them on. */
  private upgrade(): void {
    const own = Object.getOwnPropertyDescriptor(this, "options");
    if (!own) return;
    delete (this as { options?: unknown }).options;
    this.options = own.value as ChatKitOptions;
  }

  private get composer(): HTMLElement | null {
    return this.shadowRoot!.querySelector("ck-composer [data-input]");
  }

  private async whenReady(): Promise<Chat> {
    await this.ready;
    return this.chat!;
  }

  private readonly refresh = () => {
    void this.chat?.refresh();
  };

  private emit(name: string, detail?: unknown): void {
    this.dispatchEvent(new CustomEvent(`chatkit.${name}`, { detail, bubbles: true, composed: true }));
  }
}

async function frames(count: number): Promise<void> {
  for (let frame = 0; frame < count; frame++) {
    await new Promise((resolve) => {
      requestAnimationFrame(resolve);
      setTimeout(resolve, READY_MS);
    });
  }
}

for (const name of [NAME, OWN_NAME]) if (!customElements.get(name)) customElements.define(name, class extends OpenChatKit {} as unknown as CustomElementConstructor);
