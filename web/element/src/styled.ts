/**
 * A directive for an element: `<div ${styled({ color, "max-inline-size": size })}>`. It sets each property through the
 * CSSOM. An attribute `style`, which Lit's own `styleMap` writes at the first render, is blocked by a page whose content
 * security policy has no `unsafe-inline`.
 */
import { noChange } from "lit";
import { Directive, directive, type ElementPart, type PartInfo, PartType } from "lit/directive.js";

/** Properties by their CSS names; null and undefined remove one. A value that is not valid CSS is ignored. */
export type Styles = Record<string, string | number | null | undefined>;

class Styled extends Directive {
  private set = new Set<string>();

  constructor(part: PartInfo) {
    super(part);
    if (part.type !== PartType.ELEMENT) throw new Error("styled() is for an element");
  }

  render(_styles: Styles) {
    return noChange;
  }

  override update(part: ElementPart, [styles]: [Styles]) {
    const { style } = part.element as HTMLElement;
    const last = this.set;
    this.set = new Set();
    for (const [name, value] of Object.entries(styles)) {
      if (value === null || value === undefined || value === "") continue;
      // A value that the browser rejects would leave the last one in place.
      if (last.has(name)) style.removeProperty(name);
      style.setProperty(name, String(value));
      this.set.add(name);
    }
    for (const name of last) if (!this.set.has(name)) style.removeProperty(name);
    return noChange;
  }
}

export const styled = directive(Styled);
