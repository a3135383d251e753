/**
 * `<ck-input>`: the text of the composer. A textarea, so that typing, undo, input methods, phones and screen readers work
 * as everywhere; a mirror of its text behind it has its size, and draws the tags.
 */
import type { Entity } from "@openai/chatkit";
import { css, html, nothing } from "lit";

import { Watch } from "../observable";
import { define, Part } from "../part";
import { contentOf, edited, entityOf, placedTags, type PlacedTag, replaced, type Tag, textOf } from "./tagged-text";

/** What the user types to get suggestions, `@entity` or `/command`, before the caret. */
export interface Trigger {
  sign: "@" | "/";
  query: string;
  start: number;
  end: number;
}

/** The suggestions, while they are shown. They are loaded on demand. */
export interface Suggestions extends HTMLElement {
  handleKey?(event: KeyboardEvent): boolean;
}

const TRIGGER = /(?:^|\s)([@/])((?:[^\s@/][^\n@]{0,49})?)$/;
const REMEMBERED_STATES = 200;

export class Input extends Part {
  static override properties = {
    ...Part.properties,
    placeholder: { attribute: false },
    label: { attribute: false },
    isDisabled: { attribute: false },
    trigger: { state: true },
    activeOption: { state: true },
    previewed: { state: true },
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
        mark[data-selected] { background: var(--ck-accent-soft); box-shadow: 0 0 0 2px var(--ck-accent-text); }
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
  declare private trigger: Trigger | null;
  /** The DOM id of the suggestion that Enter takes. */
  declare activeOption: string | null;
  /** The tag under the pointer, or the selected one. */
  declare private previewed: PlacedTag | null;
  menuId = "";
  onSubmit: () => void = () => {};
  private readonly watch = new Watch(this, null);
  /** The tags of a text: undo brings a text back, and its tags with it. */
  private readonly states = new Map<string, PlacedTag[]>();
  private dismissedAt = -1;
  private isComposing = false;
  private isMovingByArrow = false;
  private isPreviewBySelection = false;
  private previewTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    Object.assign(this, { placeholder: "", label: "", isDisabled: false, trigger: null, activeOption: null, previewed: null });
  }

  get textarea(): HTMLTextAreaElement {
    return this.querySelector("textarea")!;
  }

  override willUpdate() {
    this.watch.watch(this.chat.draft);
  }

  override render() {
    const { chat, trigger, previewed, placeholder } = this;
    const { content } = chat.draft;
    const isEmpty = !content.length;
    return html`<div data-field>
        <div data-mirror aria-hidden="true">${isEmpty ? placeholder : content.map((part) => (part.type === "input_tag" ? html`<mark ?data-selected=${part === previewed?.tag}>${part.text}</mark>` : part.text))}</div>
        <textarea
          data-input
          rows="1"
          enterkeyhint="send"
          autocapitalize="sentences"
          aria-label=${this.label}
          placeholder=${placeholder}
          aria-autocomplete=${this.suggests ? "list" : nothing}
          aria-haspopup=${this.suggests ? "listbox" : nothing}
          aria-controls=${this.activeOption ? this.menuId : nothing}
          aria-activedescendant=${this.activeOption ?? nothing}
          ?disabled=${this.isDisabled}
          @input=${this.typed}
          @keydown=${this.keyed}
          @selectionchange=${this.moved}
          @compositionstart=${() => (this.isComposing = true)}
          @compositionend=${this.composed}
          @keyup=${this.moved}
          @pointerup=${this.moved}
          @pointermove=${this.hovered}
          @pointerleave=${() => this.preview(null)}
          @click=${this.clicked}
          @blur=${this.left}
        ></textarea>
      </div>
      ${trigger ? html`<ck-suggestions .chat=${chat} .trigger=${trigger} .input=${this}></ck-suggestions>` : nothing}
      ${previewed ? html`<ck-entity-preview .chat=${chat} .entity=${entityOf(previewed.tag)} .anchor=${this.markOf(previewed)} .onClose=${() => this.preview(null)}></ck-entity-preview>` : nothing}`;
  }

