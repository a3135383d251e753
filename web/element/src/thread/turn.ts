/** One turn: its items, and below them what the user can do with the answer. The last one shows how it goes on. */
import { css, html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";

import type { Conversation, ShownItem } from "../chat/conversation";
import { lazy } from "../lazy";
import { define, Part } from "../part";
import "./item";
import "./turn-end";

const isSame = (items: ShownItem[], last: ShownItem[] | undefined) => items.length === last?.length && items.every((shown, index) => shown === last[index]);

class TurnView extends Part {
  static override properties = {
    ...Part.properties,
    conversation: { attribute: false },
    items: { attribute: false, hasChanged: (items: ShownItem[], last: ShownItem[] | undefined) => !isSame(items, last) },
    isLast: { attribute: false },
    isResponding: { attribute: false },
    rating: { attribute: false },
  };
  static override sheet = css`
    ck-turn {
      display: flex; flex-direction: column; gap: calc(var(--ck-space) * 4); padding-block: calc(var(--ck-space) * 3);
      /* Turns that are off the screen cost nothing, and are still found by the browser's search. */
      content-visibility: auto; contain-intrinsic-block-size: auto 20rem;
      &[data-last] { content-visibility: visible; }
      /* The message that was sent last stays at the top while its answer grows. */
      &[data-sent] { min-block-size: calc(var(--ck-viewport, 0px) - var(--ck-space) * 8); }
    }
  `;

  declare conversation: Conversation;
  declare items: ShownItem[];
  declare isLast: boolean;
  declare isResponding: boolean;
  declare rating: "positive" | "negative" | undefined;

  override render() {
    const { chat, conversation, items, isLast, isResponding, rating } = this;
    this.toggleAttribute("data-last", isLast);
    if (!isResponding) lazy(() => import("./turn-actions"));
    const answer = items.filter(({ item }) => item.type !== "user_message");
    return html`${repeat(
      items,
      ({ key }) => key,
      (shown) => html`<ck-item .chat=${chat} .shown=${shown}></ck-item>`,
    )}
    ${answer.length && !isResponding
      ? html`<ck-turn-actions .chat=${chat} .items=${answer} .turnKey=${items[0]!.key} .rating=${rating} .isLast=${isLast}></ck-turn-actions>`
      : nothing}
    ${isLast ? html`<ck-turn-end .chat=${chat} .conversation=${conversation}></ck-turn-end>` : nothing}`;
  }
}

define("ck-turn", TurnView);
