/**
 * `<ck-input>`: the text of the composer. A textarea, so that typing, undo, input methods, phones and screen readers work
 * as everywhere; a mirror of its text behind it has its size, and draws the tags. What only chats with entities or
 * commands need is in `InputExtras`.
 */
import type { UserMessageContent } from "@openai/chatkit";
import { css, html, nothing } from "lit";

import { lazy } from "../lazy";
import { Watch } from "../observable";
import { define, Part } from "../part";
import type { InputExtras } from "./input-extras";

export class Input extends Part {
  static override properties = {
    ...Part.properties,
    placeholder: { attribute: false },
    label: { attribute: false },
    isDisabled: { attribute: false },
    extras: { state: true },
  };
  static override sheet = css`
    ck-input {
      display: block; min-inline-size: 0; max-block-size: min(40vh, 16em); overflow-y: auto; overscroll-behavior: contain;
      > [data-field] { display: grid; position: relative; }
      [data-mirror], textarea {
        grid-area: 1 / 1; box-sizing: border-box; inline-size: 100%; margin: 0; border: 0; padding: var(--_pad-block) var(--_pad-inline);
        font: inherit; line-height: 1.5; letter-spacing: normal; text-align: start; unicode-bidi: plaintext; white-space: pre-wrap; overflow-wrap: anywhere; word-break: normal; tab-size: 4;
      }
      [data-mirror] {
        color: transparent; user-select: none; pointer-events: none;
        &::after { content: "\\200b"; }
        mark { color: transparent; background: var(--ck-accent-soft); border-radius: 5px; box-shadow: 0 0 0 2px var(--ck-accent-soft); box-decoration-break: clone; -webkit-box-decoration-break: clone; }
        mark[data-selected] { box-shadow: 0 0 0 2px var(--ck-accent-text); }
      }
      textarea {
        display: block; block-size: 100%; resize: none; overflow: hidden; background: none; color: inherit; caret-color: currentColor; border-radius: 0; outline: none; appearance: none;
        &::placeholder { color: var(--ck-muted); opacity: 1; }
        &:disabled { cursor: not-allowed; -webkit-text-fill-color: currentColor; opacity: 1; }
        &[data-over-tag] { cursor: pointer; }
      }
      /* Safari on phones zooms in on smaller text. */
      @media (pointer: coarse) { [data-mirror], textarea { font-size: max(16px, 1em); } }
      @media (forced-colors: active) { [data-mirror] { forced-color-adjust: none; } [data-mirror] mark { outline: 1px solid Highlight; } }
    }
  `;

  declare placeholder: string;
  declare label: string;
  declare isDisabled: boolean;
  /** Null where they are not needed, or not there yet. */
  declare extras: InputExtras | null;
  onSubmit: () => void = () => {};
  isComposing = false;
  private readonly watch = new Watch(this, null);
  private isLoadingExtras = false;

  constructor() {
    super();
    Object.assign(this, { placeholder: "", label: "", isDisabled: false, extras: null });
  }

  get textarea(): HTMLTextAreaElement {
    return this.querySelector("textarea")!;
  }

  override willUpdate() {
    const { draft, options } = this.chat;
    this.watch.watch(draft);
    const needsExtras = options.entities?.onTagSearch || options.commands?.enabled || draft.content.some(({ type }) => type === "input_tag");
    if (!needsExtras || this.isLoadingExtras) return;
    this.isLoadingExtras = true;
    lazy(async () => {
      const { InputExtras } = await import("./input-extras");
      this.extras = new InputExtras(this);
      this.moved(); // the user may have typed `@` meanwhile
    });
  }

  override render() {
    const { chat, placeholder, extras } = this;
    const { content } = chat.draft;
    return html`<div data-field>
        <div data-mirror aria-hidden="true">${content.length ? content.map((part) => this.mirrored(part)) : placeholder}</div>
        <textarea
          data-input
          rows="1"
          enterkeyhint="send"
          autocapitalize="sentences"
          aria-label=${this.label}
          placeholder=${placeholder}
          aria-autocomplete=${extras ? "list" : nothing}
          aria-haspopup=${extras ? "listbox" : nothing}
          aria-controls=${(extras?.activeOption && extras.menuId) || nothing}
          aria-activedescendant=${extras?.activeOption ?? nothing}
          ?disabled=${this.isDisabled}
          @input=${this.typed}
          @keydown=${this.keyed}
          @compositionstart=${() => (this.isComposing = true)}
          @compositionend=${this.composed}
          @selectionchange=${this.moved}
          @keyup=${this.moved}
          @pointerup=${this.moved}
          @pointermove=${(event: PointerEvent) => extras?.hovered(event)}
          @pointerleave=${() => extras?.preview(null)}
          @click=${(event: MouseEvent) => extras?.clicked(event)}
          @blur=${() => extras?.left()}
        ></textarea>
      </div>
      ${extras?.render() ?? nothing}`;
  }

  override updated() {
    const { textarea, chat } = this;
    if (textarea.value !== chat.draft.text) textarea.value = chat.draft.text; // the caret goes to the end
  }

  /** Replaces a part of the text, as if the user had typed it: undo takes it back. */
  insert(text: string, start = this.textarea.selectionStart, end = this.textarea.selectionEnd): void {
    const { textarea } = this;
    textarea.focus();
    textarea.setSelectionRange(start, end);
    const isTyped = text ? document.execCommand("insertText", false, text) : start === end || document.execCommand("delete");
    if (isTyped) return;
    textarea.setRangeText(text, start, end, "end");
    textarea.dispatchEvent(new InputEvent("input"));
  }

  setContent(content: UserMessageContent[]): void {
    this.chat.draft.content = content;
    this.chat.draft.changed();
  }

  private mirrored(part: UserMessageContent) {
    return part.type === "input_tag" ? html`<mark ?data-selected=${part === this.extras?.previewed?.tag}>${part.text}</mark>` : part.text;
  }

  private readonly typed = (event: InputEvent) => {
    if (this.extras) return this.extras.typed(event);
    const text = this.textarea.value;
    this.setContent(text ? [{ type: "input_text", text }] : []);
  };

  private readonly keyed = (event: KeyboardEvent) => {
    if (event.isComposing || event.keyCode === 229) return; // the input method's own Enter
    if (this.extras?.keyed(event)) {
      event.preventDefault();
      event.stopPropagation(); // Escape closes the list, and not also what the page shows the chat in
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.onSubmit();
    }
  };

  private readonly moved = () => {
    if (!this.isComposing) this.extras?.moved(); // a new selection would end the input method's word
  };

  private readonly composed = () => {
    this.isComposing = false;
    this.moved();
  };
}

define("ck-input", Input);
