/** A directive that runs a function once for each element, after the element is in the page. */
import { noChange } from "lit";
import { Directive, directive, type ElementPart } from "lit/directive.js";

class Mounted extends Directive {
  private isDone = false;

  render(_run: (element: HTMLElement) => void) {
    return noChange;
  }

  override update(part: ElementPart, [run]: [(element: HTMLElement) => void]) {
    if (!this.isDone) requestAnimationFrame(() => run(part.element as HTMLElement));
    this.isDone = true;
    return noChange;
  }
}

export const whenMounted = directive(Mounted);
