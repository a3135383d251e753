/** One item of a thread: finds the component for its type. Items of a type that this version does not know are not shown. */
import { css, html, nothing, type TemplateResult } from "lit";

import type { Chat } from "../chat/chat";
import type { ShownItem } from "../chat/conversation";
import { lazy } from "../lazy";
import { define, Part } from "../part";
import type { ThreadItem } from "../protocol/wire";
import "./answer";
import "./user-message";

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

const steps = () => import("./steps");
const LOADS: Partial<Record<ThreadItem["type"], () => Promise<unknown>>> = {
  workflow: steps,
  task: steps,
  generated_image: () => import("./generated-image"),
  structured_input: () => import("./structured-input"),
  widget: () => import("../widgets/widget"),
};

export function isVisible({ item }: ShownItem): boolean {
  return Object.hasOwn(RENDERS, item.type);
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

  /** Loads the component of a rarer type; its properties wait for it. */
  protected override firstUpdated(): void {
    const load = LOADS[this.shown.item.type];
    if (load) lazy(load);
  }

  override render() {
    return RENDERS[this.shown.item.type]?.(this.chat, this.shown) ?? nothing;
  }
}

define("ck-item", Item);
