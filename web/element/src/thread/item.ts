/** One item of a thread: finds the component for its type. Items of a type that this version does not know are not shown. */
import { css, html, nothing, type TemplateResult } from "lit";

import type { Chat } from "../chat/chat";
import type { ShownItem } from "../chat/conversation";
import { define, Part } from "../part";
import type { ThreadItem } from "../protocol/wire";
import "./answer";
import "./generated-image";
import "./task";
import "./user-message";
import "./workflow";

type Render = (chat: Chat, shown: ShownItem) => TemplateResult;

const RENDERS: Partial<Record<ThreadItem["type"], Render>> = {
  user_message: (chat, shown) => html`<ck-user-message .chat=${chat} .shown=${shown}></ck-user-message>`,
  assistant_message: (chat, shown) => html`<ck-answer .chat=${chat} .shown=${shown}></ck-answer>`,
  workflow: (chat, shown) => html`<ck-workflow .chat=${chat} .shown=${shown}></ck-workflow>`,
  task: (chat, shown) => html`<ck-task-item .chat=${chat} .shown=${shown}></ck-task-item>`,
  generated_image: (chat, shown) => html`<ck-generated-image .chat=${chat} .shown=${shown}></ck-generated-image>`,
  structured_input: (chat, shown) => html`<ck-structured-input .chat=${chat} .shown=${shown}></ck-structured-input>`,
  widget: (chat, shown) => html`<ck-widget .chat=${chat} .shown=${shown}></ck-widget>`,
};

export function isVisible({ item }: ShownItem): boolean {
  return item.type in RENDERS;
}

class Item extends Part {
  static override properties = { ...Part.properties, shown: { attribute: false } };
  static override sheet = css`
    ck-item { display: block; min-inline-size: 0; overflow-wrap: anywhere; }
    ck-item:has(> [hidden]) { display: none; }
  `;

  declare shown: ShownItem;

  override willUpdate(): void {
    const { item } = this.shown;
    this.dataset.type = item.type;
    this.dataset.id = item.id;
    const { youSaid, answer } = this.chat.strings;
    const label = item.type === "user_message" ? youSaid : item.type === "assistant_message" ? answer : null;
    if (label) {
      this.role = "article";
      this.ariaLabel = label;
    }
  }

  protected override firstUpdated(): void {
    const { type } = this.shown.item;
    if (type === "structured_input") void import("./structured-input");
    if (type === "widget") void import("../widgets/widget");
  }

  override render() {
    return RENDERS[this.shown.item.type]?.(this.chat, this.shown) ?? nothing;
  }
}

define("ck-item", Item);
