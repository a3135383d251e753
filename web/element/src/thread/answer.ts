/** A message of the assistant, with the sources that have no place in its text. */
import { css, html, nothing } from "lit";
import { lazy } from "../lazy";

import "../markdown/markdown";
import { define } from "../part";
import { ItemPart } from "./item-part";

class Answer extends ItemPart {
  static override sheet = css`
    ck-answer { display: block; }
  `;

  override render() {
    const { item, isOpen } = this.shown;
    if (item.type !== "assistant_message") return nothing;
    const sources = isOpen ? [] : item.content.flatMap(({ annotations }) => annotations.filter(({ index }) => typeof index !== "number").map(({ source }) => source));
    if (sources.length) lazy(() => import("./sources"));
    return html`${item.content.map(
        ({ text, annotations }) => html`<ck-markdown .chat=${this.chat} .text=${text} .annotations=${annotations} .isOpen=${isOpen}></ck-markdown>`,
      )}
      ${sources.length ? html`<ck-sources .chat=${this.chat} .sources=${sources}></ck-sources>` : nothing}`;
  }
}

define("ck-answer", Answer);
