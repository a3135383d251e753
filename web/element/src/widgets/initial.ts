/**
 * A directive for form fields: their initial value. When the server changes it, the field follows unless the user has
 * typed something that was not sent yet.
 */
import { noChange } from "lit";
import { Directive, directive, type ElementPart } from "lit/directive.js";

import { type Field, isAsSubmitted, setState, stateOf } from "./forms";

class Initial extends Directive {
  private last: string | boolean | undefined;

  render(_value: string | boolean) {
    return noChange;
  }

  override update(part: ElementPart, [value]: [string | boolean]) {
    const { last } = this;
    if (value === last) return noChange;
    this.last = value;
    const field = part.element as Field;
    // The options of a <select> are rendered after this.
    queueMicrotask(() => {
      if (last === undefined || stateOf(field) === last || isAsSubmitted(field)) setState(field, value);
    });
    return noChange;
  }
}

export const initial = directive(Initial);
