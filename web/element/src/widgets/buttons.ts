/** Button. */
import { html } from "lit";

import { anyIcon } from "../icons/icon";
import type { Render } from "./context";
import { register } from "./node";
import { setSubmitAction } from "./submit";
import { oneOf, readable, textOf } from "./values";

export const CONTROL_SIZES = ["3xs", "2xs", "xs", "sm", "md", "lg", "xl", "2xl", "3xl"] as const;
const COLORS = ["primary", "secondary", "info", "discovery", "success", "caution", "warning", "danger"] as const;

const button: Render = (node, { actions }) => {
  const isPrimary = node.style === "primary";
  const label = textOf(node.label);
  const click = (event: Event) => {
    const source = event.currentTarget as HTMLButtonElement;
    if (node.submit === true && source.form) setSubmitAction(source, node.onClickAction);
    else void actions.run(node.onClickAction, { source, loading: "self" });
  };
  return html`<button
    class="button"
    type=${node.submit === true ? "submit" : "button"}
    aria-label=${label || readable(textOf(node.iconStart ?? node.iconEnd).replace(/^lucide:/, ""))}
    data-color=${oneOf(node.color, COLORS, isPrimary ? "primary" : "secondary")}
    data-variant=${oneOf(node.variant, ["solid", "soft", "outline", "ghost"], isPrimary ? "solid" : "soft")}
    data-size=${oneOf(node.size, CONTROL_SIZES, "md")}
    data-icon-size=${oneOf(node.iconSize, ["sm", "md", "lg", "xl", "2xl"], "md")}
    ?data-pill=${node.pill !== false}
    ?data-uniform=${node.uniform === true || !label}
    ?data-block=${node.block === true}
    ?disabled=${node.disabled === true}
    @click=${click}
  >
    ${anyIcon(node.iconStart)}${label ? html`<span>${label}</span>` : ""}${anyIcon(node.iconEnd)}
  </button>`;
};

register({ Button: button });
