/** One thread of the history: opens it; the buttons beside it rename and delete it. */
import { css, html, nothing } from "lit";

import { icon } from "../icons/core";
import { define, Part } from "../part";
import type { ThreadMetadata } from "../protocol/wire";

export class HistoryRow extends Part {
  static override properties = {
    ...Part.properties,
    thread: { attribute: false },
    isCurrent: { attribute: false },
    isRunning: { attribute: false },
    isTabStop: { attribute: false },
    isRenaming: { state: true },
  };
  static override sheet = css`
    ck-history-row {
      display: flex; align-items: center; position: relative; border-radius: var(--ck-radius); content-visibility: auto; contain-intrinsic-block-size: var(--ck-control);
      &:hover, &:focus-within { background: var(--ck-hover); }
      &[data-current] { background: var(--ck-surface-strong); }
      .open { display: flex; align-items: center; gap: calc(var(--ck-space) * 2); flex: 1; min-inline-size: 0; min-block-size: var(--ck-control); padding-inline: calc(var(--ck-space) * 3); border-radius: inherit; outline-offset: -2px; }
      .title { flex: 1; min-inline-size: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
      .open > svg { inline-size: 14px; block-size: 14px; color: var(--ck-muted); }
      .ck-spinner { inline-size: 14px; block-size: 14px; color: var(--ck-accent-text); }
      .actions { display: flex; flex: none; padding-inline-end: 4px; }
      .ck-icon-button { inline-size: 28px; block-size: 28px; svg { inline-size: 16px; block-size: 16px; } }
      @media (hover: hover) {
        &:not(:hover, :focus-within) .actions { inline-size: 0; padding: 0; overflow: hidden; }
      }
      form { flex: 1; padding: 2px; }
      .ck-field { min-block-size: calc(var(--ck-control) - 4px); padding-block: 2px; padding-inline: calc(var(--ck-space) * 3 - 3px); }
    }
    @media (forced-colors: active) { ck-history-row[data-current] { outline: 2px solid Highlight; outline-offset: -2px; } }
  `;

  declare thread: ThreadMetadata;
  declare isCurrent: boolean;
  declare isRunning: boolean;
  /** The arrow keys move between rows; Tab reaches only one of them. */
  declare isTabStop: boolean;
  declare private isRenaming: boolean;

  override render() {
    const { chat, thread } = this;
    this.toggleAttribute("data-current", this.isCurrent);
    this.dataset.thread = thread.id;
    if (this.isRenaming) return this.form();
    const { strings, options } = chat;
    const title = thread.title || strings.untitled;
    const tabIndex = this.isTabStop ? 0 : -1;
    return html`<button type="button" class="open" tabindex=${tabIndex} aria-current=${this.isCurrent ? "true" : nothing} title=${title} @click=${this.open} @keydown=${this.onKey}>
        <span class="title ck-name" dir="auto">${title}</span>
        ${this.isRunning ? html`<span class="ck-spinner" role="img" aria-label=${strings.answering}></span>` : nothing}
        ${thread.status?.type === "locked" ? html`${icon("lock")}<span class="ck-hidden">${strings.locked}</span>` : nothing}
      </button>
      <span class="actions">
        ${options.history?.showRename === false
          ? nothing
          : html`<button type="button" class="ck-icon-button" tabindex=${tabIndex} aria-label=${strings.renameThread(title)} title=${strings.rename} @click=${this.rename}>${icon("pencil")}</button>`}
        ${options.history?.showDelete === false
          ? nothing
          : html`<button type="button" class="ck-icon-button" tabindex=${tabIndex} aria-label=${strings.deleteThread(title)} title=${strings.delete} @click=${this.askToDelete}>${icon("trash")}</button>`}
      </span>`;
  }

  private readonly open = () => {
    void this.chat.open(this.thread.id);
    this.dispatchEvent(new CustomEvent("ck-compose", { bubbles: true }));
  };

  override focus(): void {
    this.querySelector<HTMLElement>(".open")?.focus();
  }

  private form() {
    const submit = (event: Event) => {
      event.preventDefault();
      this.finish(true);
    };
    return html`<form @submit=${submit} @keydown=${this.onFormKey} @focusout=${() => this.finish(false)}>
      <input class="ck-field" name="title" aria-label=${this.chat.strings.threadTitle} .value=${this.thread.title ?? ""} dir="auto" autocomplete="off" />
    </form>`;
  }

  private readonly onKey = (event: KeyboardEvent) => {
    const { history } = this.chat.options;
    if (event.key === "F2" && history?.showRename !== false) void this.rename();
    else if (event.key === "Delete" && history?.showDelete !== false) this.askToDelete();
    else return;
    event.preventDefault();
  };

  private readonly onFormKey = (event: KeyboardEvent) => {
    event.stopPropagation(); // the arrow keys move in the text, and Escape does not close the history
    if (event.key !== "Escape") return;
    this.querySelector("input")!.value = this.thread.title ?? "";
    this.finish(true);
  };

  private readonly rename = async () => {
    this.isRenaming = true;
    await this.updateComplete;
    this.querySelector("input")!.select();
  };

  private readonly askToDelete = () => {
    this.dispatchEvent(new CustomEvent("ck-delete", { detail: this.thread, bubbles: true }));
  };

  /** Saves the new title; an empty one changes nothing. Leaving the field saves too. */
  private finish(keepFocus: boolean): void {
    if (!this.isRenaming) return;
    const title = this.querySelector("input")!.value.trim();
    this.isRenaming = false;
    if (keepFocus) void this.updateComplete.then(() => this.focus());
    if (title && title !== this.thread.title) this.chat.rename(this.thread.id, title).catch((error: Error) => this.chat.report(error));
  }
}

define("ck-history-row", HistoryRow);
