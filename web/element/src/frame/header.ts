/** Title, New chat, History, and the page's own buttons. */
import { html } from "lit";

import { Watch } from "../observable";
import { define, Part } from "../part";

class Header extends Part {
  override willUpdate() {
    this.watch.watch(this.chat);
  }

  private readonly watch = new Watch(this, null);

  override render() {
    const { chat } = this;
    return html`<h2>${chat.shown.thread?.title ?? ""}</h2>
      <button type="button" aria-label=${chat.strings.newChat} @click=${() => chat.open(null)}>+</button>
      <button type="button" aria-label=${chat.strings.history} @click=${() => chat.openHistory()}>H</button>`;
  }
}

define("ck-header", Header);
