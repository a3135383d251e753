/** The panel over the thread with all threads of the user: search, open, rename, delete. */
import { css, html, nothing } from "lit";

import { icon } from "../icons/core";
import { Watch } from "../observable";
import { define, Part } from "../part";
import type { ThreadMetadata } from "../protocol/wire";
import { matcher } from "./groups";
import "./list";
import type { HistoryList } from "./list";

const SEARCH_MS = 120;
const FOCUSABLE = "button:not(:disabled), input, [tabindex]";

class History extends Part {
  static override properties = { ...Part.properties, query: { state: true }, doomed: { state: true } };
  static override sheet = css`
    ck-history {
      position: absolute; inset: 0; z-index: 20; display: block; background: var(--ck-scrim); animation: ck-fade var(--ck-slow) var(--ck-ease);
      .panel {
        position: relative; display: flex; flex-direction: column; inline-size: min(22rem, 100%); block-size: 100%;
        background: var(--ck-bg); border-inline-end: 1px solid var(--ck-border); box-shadow: var(--ck-shadow); animation: ck-slide var(--ck-slow) var(--ck-ease);
        &:dir(rtl) { animation-name: ck-slide-rtl; }
        &:focus-visible { outline: none; }
      }
      .head { display: flex; align-items: center; gap: 2px; flex: none; padding-block-start: calc(var(--ck-space) * 2); padding-inline: calc(var(--ck-space) * 4) calc(var(--ck-space) * 2); }
      h2 { flex: 1; min-inline-size: 0; font-size: var(--ck-size); font-weight: 600; }
      .search {
        position: relative; flex: none; margin: calc(var(--ck-space) * 2) calc(var(--ck-space) * 3);
        svg { position: absolute; inset-inline-start: calc(var(--ck-space) * 2.5); inset-block: 0; margin-block: auto; inline-size: 16px; block-size: 16px; color: var(--ck-muted); pointer-events: none; }
        input { padding-inline-start: calc(var(--ck-space) * 2.5 + 24px); font-size: var(--ck-size-sm); }
        input::-webkit-search-cancel-button { display: none; }
      }
      .list { flex: 1; min-block-size: 0; overflow-y: auto; overscroll-behavior: contain; padding: var(--ck-space) calc(var(--ck-space) * 2) calc(var(--ck-space) * 4); font-size: var(--ck-size-sm); }
      .skeletons { display: grid; gap: calc(var(--ck-space) * 4); padding: calc(var(--ck-space) * 3); .ck-skeleton { block-size: 14px; inline-size: 80%; } .w2 { inline-size: 60%; } .w3 { inline-size: 70%; } }
      .message { display: grid; justify-items: center; gap: calc(var(--ck-space) * 3); padding: calc(var(--ck-space) * 10) calc(var(--ck-space) * 6); color: var(--ck-muted); text-align: center; text-wrap: balance; overflow-wrap: anywhere; }
      .message.small { padding-block: calc(var(--ck-space) * 3); }
      .message > svg { inline-size: 24px; block-size: 24px; }
      .confirm {
        position: absolute; inset: 0; display: grid; place-items: center; padding: calc(var(--ck-space) * 4); background: var(--ck-scrim);
        > div { display: grid; gap: calc(var(--ck-space) * 4); inline-size: min(20rem, 100%); padding: calc(var(--ck-space) * 5); border: 1px solid var(--ck-border); border-radius: var(--ck-radius-lg); background: var(--ck-elevated); box-shadow: var(--ck-shadow); }
        h3 { font-size: var(--ck-size); font-weight: 600; }
        p { margin-block-start: calc(var(--ck-space) * 1.5); font-size: var(--ck-size-sm); color: var(--ck-muted); overflow-wrap: anywhere; }
        .buttons { display: flex; flex-wrap: wrap; justify-content: end; gap: calc(var(--ck-space) * 2); }
      }
      @container (inline-size < 420px) {
        .panel { inline-size: 100%; border: none; box-shadow: none; }
      }
    }
    @keyframes ck-fade { from { background: transparent; } }
    @keyframes ck-slide { from { translate: -24px; opacity: 0; } }
    @keyframes ck-slide-rtl { from { translate: 24px; opacity: 0; } }
  `;

