/** The values of a form's fields, their validation, and the payload of an action that submits them. */
import type { Action } from "../protocol/wire";
import { matches } from "./patterns";
import { recordOf } from "./values";

export type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;
export type Values = Record<string, unknown>;

/** Fields carry their name in `data-name`: the attribute `name` would join radio buttons of different widgets. */
const FIELDS = "[data-name]";

/** The values that were sent last, by field. */
const submitted = new WeakMap<Element, string | boolean>();

export function fieldsIn(form: Element): Field[] {
  return [...form.querySelectorAll<Field>(FIELDS)].filter((field) => field.closest("form") === form);
}

/** The values by name, in the order of the fields. A group of radio buttons without a choice, or an empty choice or date, is null. */
export function valuesOf(fields: readonly Field[]): Values {
  const values: Values = Object.create(null);
  for (const field of fields) {
    if (field.disabled) continue;
    const name = field.dataset.name!;
    submitted.set(field, stateOf(field));
    if (isRadio(field)) values[name] = field.checked ? field.value : (values[name] ?? null);
    else values[name] = valueOf(field);
  }
  return values;
}

function isRadio(field: Element): field is HTMLInputElement {
  return field instanceof HTMLInputElement && field.type === "radio";
}

function valueOf(field: Field): unknown {
  if (field instanceof HTMLSelectElement) return field.value || null;
  switch (field.type) {
    case "checkbox":
      return (field as HTMLInputElement).checked;
    case "date":
      return field.value || null;
    case "datetime-local":
      return field.value ? new Date(field.value).toISOString() : null;
    default:
      return field.value;
  }
}

const isChecked = (field: Field): field is HTMLInputElement => field instanceof HTMLInputElement && (field.type === "checkbox" || field.type === "radio");

/** What the user sees in the field. */
export const stateOf = (field: Field) => (isChecked(field) ? field.checked : field.value);

export function setState(field: Field, state: string | boolean): void {
  if (isChecked(field)) field.checked = state === true;
  else field.value = String(state);
  markFilled(field);
}

/** Whether there is something to clear; the attribute is in no template. */
export function markFilled(field: Field): void {
  field.closest(".field")?.toggleAttribute("data-filled", Boolean(stateOf(field)));
}

/** Whether the field still has what was sent last: then the server may change it. */
export function isAsSubmitted(field: Field): boolean {
  return submitted.has(field) && submitted.get(field) === stateOf(field);
}

/**
 * Adds values to an action's payload. "todo.title" goes to `payload.todo.title`. What the payload already has wins, as in
 * the stock element; the names of such values come back as `ignored`.
 */
export function withValues(action: Action, values: Values): { action: Action; ignored: string[] } {
  const names = Object.keys(values);
  if (!names.length) return { action, ignored: [] };
  const given = action.payload ?? {};
  if (!recordOf(given)) return { action, ignored: names };
  const payload = copy(given as Values);
  const ignored = names.filter((name) => !put(payload, name.split("."), values[name]));
  return { action: { ...action, payload }, ignored };
}

/** Copies plain objects, without prototypes: a field may be called `__proto__`. */
function copy(source: Values): Values {
  const target: Values = Object.create(null);
  for (const [key, value] of Object.entries(source)) target[key] = recordOf(value) ? copy(value as Values) : value;
  return target;
}

function put(target: Values, [first, ...rest]: string[], value: unknown): boolean {
  if (!rest.length) {
    if (first! in target) return false;
    target[first!] = value;
    return true;
  }
  target[first!] ??= Object.create(null);
  const next = recordOf(target[first!]);
  return next !== null && put(next, rest, value);
}

/** Shows what is wrong with each field and focuses the first wrong one; returns whether all are right. */
export function validate(form: Element, texts: { invalidFormat: string }): boolean {
  const wrong = fieldsIn(form).filter((field) => !field.disabled && !check(field, texts));
  wrong[0]?.focus();
  return !wrong.length;
}

/** Native validation, but not of patterns: browsers check these at each change, however long that takes. */
export function check(field: Field, texts: { invalidFormat: string }): boolean {
  const { pattern } = field.dataset;
  if (pattern !== undefined) field.setCustomValidity(field.value && !matches(field.value, pattern) ? texts.invalidFormat : "");
  show(field, field.validity.valid ? "" : field.validationMessage);
  return field.validity.valid;
}

/** The element for the message is empty in its template, so that no render touches it. */
function show(field: Field, message: string): void {
  const frame = field.closest(".field");
  const output = frame?.querySelector(":scope > .error");
  if (!frame || !output || output.textContent === message) return;
  output.textContent = message;
  // Of radio buttons, all are wrong together.
  for (const part of frame.querySelectorAll(FIELDS)) part.ariaInvalid = message ? "true" : null;
}
