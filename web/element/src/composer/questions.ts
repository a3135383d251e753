/** `<ck-questions>`: the agent's questions, one after the other, in place of the composer. Loaded on demand. */
import { css, html, nothing } from "lit";
import { keyed } from "lit/directives/keyed.js";

import type { ShownItem } from "../chat/conversation";
import { icon } from "../icons/core";
import { Watch } from "../observable";
import { define, Part } from "../part";
import type { StructuredInputItem } from "../protocol/wire";
import { AnswerDraft, submissionOf } from "./answers";

/** Of forms that the user has begun: they come back with the thread. */
const begun = new Map<string, AnswerDraft[]>();

class Questions extends Part {
  static override properties = { ...Part.properties, shown: { attribute: false }, index: { state: true } };
  static override sheet = css`
    ck-questions {
      display: block;
      > form {
        display: grid; gap: calc(3 * var(--ck-space)); padding: calc(4 * var(--ck-space)); border: 1px solid var(--ck-border); border-radius: calc(var(--ck-radius-lg) + 2 * var(--ck-space));
        background: var(--ck-elevated); box-shadow: var(--ck-shadow-sm); max-block-size: 70vh; overflow-y: auto; box-sizing: border-box;
      }
      [data-head] { display: flex; align-items: center; justify-content: space-between; gap: calc(2 * var(--ck-space)); color: var(--ck-muted); font-size: 0.8125em; min-block-size: 28px; }
      fieldset { display: grid; gap: calc(2 * var(--ck-space)); min-inline-size: 0; margin: 0; padding: 0; border: 0; }
      legend { padding: 0; margin-block-end: calc(2 * var(--ck-space)); font-weight: 600; overflow-wrap: anywhere; }
      [data-description] { margin: 0; color: var(--ck-muted); font-size: 0.9375em; }
      label[data-option] {
        display: flex; align-items: center; gap: calc(3 * var(--ck-space)); min-block-size: 44px; box-sizing: border-box; padding: calc(2 * var(--ck-space)) calc(3 * var(--ck-space));
        border: 1px solid var(--ck-border); border-radius: var(--ck-radius-lg); cursor: pointer; overflow-wrap: anywhere;
        &:hover { background: var(--ck-hover); }
        &:has(> :checked) { border-color: var(--ck-accent); background: var(--ck-hover); }
        &:has(> :focus-visible) { outline: 2px solid var(--ck-focus); outline-offset: 2px; }
        > input:is([type="radio"], [type="checkbox"]) { flex: none; inline-size: 18px; block-size: 18px; margin: 0; accent-color: var(--ck-accent); outline: none; }
        > span { flex: 1; min-inline-size: 0; }
        > input[type="text"] { flex: 1; min-inline-size: 0; margin: 0; padding: 0; border: 0; background: none; color: inherit; font: inherit; outline: none; &::placeholder { color: var(--ck-muted); opacity: 1; } }
      }
      textarea { box-sizing: border-box; inline-size: 100%; min-block-size: 5.5em; field-sizing: content; max-block-size: 12em; resize: vertical; padding: calc(2.5 * var(--ck-space)) calc(3 * var(--ck-space)); border: 1px solid var(--ck-border-strong); border-radius: var(--ck-radius-lg); background: none; color: inherit; font: inherit; &::placeholder { color: var(--ck-muted); opacity: 1; } }
      [data-foot] { display: flex; flex-wrap: wrap; align-items: center; gap: calc(2 * var(--ck-space)); > span { flex: 1; } }
      [data-skip-all] { color: var(--ck-muted); font-weight: 400; margin-inline-end: calc(-2 * var(--ck-space)); }
      @media (pointer: coarse) { input[type="text"], textarea { font-size: max(16px, 1em); } }
    }
  `;

  declare shown: ShownItem;
  declare private index: number;
  private drafts: AnswerDraft[] = [];
  private readonly watch = new Watch(this, null);
  private mayFocus = false;

  constructor() {
    super();
    this.index = 0;
  }

  override willUpdate(changed: Map<string, unknown>) {
    this.watch.watch(this.shown);
    const { id, inputs } = this.shown.item as StructuredInputItem;
    if (changed.has("shown")) {
      this.drafts = begun.get(id) ?? inputs.map((question) => new AnswerDraft(question));
      begun.set(id, this.drafts);
      this.index = 0;
      this.mayFocus = true;
    }
  }

