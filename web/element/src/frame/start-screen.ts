/** The greeting and the start prompts of a new thread. */
import { html } from "lit";

import { define, Part } from "../part";

class StartScreen extends Part {
  override render() {
    const { chat } = this;
    const { greeting = chat.strings.greeting, prompts = [] } = chat.options.startScreen ?? {};
    return html`<h2>${greeting}</h2>
      ${prompts.map(
        ({ label, prompt }) =>
          html`<button type="button" @click=${() => chat.send(typeof prompt === "string" ? { text: prompt } : { content: prompt })}>${label}</button>`,
      )}`;
  }
}

define("ck-start-screen", StartScreen);
