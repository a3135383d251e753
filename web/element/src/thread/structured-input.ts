/** `<ck-structured-input>`: questions that were answered or skipped. A pending one shows as a form in place of the composer. */
import { css, html, nothing } from "lit";

import type { ShownItem } from "../chat/conversation";
import { Watch } from "../observable";
import { define, Part } from "../part";
import type { Question, StructuredInputItem } from "../protocol/wire";

class StructuredInput extends Part {
  static override properties = { ...Part.properties, shown: { attribute: false } };
  static override sheet = css`
    ck-structured-input {
      display: block;
      > dl { display: grid; gap: calc(3 * var(--ck-space)); margin: 0; padding: calc(3 * var(--ck-space)) calc(4 * var(--ck-space)); border: 1px solid var(--ck-border); border-radius: var(--ck-radius-lg); font-size: 0.9375em; }
      dt { color: var(--ck-muted); overflow-wrap: anywhere; }
      dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
      dd[data-skipped] { color: var(--ck-muted); font-style: italic; }
    }
  `;

  declare shown: ShownItem;
  private readonly watch = new Watch(this, null);

  override willUpdate() {
    this.watch.watch(this.shown);
  }

  override render() {
    const { status, inputs } = this.shown.item as StructuredInputItem;
    this.hidden = status === "pending";
    return status === "pending" ? nothing : html`<dl>${inputs.map((question) => this.answered(question, status === "skipped"))}</dl>`;
  }

  private answered({ question, answer }: Question, isSkipped: boolean) {
    const values = isSkipped || answer?.skipped ? [] : (answer?.values ?? []);
    return html`<div><dt>${question}</dt>${values.length ? values.map((value) => html`<dd>${value}</dd>`) : html`<dd data-skipped>${this.chat.strings.skipped}</dd>`}</div>`;
  }
}

define("ck-structured-input", StructuredInput);
