/** The text below the composer. */
import { css, html, nothing } from "lit";

import "../markdown/markdown";
import { define, Part } from "../part";

class Disclaimer extends Part {
  static override sheet = css`
    ck-disclaimer {
      display: block; padding-block-start: calc(2 * var(--ck-space)); color: var(--ck-muted); font-size: 0.8125em; line-height: 1.4; text-align: center; text-wrap: balance;
      &:empty { display: none; }
      &[data-contrast] { color: var(--ck-fg); }
      p { margin: 0; }
      a { color: inherit; text-decoration: underline; }
    }
  `;

  override render() {
    const { disclaimer } = this.chat.options;
    this.hidden = !disclaimer?.text;
    this.toggleAttribute("data-contrast", Boolean(disclaimer?.highContrast));
    return disclaimer?.text ? html`<ck-markdown .chat=${this.chat} .text=${disclaimer.text} .annotations=${[]} .isOpen=${false}></ck-markdown>` : nothing;
  }
}

define("ck-disclaimer", Disclaimer);
