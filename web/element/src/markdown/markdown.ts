/** Markdown that may still grow: settled blocks are rendered once, the open one at the end again for each frame. */
import { html } from "lit";

import { define, Part } from "../part";
import type { Annotation } from "../protocol/wire";

class Markdown extends Part {
  static override properties = { ...Part.properties, text: { attribute: false }, annotations: { attribute: false }, isOpen: { attribute: false } };

  declare text: string;
  declare annotations: Annotation[];
  declare isOpen: boolean;

  override render() {
    return html`${this.text}`;
  }
}

define("ck-markdown", Markdown);
