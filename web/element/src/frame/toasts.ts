/** Short messages that leave by themselves. */
import { html } from "lit";

import { Watch } from "../observable";
import { define, Part } from "../part";

class Toasts extends Part {
  private readonly watch = new Watch(this, null);

  override willUpdate() {
    this.watch.watch(this.chat);
  }

  override render() {
    return html`<div role="alert">${this.chat.toasts.map(({ text }) => html`<p>${text}</p>`)}</div>`;
  }
}

define("ck-toasts", Toasts);
