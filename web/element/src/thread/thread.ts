/** The items of the shown thread, and what its response shows at the end: progress, notices, the error. */
import { html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";

import type { Conversation } from "../chat/conversation";
import { Watch } from "../observable";
import { define, Part } from "../part";
import "./item";

class Thread extends Part {
  static override properties = { ...Part.properties, conversation: { attribute: false } };

  declare conversation: Conversation;
  private readonly watch = new Watch(this, null);

  override willUpdate() {
    this.watch.watch(this.conversation);
  }

  override render() {
    const { chat, conversation } = this;
    const { failure } = conversation;
    return html`<ol>
        ${repeat(conversation.items.values(), ({ item }) => item.id, (shown) => html`<ck-item .chat=${chat} .shown=${shown}></ck-item>`)}
      </ol>
      ${failure && html`<p role="alert">${failure.message}</p>`}
      ${conversation.isResponding ? html`<p>…</p>` : nothing}`;
  }
}

define("ck-thread", Thread);