  override updated() {
    const { textarea, chat } = this;
    const text = textOf(chat.draft.content);
    if (textarea.value !== text) textarea.value = text; // the caret goes to the end
  }

  /** Replaces a part of the text, as if the user had typed it: undo takes it back. */
  insert(insert: Tag | string, start = this.textarea.selectionStart, end = this.textarea.selectionEnd): void {
    const { textarea, chat } = this;
    const content = replaced(chat.draft.content, start, end, insert);
    const text = textOf(content);
    const added = text.slice(start, end + text.length - textarea.value.length);
    textarea.focus();
    textarea.setSelectionRange(start, end);
    const isTyped = added ? document.execCommand("insertText", false, added) : start === end || document.execCommand("delete");
    if (!isTyped) textarea.setRangeText(added, start, end, "end");
    this.trigger = this.activeOption = null;
    this.setContent(content);
  }

  /** Replaces a trigger's text by a shorter one; its suggestions stay. */
  retype({ start, end }: Trigger, text: string): void {
    this.insert(text, start, end);
    this.trigger = { sign: text[0] as Trigger["sign"], query: text.slice(1), start, end: start + text.length };
  }

  /** Types the `@` that the suggestions of entities come for. */
  mention(): void {
    const { value, selectionStart } = this.textarea;
    this.insert(/\S$/.test(value.slice(0, selectionStart)) ? " @" : "@");
    this.moved();
  }

  /** Hides the suggestions until the user types another `@` or `/`. */
  dismiss(): void {
    this.dismissedAt = this.trigger?.start ?? -1;
    this.trigger = null;
    this.activeOption = null;
  }

  private get suggests(): boolean {
    const { entities, commands } = this.chat.options;
    return Boolean(entities?.onTagSearch || commands?.enabled);
  }

  private readonly typed = (event: InputEvent) => {
    const { textarea, chat } = this;
    const { value } = textarea;
    const isUndo = event.inputType === "historyUndo" || event.inputType === "historyRedo";
    const tags = isUndo && this.states.get(value);
    if (tags) return this.setContent(contentOf(value, tags));
    const { content, caret } = edited(chat.draft.content, value, textarea.selectionStart);
    if (caret !== textarea.selectionStart) {
      textarea.value = textOf(content); // the rest of a tag went with a part of it
      textarea.setSelectionRange(caret, caret);
    }
    this.setContent(content);
    this.moved();
  };

  private setContent(content: typeof this.chat.draft.content): void {
    const { draft } = this.chat;
    draft.content = content;
    const tags = placedTags(content);
    if (tags.length || this.states.size) {
      this.states.set(textOf(content), tags);
      if (this.states.size > REMEMBERED_STATES) this.states.delete(this.states.keys().next().value!);
    }
    draft.changed();
  }

