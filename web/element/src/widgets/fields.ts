/** Fields of a line or a paragraph of text: Input, Textarea, and a Text that is `editable`. */
import { html, nothing, type TemplateResult } from "lit";

import type { WidgetNode } from "../protocol/wire";
import { styled } from "../styled";
import { CONTROL_SIZES } from "./buttons";
import type { Render, WidgetContext } from "./context";
import { check, type Field } from "./forms";
import { initial } from "./initial";
import { whenMounted } from "./mounted";
import { register } from "./node";
import { safePattern } from "./patterns";
import { fieldNameOf, numberOf, oneOf, readable, recordOf, textOf } from "./values";

const INPUT_TYPES = ["number", "email", "password", "tel", "url"] as const;
const GUTTERS = ["2xs", "xs", "sm", "md", "lg", "xl"] as const;

/** Ids and accessible names of a field. Without a Label, its placeholder or name is read out. */
export function identityOf(node: WidgetNode, { uid, plan }: WidgetContext, scope: string) {
  const name = fieldNameOf(node);
  const fieldId = `${uid}${scope}-${name}`;
  const hint = textOf(recordOf(node.editable)?.placeholder ?? node.placeholder);
  return { name, fieldId, errorId: `${fieldId}-error`, label: plan.labelled.has(name) ? nothing : hint || readable(name) };
}

/** The frame of a field, and the place of its error, which `forms.ts` fills. */
export function framed(node: WidgetNode, errorId: string, kind: string, content: TemplateResult) {
  return html`<div
    class="field"
    data-kind=${kind}
    data-variant=${oneOf(node.variant, ["solid", "soft", "ghost"], "outline")}
    data-size=${oneOf(node.size, CONTROL_SIZES, "md")}
    data-gutter=${oneOf(node.gutterSize, GUTTERS) ?? nothing}
    ?data-pill=${node.pill === true}
    ?data-block=${node.block === true}
  >
    ${content}
    <span class="error" id=${errorId}></span>
  </div>`;
}

/** A wrong field is checked again while it is corrected. */
export const recheck = (context: WidgetContext) => (event: Event) => {
  const field = event.currentTarget as Field;
  if (field.ariaInvalid === "true") check(field, context.chat.strings);
};

const input: Render = (node, context, scope) => {
  const { errorId } = identityOf(node, context, scope);
  return framed(node, errorId, "input", line(node, context, scope, node, oneOf(node.inputType, INPUT_TYPES, "text"), node.defaultValue));
};

const textarea: Render = (node, context, scope) => {
  const { errorId } = identityOf(node, context, scope);
  return framed(node, errorId, "textarea", paragraph(node, context, scope, node, numberOf(node.rows, 1, 50) ?? 3, node.defaultValue));
};

/** A text that is edited where it stands. */
export function editableText(node: WidgetNode, context: WidgetContext, scope: string) {
  const options = recordOf(node.editable)!;
  const lines = Math.max(numberOf(node.minLines, 1, 50) ?? 1, numberOf(node.maxLines, 1, 50) ?? 1);
  const { errorId } = identityOf(node, context, scope);
  const isLong = lines > 1 || /\n/.test(textOf(node.value));
  const field = isLong
    ? paragraph({ autoResize: true, maxRows: node.maxLines ?? 12, type: "Text", ...options }, context, scope, node, numberOf(node.minLines, 1, 50) ?? 1, node.value)
    : line(options, context, scope, node, "text", node.value);
  return html`<div class="field" data-kind="editable">${field}<span class="error" id=${errorId}></span></div>`;
}

type Options = Record<string, unknown>;

function line(options: Options, context: WidgetContext, scope: string, node: WidgetNode, type: string, value: unknown) {
  const { name, fieldId, errorId, label } = identityOf(node, context, scope);
  return html`<input
    id=${fieldId}
    data-name=${name}
    type=${type}
    aria-label=${label}
    aria-describedby=${errorId}
    placeholder=${textOf(options.placeholder) || nothing}
    data-pattern=${safePattern(options.pattern) ?? nothing}
    autocomplete=${autofillOf(options)}
    ?data-1p-ignore=${options.allowAutofillExtensions !== true}
    ?data-lpignore=${options.allowAutofillExtensions !== true}
    ?required=${options.required === true}
    ?disabled=${options.disabled === true}
    ${initial(textOf(value))}
    ${whenMounted(focuses(options, context))}
    @input=${recheck(context)}
  />`;
}

function paragraph(options: Options, context: WidgetContext, scope: string, node: WidgetNode, rows: number, value: unknown) {
  const { name, fieldId, errorId, label } = identityOf(node, context, scope);
  const maxRows = numberOf(options.maxRows, 1, 100);
  return html`<textarea
    id=${fieldId}
    data-name=${name}
    aria-label=${label}
    aria-describedby=${errorId}
    rows=${rows}
    placeholder=${textOf(options.placeholder) || nothing}
    data-pattern=${safePattern(options.pattern) ?? nothing}
    autocomplete=${autofillOf(options)}
    ?data-grows=${options.autoResize === true}
    ?required=${options.required === true}
    ?disabled=${options.disabled === true}
    ${styled({ "--w-rows": maxRows && options.autoResize === true ? Math.max(rows, maxRows) : null })}
    ${initial(textOf(value))}
    ${whenMounted(focuses(options, context))}
    @input=${recheck(context)}
  ></textarea>`;
}

const autofillOf = (options: Options) => (/^[a-z- ]{1,60}$/.test(textOf(options.autoComplete)) ? textOf(options.autoComplete) : options.allowAutofillExtensions === true ? "on" : "off");

/** `autoFocus` must not take the focus from what the user is writing, nor scroll to a widget of the history. */
function focuses(options: Options, context: WidgetContext) {
  return (field: HTMLElement) => {
    const { value } = field as HTMLInputElement;
    if (options.autoSelect === true) field.addEventListener("focus", () => (field as HTMLInputElement).select());
    const active = (field.getRootNode() as ShadowRoot | Document).activeElement as { value?: unknown } | null;
    const isFree = !active || active.value === "";
    if (options.autoFocus === true && context.isNew && isFree) field.focus({ preventScroll: !value });
  };
}

register({ Input: input, Textarea: textarea });
