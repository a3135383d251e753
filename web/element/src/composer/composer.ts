/** Where the user writes: the text, what goes with it, and the buttons around it. */
import type { ModelOption, ToolOption } from "@openai/chatkit";
import { css, html, nothing } from "lit";

import { icon } from "../icons/core";
import { anyIcon } from "../icons/icon";
import type { Menu, MenuItem } from "../menu";
import { Watch } from "../observable";
import { define, Part } from "../part";
import { acceptAttribute, filesOf } from "./files";
import type { Input } from "./input";
import "./input";

const ATTACH = "attach";

class Composer extends Part {
  static override properties = { ...Part.properties, openMenu: { state: true }, isDictating: { state: true } };
  static override sheet = css`
    ck-composer {
      --_pad-inline: calc(2.5 * var(--ck-space)); --_pad-block: calc(1.5 * var(--ck-space));
      display: block; box-sizing: border-box; inline-size: 100%; max-inline-size: calc(var(--ck-column) + 2 * var(--ck-gutter)); margin-inline: auto;
      padding: 0 var(--ck-gutter) max(calc(3 * var(--ck-space)), env(safe-area-inset-bottom));
      > form {
        display: grid; grid-template: "top top top" "input input input" "start . end" / auto 1fr auto; row-gap: var(--ck-space); margin: 0;
        padding: calc(2 * var(--ck-space)); border: 1px solid var(--ck-border); border-radius: calc(var(--ck-radius-lg) + 2 * var(--ck-space));
        background: var(--ck-elevated); box-shadow: var(--ck-shadow-sm); cursor: text; transition: border-color var(--ck-fast), box-shadow var(--ck-fast);
        &[data-compact] { grid-template: "top top top" "start input end" / auto 1fr auto; align-items: end; }
        &:has(textarea:focus) { border-color: var(--ck-border-strong); box-shadow: var(--ck-shadow); }
        &[data-locked] { background: var(--ck-surface); box-shadow: none; cursor: not-allowed; }
        > ck-input { grid-area: input; }
        > [data-start], > [data-end] { display: flex; flex-wrap: wrap; align-items: center; gap: var(--ck-space); min-inline-size: 0; }
        > [data-start] { grid-area: start; }
        > [data-end] { grid-area: end; justify-content: end; flex-wrap: nowrap; }
        > [data-top] { grid-area: top; display: grid; gap: calc(2 * var(--ck-space)); min-inline-size: 0; &:empty { display: none; } }
        > ck-dictation { grid-area: start / start / end / end; }
      }
      [data-pill] {
        max-inline-size: 14rem; font-weight: 400; color: var(--ck-fg);
        > span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
        &[aria-pressed="true"], &[data-chosen] { color: var(--ck-accent-text); background: var(--ck-accent-soft); }
        &[data-model] { color: var(--ck-muted); padding-inline: calc(2 * var(--ck-space)); }
      }
      [data-quote] {
        display: flex; align-items: start; gap: calc(2 * var(--ck-space)); padding: calc(1.5 * var(--ck-space)); padding-inline-start: calc(3 * var(--ck-space));
        border-radius: var(--ck-radius-lg); background: var(--ck-surface); color: var(--ck-muted); font-size: var(--ck-size-sm); line-height: 1.45; cursor: default;
        > svg { flex: none; inline-size: 18px; block-size: 18px; margin-block-start: 4px; &:dir(rtl) { scale: -1 1; } }
        > p { flex: 1; margin: 0; margin-block: 3px; min-inline-size: 0; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; overflow-wrap: anywhere; }
      }
      @container (inline-size < 480px) {
        [data-model] > span { max-inline-size: 6rem; }
        [data-pill]:not([data-model]) { padding-inline: calc(2 * var(--ck-space)); svg, ck-icon { inline-size: 18px; block-size: 18px; } > span { position: absolute; inline-size: 1px; block-size: 1px; clip-path: inset(50%); } }
      }
      @media (forced-colors: active) { > form { border-color: CanvasText; } }
    }
  `;

  declare private openMenu: "add" | "models" | null;
  declare private isDictating: boolean;
  private readonly watch = new Watch(this, null);
  private readonly shownWatch = new Watch(this, null);
  private readonly draftWatch = new Watch(this, null);

  constructor() {
    super();
    this.openMenu = null;
    this.isDictating = false;
  }

  override willUpdate() {
    const { chat } = this;
    this.watch.watch(chat);
    this.shownWatch.watch(chat.shown);
    this.draftWatch.watch(chat.draft);
  }

  override render() {
    const { chat } = this;
    const question = chat.shown.isResponding ? null : chat.shown.pendingQuestion;
    this.loadParts(question !== null);
    return html`${question ? html`<ck-questions .chat=${chat} .shown=${question}></ck-questions>` : this.form()}
      ${chat.options.disclaimer?.text ? html`<ck-disclaimer .chat=${chat}></ck-disclaimer>` : nothing}`;
  }

  /** Loads what this chat needs, but not every one. */
  private loadParts(hasQuestion: boolean): void {
    const { options, draft } = this.chat;
    if (hasQuestion) void import("./questions");
    if (draft.attachments.length) void import("./attachments");
    if (options.composer?.attachments?.enabled) void import("./drop-zone");
    if (options.disclaimer?.text) void import("./disclaimer");
  }

