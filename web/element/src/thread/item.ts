/** One item of a thread: finds the component for its type. */
import { html, nothing } from "lit";

import type { ShownItem } from "../chat/conversation";
import "../markdown/markdown";
import { Watch } from "../observable";
import { define, Part } from "../part";

class Item extends Part {
  static override properties = { ...Part.properties, shown: { attribute: false } };

  declare shown: ShownItem;
  private readonly watch = new Watch(this, null);

  override willUpdate() {
    this.watch.watch(this.shown);
  }

  override render() {
    const { item, isOpen } = this.shown;
    this.dataset.type = item.type;
    this.dataset.id = item.id;
    if (item.type === "user_message") return html`${item.content.map(({ text }) => text)}`;
    if (item.type === "assistant_message")
      return item.content.map((part) => html`<ck-markdown .text=${part.text} .annotations=${part.annotations} .isOpen=${isOpen}></ck-markdown>`);
    return nothing;
  }
}

define("ck-item", Item);
