/** The greeting and the start prompts of a new thread. */
import type { StartScreenPrompt } from "@openai/chatkit";
import { css, html, nothing } from "lit";

import { anyIcon } from "../icons/icon";
import { define, Part } from "../part";

class StartScreen extends Part {
  static override sheet = css`
    ck-start-screen {
      flex: 1; min-block-size: 0; overflow-y: auto; display: flex; flex-direction: column; padding: calc(var(--ck-space) * 4) var(--ck-gutter);
      > div { inline-size: 100%; max-inline-size: var(--ck-column); margin: auto; display: flex; flex-direction: column; gap: calc(var(--ck-space) * 6); }
      h2 { font-size: var(--ck-size-xl); font-weight: 600; line-height: 1.25; letter-spacing: -0.015em; text-align: center; text-wrap: balance; overflow-wrap: anywhere; }
      ul { display: grid; grid-template-columns: minmax(0, 1fr); gap: calc(var(--ck-space) * 2); }
      button {
        display: flex; align-items: center; gap: calc(var(--ck-space) * 3); inline-size: 100%; block-size: 100%; min-block-size: 44px;
        padding: calc(var(--ck-space) * 2.5) calc(var(--ck-space) * 4); border: 1px solid var(--ck-border); border-radius: var(--ck-radius-lg);
        font-size: calc(var(--ck-size) * 0.9375); line-height: 1.4; transition: background var(--ck-fast), border-color var(--ck-fast);
        span { min-inline-size: 0; overflow-wrap: anywhere; }
        svg, ck-icon { inline-size: 18px; block-size: 18px; color: var(--ck-icon); }
        &:hover { background: var(--ck-hover); }
        &:active { background: var(--ck-pressed); }
      }
      @container (inline-size >= 600px) {
        > div { gap: calc(var(--ck-space) * 8); }
        h2 { font-size: calc(var(--ck-size) * 1.75); }
        ul.wide { grid-template-columns: repeat(2, minmax(0, 1fr)); }
      }
      @container (inline-size < 600px) {
        /* The prompts are within the thumb's reach. */
        > div:has(ul) { flex: 1; }
        h2:not(:only-child) { margin-block: auto; }
      }
    }
  `;

  override render() {
    const { chat } = this;
    const { greeting = chat.strings.greeting, prompts = [] } = chat.options.startScreen ?? {};
    return html`<div>
      ${greeting && html`<h2 dir="auto">${greeting}</h2>`}
      ${prompts.length ? html`<ul class=${prompts.length > 1 ? "wide" : ""} role="list">${prompts.map((prompt) => html`<li>${this.button(prompt)}</li>`)}</ul>` : nothing}
    </div>`;
  }

  private button({ label, prompt, icon }: StartScreenPrompt) {
    const send = () => this.chat.send({ ...(typeof prompt === "string" ? { text: prompt } : { content: prompt }), ...this.chat.draft.choices(this.chat.options.composer ?? {}) }).catch((error: Error) => this.chat.report(error));
    return html`<button type="button" @click=${send}>${icon ? anyIcon(icon) : nothing}<span class="ck-name" dir="auto">${label}</span></button>`;
  }
}

define("ck-start-screen", StartScreen);