  /** Opens the file picker. */
  attach(): void {
    this.querySelector<HTMLInputElement>("input[type=file]")?.click();
  }

  private get options() {
    return this.chat.options.composer ?? {};
  }

  private get lockedReason(): string | null {
    const { status } = this.chat.shown.thread ?? {};
    if (!status || status.type === "active") return null;
    return status.reason || (status.type === "locked" ? this.chat.strings.threadLocked : this.chat.strings.threadClosed);
  }

  private get chosenTool(): ToolOption | undefined {
    return this.options.tools?.find(({ id }) => id === this.chat.draft.toolId);
  }

  private get maySend(): boolean {
    const { draft, shown, loadingId } = this.chat;
    return !draft.isEmpty && !draft.isUploading && draft.attachments.every(({ error }) => error === null) && !shown.isResponding && !loadingId && !this.lockedReason;
  }

  private form() {
    const { chat, options, lockedReason, chosenTool } = this;
    const { draft, strings } = chat;
    const placeholder = lockedReason ?? chosenTool?.placeholderOverride ?? options.placeholder ?? strings.placeholder;
    const isCompact = !options.models?.length && !options.tools?.length && !this.isDictating;
    const attachments = options.attachments;
    return html`<form ?data-compact=${isCompact} ?data-locked=${lockedReason !== null} @submit=${this.submitted} @paste=${this.pasted} @click=${this.pressed}>
      <div data-top>${draft.quote ? this.quote() : nothing}${draft.attachments.length ? html`<ck-attachments .chat=${chat}></ck-attachments>` : nothing}</div>
      <ck-input .chat=${chat} .label=${options.placeholder ?? strings.placeholder} .placeholder=${placeholder} .isDisabled=${lockedReason !== null} .onSubmit=${this.submit}></ck-input>
      ${this.isDictating
        ? html`<ck-dictation .chat=${chat} .onText=${this.dictated} .onClose=${() => (this.isDictating = false)}></ck-dictation>`
        : html`<div data-start>${this.startButtons()}</div>
            <div data-end>${this.endButtons()}</div>`}
      ${attachments?.enabled
        ? html`<input type="file" hidden multiple aria-label=${strings.attachFiles} accept=${acceptAttribute(attachments.accept)} @change=${this.picked} />
            <ck-drop-zone .chat=${chat} .isEnabled=${lockedReason === null} .onFiles=${this.upload}></ck-drop-zone>`
        : nothing}
      ${this.openMenu ? this.menu(this.openMenu) : nothing}
    </form>`;
  }

  private quote() {
    const { draft, strings } = this.chat;
    return html`<div data-quote>
      ${icon("reply")}
      <p>${draft.quote}</p>
      <button type="button" class="ck-icon-button small" aria-label=${strings.removeQuote} @click=${() => draft.set({ reply: "" })}>${icon("close")}</button>
    </div>`;
  }

  private startButtons() {
    const { chat, options, chosenTool } = this;
    const { strings } = chat;
    const isLocked = this.lockedReason !== null;
    const tools = options.tools ?? [];
    const hasMenu = tools.some(({ pinned }) => !pinned);
    const { onTagSearch, showComposerMenu } = chat.options.entities ?? {};
    return html`${hasMenu
      ? html`<button type="button" class="ck-icon-button" data-add aria-label=${strings.addToMessage} aria-haspopup="menu" aria-expanded=${this.openMenu === "add"} ?disabled=${isLocked} @click=${() => this.toggle("add")}>${icon("plus")}</button>`
      : options.attachments?.enabled
        ? html`<button type="button" class="ck-icon-button" aria-label=${strings.attachFiles} ?disabled=${isLocked} @click=${() => this.attach()}>${icon("plus")}</button>`
        : nothing}
    ${onTagSearch && showComposerMenu ? html`<button type="button" class="ck-icon-button" aria-label=${strings.mention} ?disabled=${isLocked} @click=${() => this.input.mention()}>${icon("at")}</button>` : nothing}
    ${tools
      .filter(({ pinned }) => pinned)
      .map(
        (tool) =>
          html`<button type="button" class="ck-button quiet" data-pill title=${tool.label} aria-pressed=${tool === chosenTool} ?disabled=${isLocked} @click=${() => this.toggleTool(tool)}>${anyIcon(tool.icon)}<span>${tool.shortLabel ?? tool.label}</span></button>`,
      )}
    ${chosenTool && !chosenTool.pinned
      ? html`<button type="button" class="ck-button quiet" data-pill data-chosen aria-label=${strings.removeTool(chosenTool.label)} @click=${() => this.toggleTool(chosenTool)}>${anyIcon(chosenTool.icon)}<span>${chosenTool.shortLabel ?? chosenTool.label}</span>${icon("close")}</button>`
      : nothing}`;
  }

