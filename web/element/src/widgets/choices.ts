/** Fields with a choice: Select, DatePicker, Checkbox, RadioGroup. */
import { html, nothing } from "lit";

import { icon } from "../icons/core";
import type { WidgetNode } from "../protocol/wire";
import type { Render, WidgetContext } from "./context";
import { framed, identityOf, recheck } from "./fields";
import { check, type Field, markFilled, valuesOf } from "./forms";
import { initial } from "./initial";
import { register } from "./node";
import { listOf, oneOf, recordOf, textOf } from "./values";

const MAX_OPTIONS = 1_000;

interface Option {
  value: string;
  label: string;
  isDisabled: boolean;
}

function optionsOf(node: WidgetNode): Option[] {
  return listOf(node.options)
    .slice(0, MAX_OPTIONS)
    .flatMap((option) => {
      const { value, label, description, disabled } = recordOf(option) ?? { value: option };
      const name = textOf(label) || textOf(value);
      return name ? { value: textOf(value), label: textOf(description) ? `${name} – ${textOf(description)}` : name, isDisabled: disabled === true } : [];
    });
}

/** Runs the field's `onChangeAction` with its new value. */
function changed(node: WidgetNode, context: WidgetContext) {
  return (event: Event) => {
    const field = event.currentTarget as Field;
    markFilled(field);
    if (field.ariaInvalid === "true") check(field, context.chat.strings);
    if (node.onChangeAction) void context.actions.run(node.onChangeAction, { source: field, loading: "none", values: valuesOf([field]) });
  };
}

/** Only shown while there is something to clear. */
function clearButton(node: WidgetNode, { chat }: WidgetContext) {
  if (node.clearable !== true || node.disabled === true) return nothing;
  const clear = (event: Event) => {
    const field = (event.currentTarget as HTMLElement).parentElement!.querySelector<Field>("[data-name]")!;
    field.value = "";
    field.focus();
    field.dispatchEvent(new Event("change", { bubbles: true }));
  };
  return html`<button type="button" class="clear" aria-label=${chat.strings.clear} @click=${clear}>${icon("close")}</button>`;
}

const select: Render = (node, context, scope) => {
  const { name, fieldId, errorId, label } = identityOf(node, context, scope);
  return framed(
    node,
    errorId,
    "select",
    html`<select
        id=${fieldId}
        data-name=${name}
        aria-label=${label}
        aria-describedby=${errorId}
        ?required=${node.required === true}
        ?disabled=${node.disabled === true}
        @change=${changed(node, context)}
        ${initial(textOf(node.defaultValue))}
      >
        <option value="" ?hidden=${node.clearable !== true}>${textOf(node.placeholder) || context.chat.strings.choose}</option>
        ${optionsOf(node).map((option) => html`<option value=${option.value} ?disabled=${option.isDisabled}>${option.label}</option>`)}
      </select>
      ${clearButton(node, context)}${icon("chevron-down")}`,
  );
};

const datePicker: Render = (node, context, scope) => {
  const { name, fieldId, errorId, label } = identityOf(node, context, scope);
  const hasTime = [node.defaultValue, node.min, node.max].some((value) => /T(?!00:00(:00(\.0+)?)?(Z|[+-]00:?00)?$)/.test(textOf(value)));
  const inputValue = (value: unknown) => (hasTime ? localTime(textOf(value)) : (/^\d{4}-\d\d-\d\d/.exec(textOf(value))?.[0] ?? ""));
  return framed(
    node,
    errorId,
    "date",
    html`<input
        type=${hasTime ? "datetime-local" : "date"}
        id=${fieldId}
        data-name=${name}
        aria-label=${label}
        aria-describedby=${errorId}
        min=${inputValue(node.min) || nothing}
        max=${inputValue(node.max) || nothing}
        ?required=${node.required === true}
        ?disabled=${node.disabled === true}
        @change=${changed(node, context)}
        ${initial(inputValue(node.defaultValue))}
      />${clearButton(node, context)}`,
  );
};

/** An ISO time in the time zone of the browser, as `datetime-local` has it; "" if it is none. */
function localTime(text: string): string {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return "";
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}

const checkbox: Render = (node, context, scope) => {
  const { name, fieldId, errorId, label } = identityOf(node, context, scope);
  const text = textOf(node.label);
  return html`<div class="field" data-kind="checkbox">
    <label class="choice">
      <input
        type="checkbox"
        id=${fieldId}
        data-name=${name}
        aria-label=${text ? nothing : label}
        aria-describedby=${errorId}
        ?required=${node.required === true}
        ?disabled=${node.disabled === true}
        @change=${changed(node, context)}
        ${initial(node.defaultChecked === true)}
      />
      ${text ? html`<span>${text}${node.required === true ? html`<span class="required" aria-hidden="true">*</span>` : nothing}</span>` : nothing}
    </label>
    <span class="error" id=${errorId}></span>
  </div>`;
};

const radioGroup: Render = (node, context, scope) => {
  const { name, fieldId, errorId, label } = identityOf(node, context, scope);
  const isLabelled = context.plan.labelled.has(name);
  return html`<div
    class="field"
    data-kind="radio"
    role="radiogroup"
    aria-label=${isLabelled ? nothing : textOf(node.ariaLabel) || label}
    aria-labelledby=${isLabelled ? `${context.uid}${scope}-label-${name}` : nothing}
    aria-required=${node.required === true ? "true" : nothing}
  >
    <div class="choices" data-direction=${oneOf(node.direction, ["row"], "col")}>
      ${optionsOf(node).map(
        (option) => html`<label class="choice">
          <input
            type="radio"
            name=${fieldId}
            data-name=${name}
            value=${option.value}
            aria-describedby=${errorId}
            ?required=${node.required === true}
            ?disabled=${node.disabled === true || option.isDisabled}
            @input=${recheck(context)}
            @change=${changed(node, context)}
            ${initial(option.value === textOf(node.defaultValue))}
          />
          <span>${option.label}</span>
        </label>`,
      )}
    </div>
    <span class="error" id=${errorId}></span>
  </div>`;
};

register({ Select: select, DatePicker: datePicker, Checkbox: checkbox, RadioGroup: radioGroup });
