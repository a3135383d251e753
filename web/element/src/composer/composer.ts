/** Where the user writes: the text, and Send. What only some chats need is loaded when the options ask for it. */
import type { ToolOption } from "@openai/chatkit";
import { css, html, nothing } from "lit";

import { icon } from "../icons/core";
import { demanded, lazy, whenIdle } from "../lazy";
import { Watch } from "../observable";
import { define, Part } from "../part";
import { acceptAttribute, filesOf } from "./files";
import type { Input } from "./input";
import "./input";

const questions = () => import("./questions");
const toolbar = () => import("./toolbar");
const quote = () => import("./quote");
const attachmentList = () => import("./attachments");
const dropZone = () => import("./drop-zone");
const uploads = () => import("./uploads");
const disclaimer = () => import("./disclaimer");

export class Composer extends Part {
  static override properties = { ...Part.properties, isDictating: { state: true } };
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
        > [data-start], > [data-end], ck-add-tools, ck-choices { display: flex; align-items: end; gap: var(--ck-space); }
        > [data-start], ck-add-tools { min-inline-size: 0; }
        > [data-start] { grid-area: start; min-block-size: var(--ck-control); &[data-attach] { min-inline-size: var(--ck-control); } }
        > [data-end] { grid-area: end; justify-content: end; align-self: end; }
        ck-add-tools { flex-wrap: wrap; }
        > [data-top] { grid-area: top; display: grid; gap: calc(2 * var(--ck-space)); min-inline-size: 0; &:empty { display: none; } }
        > ck-dictation { grid-area: start / start / end / end; }
      }
      [data-reason] { margin: 0; padding: var(--_pad-block) var(--_pad-inline) 0; color: var(--ck-muted); font-size: var(--ck-size-sm); }
      [data-pill] {
        max-inline-size: none; font-weight: 400; color: var(--ck-fg);
        > span { max-inline-size: 12rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
        &[aria-pressed="true"], &[data-chosen] { color: var(--ck-accent-text); background: var(--ck-accent-soft); }
        &[data-model] { color: var(--ck-muted); padding-inline: calc(2 * var(--ck-space)); }
      }
      @container (inline-size < 480px) {
        [data-model] > span { max-inline-size: 7rem; }
        [data-pill]:not([data-model]) { padding-inline: calc(2 * var(--ck-space)); svg, ck-icon { inline-size: 18px; block-size: 18px; } > span { position: absolute; inline-size: 1px; block-size: 1px; clip-path: inset(50%); } }
      }
      @container (inline-size < 380px) { [data-model] > span { max-inline-size: 3.5rem; } }
      @media (forced-colors: active) { > form { border-color: CanvasText; } }
    }
  `;

  declare private isDictating: boolean;
  private readonly asked = new Set<() => Promise<unknown>>();
  private readonly watch = new Watch(this, null);
  private readonly shownWatch = new Watch(this, null);
  private readonly draftWatch = new Watch(this, null);

  constructor() {
    super();
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
    // Without the form, which could not be loaded, the user may still answer in a message.
    return html`${question && customElements.get("ck-questions") ? html`<ck-questions .chat=${chat} .shown=${question}></ck-questions>` : this.form()}
      ${chat.options.disclaimer?.text ? html`<ck-disclaimer .chat=${chat}></ck-disclaimer>` : nothing}`;
  }

  /** Loads what this chat needs, but not every one. */
  private loadParts(hasQuestion: boolean): void {
    const { options, draft } = this.chat;
    const { attachments, tools, models, dictation } = options.composer ?? {};
    if (hasQuestion) this.load(questions);
    if (attachments?.enabled || tools?.length || models?.length || dictation?.enabled || options.entities?.showComposerMenu) this.load(toolbar);
    if (draft.quote) this.load(quote);
    if (draft.attachments.length) this.load(attachmentList);
    if (attachments?.enabled) {
      this.load(dropZone);
      whenIdle(() => this.load(uploads)); // before a lost connection can prevent it
    }
    if (options.disclaimer?.text) this.load(disclaimer);
  }

  /** Asks once. */
  private load(part: () => Promise<unknown>): void {
    if (this.asked.has(part)) return;
    this.asked.add(part);
    lazy(() => part().then(() => this.requestUpdate()));
  }

  /** Opens the file picker. */
  attach(): void {
    this.querySelector<HTMLInputElement>("input[type=file]")?.click();
  }

  /** Records what the user says. */
  async dictate(): Promise<void> {
    if (await demanded(this.chat, () => import("./dictation"))) this.isDictating = true;
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
    const isLocked = lockedReason !== null;
    const isCompact = !options.models?.length && !options.tools?.length && !this.isDictating;
    const attachments = options.attachments;
    return html`<form ?data-compact=${isCompact} ?data-locked=${isLocked} @submit=${this.submitted} @paste=${this.pasted} @click=${this.pressed}>
      <div data-top>${isLocked && draft.text ? html`<p data-reason>${lockedReason}</p>` : nothing}${draft.quote ? html`<ck-quote .chat=${chat}></ck-quote>` : nothing}${draft.attachments.length ? html`<ck-attachments .chat=${chat}></ck-attachments>` : nothing}</div>
      <ck-input .chat=${chat} .label=${options.placeholder ?? strings.placeholder} .placeholder=${placeholder} .isDisabled=${isLocked} .onSubmit=${this.submit}></ck-input>
      ${this.isDictating
        ? html`<ck-dictation .chat=${chat} .onText=${this.dictated} .onClose=${this.endDictation}></ck-dictation>`
        : html`<div data-start ?data-attach=${attachments?.enabled}><ck-add-tools .chat=${chat} .isLocked=${isLocked}></ck-add-tools></div>
            <div data-end><ck-choices .chat=${chat} .isLocked=${isLocked}></ck-choices>${this.sendButton()}</div>`}
      ${attachments?.enabled
        ? html`<input type="file" hidden multiple aria-label=${strings.attachFiles} accept=${acceptAttribute(attachments.accept)} @change=${this.picked} />
            <ck-drop-zone .chat=${chat} .isEnabled=${!isLocked} .onFiles=${this.upload}></ck-drop-zone>`
        : nothing}
    </form>`;
  }

  private sendButton() {
    const { chat } = this;
    const { strings, shown } = chat;
    return shown.isResponding && shown.mayCancel
      ? html`<button type="button" class="ck-icon-button primary" data-stop aria-label=${strings.stop} @click=${() => chat.stop()}>${icon("stop")}</button>`
      : html`<button type="submit" class="ck-icon-button primary" data-send aria-label=${strings.send} ?disabled=${!this.maySend}>${icon("arrow-up")}</button>`;
  }

  get input(): Input {
    return this.querySelector<Input>("ck-input")!;
  }

  focusInput(): void {
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
    const message = chat.draft.take(this.options);
    chat.send(message).catch((error: Error) => {
      chat.draft.giveBack(message);
      chat.report(error);
    });
  };

  /** A press beside the text goes into it. */
  private readonly pressed = (event: Event) => {
    if (!(event.target as Element).closest("button, input, textarea, li, ck-dictation, ck-menu, ck-suggestions, ck-entity-preview")) this.focusInput();
  };

  private readonly pasted = (event: ClipboardEvent) => {
    const files = filesOf(event.clipboardData);
    if (!files.length || !this.options.attachments?.enabled || this.lockedReason) return;
    event.preventDefault();
    void this.upload(files);
  };

  private readonly picked = (event: Event) => {
    const picker = event.target as HTMLInputElement;
    void this.upload([...(picker.files ?? [])]);
    picker.value = ""; // the same file may be picked again
    this.focusInput();
  };

  private readonly upload = async (files: File[]) => {
    await (await demanded(this.chat, uploads))?.upload(this.chat, files);
  };

  private readonly endDictation = () => {
    this.isDictating = false;
    this.focusInput();
  };

  private readonly dictated = (text: string) => {
    const { textarea } = this.input;
    const before = textarea.value.slice(0, textarea.selectionStart);
    this.input.insert(/\S$/.test(before) ? ` ${text}` : text);
  };
}

define("ck-composer", Composer);