  private endButtons() {
    const { chat, options } = this;
    const { strings, shown } = chat;
    const model = this.chosenModel;
    const mayStop = shown.isResponding && shown.mayCancel;
    return html`${model && options.models!.length > 1
      ? html`<button type="button" class="ck-button quiet" data-pill data-model aria-label=${strings.modelIs(model.label)} aria-haspopup="menu" aria-expanded=${this.openMenu === "models"} @click=${() => this.toggle("models")}><span>${model.label}</span>${icon("chevron-down")}</button>`
      : nothing}
    ${options.dictation?.enabled ? html`<button type="button" class="ck-icon-button" data-dictate aria-label=${strings.dictate} ?disabled=${this.lockedReason !== null} @click=${this.dictate}>${icon("mic")}</button>` : nothing}
    ${mayStop
      ? html`<button type="button" class="ck-icon-button primary" data-stop aria-label=${strings.stop} @click=${() => chat.stop()}>${icon("stop")}</button>`
      : html`<button type="submit" class="ck-icon-button primary" data-send aria-label=${strings.send} ?disabled=${!this.maySend}>${icon("arrow-up")}</button>`}`;
  }

  private get chosenModel(): ModelOption | undefined {
    const id = this.chat.draft.chosenModel(this.options);
    return this.options.models?.find((model) => model.id === id);
  }

  private menu(name: "add" | "models") {
    const { strings } = this.chat;
    const isAdd = name === "add";
    return html`<ck-menu
      .items=${isAdd ? this.addItems() : this.modelItems()}
      .label=${isAdd ? strings.addToMessage : strings.models}
      .anchor=${this.querySelector(isAdd ? "[data-add]" : "[data-model]")}
      .align=${isAdd ? "start" : "end"}
      .onChoose=${this.chosen}
      .onClose=${this.closeMenu}
    ></ck-menu>`;
  }

  private addItems(): MenuItem[] {
    const { options, chosenTool } = this;
    const attach = options.attachments?.enabled ? [{ id: ATTACH, label: this.chat.strings.attachFiles, icon: "paperclip" }] : [];
    const tools = (options.tools ?? []).filter(({ pinned }) => !pinned);
    return [...attach, ...tools.map((tool) => ({ id: `tool ${tool.id}`, label: tool.label, icon: tool.icon, isChecked: tool === chosenTool }))];
  }

  private modelItems(): MenuItem[] {
    const chosen = this.chosenModel;
    return (this.options.models ?? []).map((model) => ({ id: model.id, label: model.label, description: model.description, isDisabled: Boolean(model.disabled), isChecked: model === chosen }));
  }

  private toggle(name: "add" | "models"): void {
    void import("../menu");
    this.openMenu = this.openMenu === name ? null : name;
  }

  private readonly closeMenu = () => {
    const button = (this.querySelector<Menu>("ck-menu")?.anchor ?? null) as HTMLElement | null;
    const hadFocus = this.querySelector("ck-menu")?.matches(":focus-within");
    this.openMenu = null;
    if (hadFocus) button?.focus();
  };

  private readonly chosen = ({ id }: MenuItem) => {
    const isModel = this.openMenu === "models";
    this.openMenu = null;
    if (isModel) this.chat.draft.set({ selectedModelId: id });
    else if (id === ATTACH) return this.attach();
    else this.toggleTool(this.options.tools!.find((tool) => `tool ${tool.id}` === id)!);
    this.focusInput();
  };

  private toggleTool(tool: ToolOption): void {
    const { draft } = this.chat;
    draft.chooseTool(draft.toolId === tool.id ? null : tool.id);
    this.focusInput();
  }

  private get input(): Input {
    return this.querySelector<Input>("ck-input")!;
  }

  private focusInput(): void {
    this.input?.textarea.focus();
  }

  private readonly submitted = (event: Event) => {
    event.preventDefault();
    this.submit();
    // The phone's keyboard goes away for the answer; elsewhere one types on.
    if (matchMedia("(pointer: fine)").matches) this.focusInput();
  };

  private readonly submit = () => {
    if (!this.maySend) return;
    const { chat } = this;
    void chat.send(chat.draft.take(this.options)).catch((error: Error) => chat.report(error));
  };

  /** A press beside the text goes into it. */
  private readonly pressed = (event: Event) => {
    if (event.target === event.currentTarget) this.focusInput();
  };

  private readonly pasted = (event: ClipboardEvent) => {
    const files = filesOf(event.clipboardData);
    if (!files.length || !this.options.attachments?.enabled || this.lockedReason) return;
    event.preventDefault();
    this.upload(files);
  };

  private readonly picked = (event: Event) => {
    const picker = event.target as HTMLInputElement;
    this.upload([...(picker.files ?? [])]);
    picker.value = ""; // the same file may be picked again
    this.focusInput();
  };

  private readonly upload = (files: File[]) => {
    void import("./uploads").then(({ upload }) => upload(this.chat, files));
  };

  private readonly dictate = () => {
    void import("./dictation");
    this.isDictating = true;
  };

  private readonly dictated = (text: string) => {
    const { textarea } = this.input;
    const before = textarea.value.slice(0, textarea.selectionStart);
    this.input.insert(/\S$/.test(before) ? ` ${text}` : text);
  };
}

define("ck-composer", Composer);
