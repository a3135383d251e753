/** Where the user writes. */
import { html } from "lit";

import { Watch } from "../observable";
import { define, Part } from "../part";

class Composer extends Part {
  private readonly watch = new Watch(this, null);
  private readonly draftWatch = new Watch(this, null);

  override willUpdate() {
    this.watch.watch(this.chat.shown);
    this.draftWatch.watch(this.chat.draft);
  }

  override render() {
    const { chat } = this;
    const { isResponding } = chat.shown;
    const send = (event: Event) => {
      event.preventDefault();
      void chat.send(chat.draft.take(false));
    };
    const text = chat.draft.content.map((part) => part.text).join("");
    return html`<form @submit=${send}>
      <textarea
        data-input
        aria-label=${chat.options.composer?.placeholder ?? chat.strings.placeholder}
        placeholder=${chat.options.composer?.placeholder ?? chat.strings.placeholder}
        .value=${text}
        @input=${(event: Event) => chat.draft.set({ text: (event.target as HTMLTextAreaElement).value })}
      ></textarea>
      ${isResponding ? html`<button type="button" @click=${() => chat.stop()}>${chat.strings.stop}</button>` : html`<button>${chat.strings.send}</button>`}
    </form>`;
  }
}

define("ck-composer", Composer);
