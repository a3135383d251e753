/** What entities and commands add to the input: tags, and suggestions for `@` and `/`. Loaded where the page offers them. */
import { html, nothing } from "lit";

import { lazy } from "../lazy";
import type { Input } from "./input";
import { contentOf, edited, entityOf, placedTags, type PlacedTag, replaced, type Tag, textOf } from "./tagged-text";

/** What the user types to get suggestions, `@entity` or `/command`, before the caret. */
export interface Trigger {
  sign: "@" | "/";
  query: string;
  start: number;
  end: number;
}

/** The suggestions, while they are shown. They are loaded on demand. */
interface Suggestions extends HTMLElement {
  handleKey?(event: KeyboardEvent): boolean;
}

const TRIGGER = /(?:^|\s)([@/])((?:[^\s@/][^\n@]{0,49})?)$/;
const LONGEST_TRIGGER = 52;
const REMEMBERED_STATES = 200;
const PREVIEW_WAIT_MS = 250;

export class InputExtras {
  trigger: Trigger | null = null;
  /** The DOM ids of the list, and of the suggestion that Enter takes. */
  menuId = "";
  activeOption: string | null = null;
  /** The tag under the pointer, or the selected one. */
  previewed: PlacedTag | null = null;
  /** The tags of a text: undo brings a text back, and its tags with it. */
  private readonly states = new Map<string, PlacedTag[]>();
  private dismissedAt = -1;
  private isMovingByArrow = false;
  private isPreviewBySelection = false;
  private previewTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly input: Input) {}

  private get chat() {
    return this.input.chat;
  }

  private get tags(): PlacedTag[] {
    return placedTags(this.chat.draft.content);
  }

  render() {
    const { chat, trigger, previewed } = this;
    return html`${trigger ? html`<ck-suggestions .chat=${chat} .trigger=${trigger} .field=${this}></ck-suggestions>` : nothing}
    ${previewed ? html`<ck-entity-preview .chat=${chat} .entity=${entityOf(previewed.tag)} .anchor=${this.markOf(previewed)} .onClose=${() => this.preview(null)}></ck-entity-preview>` : nothing}`;
  }

  // What the list of suggestions calls

  showActive(menuId: string, optionId: string | null): void {
    if (menuId === this.menuId && optionId === this.activeOption) return;
    this.menuId = menuId;
    this.activeOption = optionId;
    this.input.requestUpdate();
  }

  /** Puts a tag in the place of a part of the text. */
  insert(tag: Tag, start: number, end: number): void {
    const { input, chat } = this;
    const content = replaced(chat.draft.content, start, end, tag);
    const text = textOf(content);
    this.close();
    input.insert(text.slice(start, end + text.length - input.textarea.value.length), start, end);
    this.setContent(content);
    this.moved(); // the tag's own text may look like a trigger
  }

  /** Removes the text that the suggestions are for. */
  removeTrigger({ start, end }: Trigger): void {
    this.close();
    this.input.insert("", start, end);
  }

  /** Replaces a trigger's text by a shorter one; its suggestions stay. */
  retype({ sign, start, end }: Trigger): void {
    this.input.insert(sign, start, end);
    this.trigger = { sign, query: "", start, end: start + 1 };
    this.input.requestUpdate();
  }

  /** Types the `@` that the suggestions of entities come for. */
  mention(): void {
    const { value, selectionStart } = this.input.textarea;
    this.input.insert(/\S$/.test(value.slice(0, selectionStart)) ? " @" : "@");
    this.moved();
  }

  /** Hides the suggestions until the user types another `@` or `/`. */
  dismiss(): void {
    this.dismissedAt = this.trigger?.start ?? -1;
    this.close();
  }

  private close(): void {
    this.trigger = null;
    this.showActive("", null);
    this.input.requestUpdate();
  }

  // What happens in the textarea

  typed(event: InputEvent): void {
    const { chat, input } = this;
    const { textarea } = input;
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
    if (!input.isComposing) this.moved();
  }

  /** Returns whether the key was for the suggestions. */
  keyed(event: KeyboardEvent): boolean {
    this.isMovingByArrow = event.key.startsWith("Arrow");
    const suggestions = this.trigger && this.input.querySelector<Suggestions>("ck-suggestions");
    if (suggestions?.handleKey?.(event)) return true;
    const { selectionStart: caret, selectionEnd } = this.input.textarea;
    if ((event.key !== "Backspace" && event.key !== "Delete") || caret !== selectionEnd) return false;
    const tag = this.tags.find(({ start, end }) => caret === (event.key === "Backspace" ? end : start));
    if (tag) this.input.textarea.setSelectionRange(tag.start, tag.end); // the key then deletes all of it
    return false;
  }

  /** The caret skips tags; before it, there may be something to suggest for. */
  moved(): void {
    const { textarea } = this.input;
    const { tags } = this;
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
  }

  hovered(event: PointerEvent): void {
    const placed = event.pointerType === "mouse" ? this.tagAt(event) : null;
    this.input.textarea.toggleAttribute("data-over-tag", Boolean(placed?.tag.interactive));
    if (placed || !this.isPreviewBySelection) this.preview(placed);
  }

  clicked(event: MouseEvent): void {
    const placed = this.tagAt(event);
    if (placed?.tag.interactive) this.chat.clickEntity(entityOf(placed.tag));
  }

  left(): void {
    this.preview(null);
    if (this.trigger) this.dismiss();
  }

  preview(placed: PlacedTag | null): void {
    clearTimeout(this.previewTimer);
    if (placed?.tag === this.previewed?.tag) return;
    if (!placed) {
      this.previewed = null;
      return this.input.requestUpdate();
    }
    if (!placed.tag.interactive || !this.chat.options.entities?.onRequestPreview) return;
    this.previewTimer = setTimeout(() => {
      lazy(() => import("./entity-preview"));
      this.previewed = placed;
      this.input.requestUpdate();
    }, PREVIEW_WAIT_MS);
  }

  private setContent(content: typeof this.chat.draft.content): void {
    const tags = placedTags(content);
    if (tags.length || this.states.size) {
      this.states.set(textOf(content), tags);
      if (this.states.size > REMEMBERED_STATES) this.states.delete(this.states.keys().next().value!);
    }
    this.input.setContent(content);
  }

  private findTrigger(tags: PlacedTag[]): void {
    const { textarea } = this.input;
    const { commands, entities } = this.chat.options;
    const caret = textarea.selectionStart;
    const match = caret === textarea.selectionEnd ? TRIGGER.exec(textarea.value.slice(Math.max(0, caret - LONGEST_TRIGGER), caret)) : null;
    const sign = match?.[1] as Trigger["sign"] | undefined;
    const query = match?.[2] ?? "";
    const start = caret - query.length - 1;
    const isOffered = sign === "@" ? entities?.onTagSearch : sign === "/" && commands?.enabled;
    if (!sign || !isOffered || tags.some((tag) => tag.end > start) || !this.input.matches(":focus-within")) {
      this.dismissedAt = -1;
      if (this.trigger) this.close();
      return;
    }
    if (start === this.dismissedAt || (this.trigger?.start === start && this.trigger.query === query)) return;
    lazy(() => import("./suggestions"));
    this.trigger = { sign, query, start, end: caret };
    this.input.requestUpdate();
  }

  private tagAt(event: MouseEvent): PlacedTag | null {
    const { tags } = this;
    if (!tags.length) return null;
    const { clientX: x, clientY: y } = event;
    const holds = ({ left, right, top, bottom }: DOMRect) => left <= x && x <= right && top <= y && y <= bottom;
    const index = [...this.input.querySelectorAll("mark")].findIndex((mark) => [...mark.getClientRects()].some(holds));
    return tags[index] ?? null;
  }

  private markOf({ tag }: PlacedTag): Element | null {
    const index = this.tags.findIndex((placed) => placed.tag === tag);
    return this.input.querySelectorAll("mark")[index] ?? null;
  }
}