  private readonly keyed = (event: KeyboardEvent) => {
    if (event.isComposing || event.keyCode === 229) return; // the input method's own Enter
    this.isMovingByArrow = event.key.startsWith("Arrow");
    const suggestions = this.trigger && this.querySelector<Suggestions>("ck-suggestions");
    if (suggestions?.handleKey?.(event)) {
      event.preventDefault();
      event.stopPropagation(); // Escape closes the list, and not also what the page shows the chat in
      return;
    }
    const { textarea } = this;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      return this.onSubmit();
    }
    if (event.key !== "Backspace" && event.key !== "Delete") return;
    if (textarea.selectionStart !== textarea.selectionEnd) return;
    const caret = textarea.selectionStart;
    const tag = placedTags(this.chat.draft.content).find(({ start, end }) => caret === (event.key === "Backspace" ? end : start));
    if (tag) textarea.setSelectionRange(tag.start, tag.end); // the key then deletes all of it
  };

  private readonly composed = () => {
    this.isComposing = false;
    this.moved();
  };

  /** The caret skips tags; before it, there may be something to suggest for. */
  private readonly moved = () => {
    if (this.isComposing) return; // a new selection would end the input method's word
    const { textarea, chat } = this;
    const tags = placedTags(chat.draft.content);
    const { selectionStart, selectionEnd } = textarea;
    const inside = (offset: number) => tags.find(({ start, end }) => start < offset && offset < end);
    const first = inside(selectionStart);
    const last = inside(selectionEnd);
    if (first && selectionStart === selectionEnd) {
      // Arrows stop at the tag as a whole; a press goes behind it.
      textarea.setSelectionRange(this.isMovingByArrow ? first.start : first.end, first.end);
    } else if (first || last) {
      textarea.setSelectionRange(first?.start ?? selectionStart, last?.end ?? selectionEnd, textarea.selectionDirection);
    }
    const selected = tags.find(({ start, end }) => start === textarea.selectionStart && end === textarea.selectionEnd);
    if (selected || this.isPreviewBySelection) this.preview(selected ?? null);
    this.isPreviewBySelection = Boolean(selected);
    this.findTrigger(tags);
  };

  private findTrigger(tags: PlacedTag[]): void {
    const { textarea } = this;
    const { commands, entities } = this.chat.options;
    const caret = textarea.selectionStart;
    const match = caret === textarea.selectionEnd ? TRIGGER.exec(textarea.value.slice(Math.max(0, caret - 60), caret)) : null;
    const sign = match?.[1] as Trigger["sign"] | undefined;
    const query = match?.[2] ?? "";
    const start = caret - query.length - 1;
    const isOffered = sign === "@" ? entities?.onTagSearch : sign === "/" && commands?.enabled;
    if (!sign || !isOffered || tags.some((tag) => tag.end > start) || !this.matches(":focus-within")) {
      this.dismissedAt = -1;
      if (this.trigger) this.activeOption = this.trigger = null;
      return;
    }
    if (start === this.dismissedAt || (this.trigger?.start === start && this.trigger.query === query)) return;
    void import("./suggestions");
    this.trigger = { sign, query, start, end: caret };
  }

  private tagAt(event: MouseEvent): PlacedTag | null {
    const tags = placedTags(this.chat.draft.content);
    if (!tags.length) return null;
    const { clientX: x, clientY: y } = event;
    const holds = ({ left, right, top, bottom }: DOMRect) => left <= x && x <= right && top <= y && y <= bottom;
    const index = [...this.querySelectorAll("mark")].findIndex((mark) => [...mark.getClientRects()].some(holds));
    return tags[index] ?? null;
  }

  private markOf({ tag }: PlacedTag): Element | null {
    const index = placedTags(this.chat.draft.content).findIndex((placed) => placed.tag === tag);
    return this.querySelectorAll("mark")[index] ?? null;
  }

  private readonly hovered = (event: PointerEvent) => {
    const placed = event.pointerType === "mouse" ? this.tagAt(event) : null;
    this.textarea.toggleAttribute("data-over-tag", Boolean(placed && this.isInteractive(placed)));
    this.preview(placed);
  };

  private isInteractive({ tag }: PlacedTag): boolean {
    return Boolean(tag.interactive);
  }

  private preview(placed: PlacedTag | null): void {
    if (placed?.tag === this.previewed?.tag) return clearTimeout(this.previewTimer);
    clearTimeout(this.previewTimer);
    if (!placed) {
      this.previewed = null;
      return;
    }
    if (!this.isInteractive(placed) || !this.chat.options.entities?.onRequestPreview) return;
    this.previewTimer = setTimeout(() => {
      void import("./entity-preview");
      this.previewed = placed;
    }, 250);
  }

  private readonly clicked = (event: MouseEvent) => {
    const placed = this.tagAt(event);
    if (placed && this.isInteractive(placed)) this.chat.clickEntity(entityOf(placed.tag) satisfies Entity);
  };

  private readonly left = () => {
    this.preview(null);
    if (this.trigger) this.dismiss();
  };
}

define("ck-input", Input);