  override render() {
    const { drafts, index } = this;
    const { strings } = this.chat;
    const draft = drafts[index];
    if (!draft) return nothing;
    const isLast = index === drafts.length - 1;
    return html`<form aria-label=${strings.questions} @submit=${this.submitted}>
      <div data-head>
        <span role="status">${drafts.length > 1 ? strings.questionOf(index + 1, drafts.length) : ""}</span>
        <button type="button" class="ck-button quiet small" data-skip-all @click=${this.skipAll}>${drafts.length > 1 ? strings.skipAll : strings.skip}${icon("close")}</button>
      </div>
      ${keyed(draft.question.id, this.question(draft))}
      <div data-foot>
        ${index > 0 ? html`<button type="button" class="ck-button quiet" data-back @click=${() => this.go(index - 1)}>${strings.back}</button>` : nothing}
        <span></span>
        ${drafts.length > 1 ? html`<button type="button" class="ck-button quiet" data-skip @click=${this.skip}>${strings.skip}</button>` : nothing}
        <button type="submit" class="ck-button primary" ?disabled=${!draft.values.length}>${isLast ? strings.submit : strings.next}</button>
      </div>
    </form>`;
  }

  override updated(changed: Map<string, unknown>) {
    if (!this.mayFocus || !(changed.has("index") || changed.has("shown"))) return;
    this.mayFocus = false;
    // Only from a place where the user was typing already: a page's own form keeps its focus.
    const { activeElement } = this.getRootNode() as ShadowRoot;
    if (activeElement || document.activeElement === document.body) this.querySelector<HTMLElement>("[data-input]")?.focus({ preventScroll: true });
  }

  private question(draft: AnswerDraft) {
    const { question } = draft;
    const { strings } = this.chat;
    if (question.type === "freeform") {
      const description = question.description;
      return html`<fieldset aria-describedby=${description ? "ck-question-description" : nothing}>
        <legend>${question.question}</legend>
        ${description ? html`<p data-description id="ck-question-description">${description}</p>` : nothing}
        <textarea data-input rows="3" aria-label=${question.question} placeholder=${strings.yourAnswer} .value=${draft.own} @input=${(event: Event) => this.change(() => draft.write((event.target as HTMLTextAreaElement).value))} @keydown=${this.keyed}></textarea>
      </fieldset>`;
    }
    const type = draft.isMultiple ? "checkbox" : "radio";
    const name = `ck-question-${question.id}`;
    return html`<fieldset role=${draft.isMultiple ? "group" : "radiogroup"}>
      <legend>${question.question}</legend>
      ${question.options.map(
        ({ value }, index) =>
          html`<label data-option><input type=${type} name=${name} ?data-input=${index === 0} .checked=${draft.chosen.has(value)} @change=${(event: Event) => this.change(() => draft.choose(value, (event.target as HTMLInputElement).checked))} /><span>${value}</span></label>`,
      )}
      <label data-option>
        <input type=${type} name=${name} aria-label=${strings.ownAnswer} .checked=${draft.isOwnChosen} @change=${(event: Event) => this.choseOwn(draft, event)} />
        <input type="text" data-own aria-label=${strings.ownAnswer} placeholder=${strings.ownAnswer} .value=${draft.own} @input=${(event: Event) => this.change(() => draft.write((event.target as HTMLInputElement).value))} />
      </label>
    </fieldset>`;
  }

  private change(edit: () => void): void {
    edit();
    this.requestUpdate();
  }

  private choseOwn(draft: AnswerDraft, event: Event): void {
    const { checked } = event.target as HTMLInputElement;
    this.change(() => draft.chooseOwn(checked));
    if (checked && !draft.own) this.querySelector<HTMLElement>("[data-own]")?.focus();
  }

  private go(index: number): void {
    this.mayFocus = true;
    this.index = index;
  }

  private readonly submitted = (event: Event) => {
    event.preventDefault();
    if (this.drafts[this.index]?.values.length) this.advance();
  };

  private readonly keyed = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.querySelector("form")?.requestSubmit();
  };

  private readonly skip = () => {
    this.drafts[this.index]!.skip();
    this.advance();
  };

  private readonly skipAll = () => {
    for (const draft of this.drafts) draft.skip();
    this.send();
  };

  private advance(): void {
    if (this.index < this.drafts.length - 1) this.go(this.index + 1);
    else this.send();
  }

  private send(): void {
    const { chat, drafts } = this;
    const { id } = this.shown.item;
    void chat
      .answer(id, submissionOf(drafts))
      .then(() => {
        if ((this.shown.item as StructuredInputItem).status !== "pending") begun.delete(id);
      })
      .catch((error: Error) => chat.report(error));
  }
}

define("ck-questions", Questions);