  declare private query: string;
  /** The thread that the user is asked about before it is deleted. */
  declare private doomed: ThreadMetadata | null;
  private readonly chatWatch = new Watch(this, null);
  private readonly threadsWatch = new Watch(this, null);
  /** The threads that match the query, until one of these changes: all threads, the language, the query. */
  private found: ThreadMetadata[] = [];
  private foundFor: unknown[] = [];
  private searchTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.query = "";
    this.doomed = null;
    this.addEventListener("keydown", this.onKey);
    this.addEventListener("ck-delete", (event) => (this.doomed = (event as CustomEvent<ThreadMetadata>).detail));
    this.addEventListener("ck-search", () => this.searchField?.focus());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.searchTimer);
  }

  override willUpdate() {
    const { chat } = this;
    this.chatWatch.watch(chat);
    this.threadsWatch.watch(chat.threads);
    const key = [chat.threads.threads, chat.strings, this.query];
    if (key.every((value, index) => value === this.foundFor[index])) return;
    this.foundFor = key;
    this.found = this.query ? chat.threads.threads.filter(matcher(this.query, chat.strings.untitled)) : chat.threads.threads;
  }

  override render() {
    const { strings } = this.chat;
    const close = () => this.chat.closeHistory();
    return html`<div class="panel" role="dialog" aria-modal="true" aria-label=${strings.history} tabindex="-1">
        <div class="head" ?inert=${this.doomed !== null}>
          <h2>${strings.history}</h2>
          <button type="button" class="ck-icon-button" aria-label=${strings.newChat} title=${strings.newChat} @click=${this.startNew}>${icon("compose")}</button>
          <button type="button" class="ck-icon-button" aria-label=${strings.close} title=${strings.close} @click=${close}>${icon("close")}</button>
        </div>
        <div class="search" ?inert=${this.doomed !== null}>
          ${icon("search")}
          <input type="search" class="ck-field" aria-label=${strings.searchHistory} placeholder=${strings.searchHistory} autocomplete="off" @input=${this.onSearch} @keydown=${this.onSearchKey} />
        </div>
        <div class="list" ?inert=${this.doomed !== null}>${this.content()}</div>
        ${this.doomed ? this.question(this.doomed) : nothing}
      </div>`;
  }

  override firstUpdated() {
    this.addEventListener("click", (event) => event.target === this && this.chat.closeHistory());
    // A keyboard on the screen would cover the list.
    const focused = matchMedia("(pointer: coarse)").matches ? this.querySelector<HTMLElement>(".panel") : this.searchField;
    focused?.focus();
  }

  private get searchField(): HTMLInputElement | null {
    return this.querySelector("input[type=search]");
  }

  private get list(): HistoryList | null {
    return this.querySelector("ck-history-list");
  }

  private content() {
    const { chat, query, found } = this;
    const { strings } = chat;
    const { threads, isLoading, error } = chat.threads;
    if (!threads.length && error) return html`<div class="message" role="alert">${icon("alert")}<p>${strings.historyFailed}</p>${this.retryButton()}</div>`;
    if (!threads.length && isLoading) return this.skeletons();
    if (!threads.length) return html`<div class="message">${icon("history")}<p>${strings.noThreads}</p></div>`;
    return html`
      ${error ? html`<div class="message small" role="alert"><p>${strings.historyFailed}</p>${this.retryButton()}</div>` : nothing}
      <p role="status" class=${found.length || isLoading ? "ck-hidden" : "message"}>${query ? (found.length ? strings.threadsFound(found.length) : isLoading ? strings.loading : strings.nothingFound(query)) : ""}</p>
      ${found.length ? html`<ck-history-list .chat=${chat} .threads=${found}></ck-history-list>` : nothing}
    `;
  }

  private retryButton() {
    return html`<button type="button" class="ck-button" @click=${() => this.chat.refreshHistory()}>${icon("reload")}${this.chat.strings.retry}</button>`;
  }

  private skeletons() {
    const widths = ["w1", "w2", "w3", "w2", "w1", "w3"];
    return html`<div class="skeletons" role="status"><span class="ck-hidden">${this.chat.strings.loading}</span>${widths.map((width) => html`<span class="ck-skeleton ${width}"></span>`)}</div>`;
  }

  private question(thread: ThreadMetadata) {
    const { strings } = this.chat;
    return html`<div class="confirm" @keydown=${this.onConfirmKey}>
      <div role="alertdialog" aria-modal="true" aria-labelledby="delete-title" aria-describedby="delete-text">
        <div>
          <h3 id="delete-title">${strings.deleteQuestion}</h3>
          <p id="delete-text">${strings.deleteWarning(thread.title || strings.untitled)}</p>
        </div>
        <div class="buttons">
          <button type="button" class="ck-button" @click=${this.keep}>${strings.cancel}</button>
          <button type="button" class="ck-button danger" @click=${this.deleteDoomed}>${strings.delete}</button>
        </div>
      </div>
    </div>`;
  }

  override updated(changed: Map<string, unknown>) {
    if (changed.has("doomed") && this.doomed) this.querySelector<HTMLElement>(".confirm button")?.focus();
  }

  private readonly keep = async () => {
    const { doomed } = this;
    this.doomed = null;
    await this.updateComplete;
    this.list?.focusRow(doomed?.id ?? null);
  };

  private readonly deleteDoomed = async () => {
    const { doomed, chat } = this;
    if (!doomed) return;
    const neighbour = this.list?.neighbourOf(doomed.id) ?? null;
    this.doomed = null;
    try {
      await chat.delete(doomed.id);
    } catch (error) {
      chat.report(error as Error);
    }
    await this.updateComplete;
    await this.list?.updateComplete;
    if (this.list) this.list.focusRow(neighbour);
    else this.searchField?.focus();
  };

  private readonly startNew = () => {
    void this.chat.open(null);
    this.chat.closeHistory();
    this.dispatchEvent(new CustomEvent("ck-compose", { bubbles: true }));
  };

  private readonly onSearch = (event: Event) => {
    const { value } = event.target as HTMLInputElement;
    clearTimeout(this.searchTimer);
    this.searchTimer = setTimeout(() => (this.query = value.trim()), SEARCH_MS);
  };

  private readonly onSearchKey = (event: KeyboardEvent) => {
    const field = event.target as HTMLInputElement;
    if (event.key === "ArrowDown") this.list?.focusRow(null);
    else if (event.key === "Escape" && field.value) this.clearSearch(field, event);
    else return;
    event.preventDefault();
  };

  private clearSearch(field: HTMLInputElement, event: Event): void {
    event.stopPropagation(); // the next Escape closes the history
    field.value = "";
    this.query = "";
  }

  private readonly onConfirmKey = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    void this.keep();
  };

  private readonly onKey = (event: KeyboardEvent) => {
    if (event.key === "Escape") this.chat.closeHistory();
    else if (event.key === "Tab") this.keepFocus(event);
  };

  /** Tab goes round in the panel. */
  private keepFocus(event: KeyboardEvent): void {
    const reachable = [...this.querySelectorAll<HTMLElement>(FOCUSABLE)].filter((element) => element.tabIndex >= 0 && !element.closest("[inert]"));
    const focused = (this.getRootNode() as ShadowRoot).activeElement;
    const [first, last] = [reachable[0], reachable.at(-1)];
    const isAtEnd = event.shiftKey ? focused === first || !reachable.includes(focused as HTMLElement) : focused === last;
    if (!isAtEnd) return;
    event.preventDefault();
    (event.shiftKey ? last : first)?.focus();
  }
}

define("ck-history", History);
