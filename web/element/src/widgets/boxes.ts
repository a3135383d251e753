/** Components that lay out others: Basic, Box, Row, Col, Spacer, Divider, Transition, and Form. */
import { html } from "lit";

import { styled } from "../styled";
import { borderColorOf, boxStyles, lengthOf, spaceOf } from "./css-values";
import { onSubmit } from "./submit";
import { register, renderChildren } from "./node";
import type { Render } from "./context";
import { oneOf } from "./values";

const box =
  (direction: "row" | "col"): Render =>
  (node, context, scope) =>
    html`<div class="box" data-direction=${oneOf(node.direction, ["row", "col"], direction)} ${styled(boxStyles(node))}>${renderChildren(node, context, scope)}</div>`;

const basic: Render = (node, context, scope) =>
  html`<div
    class="basic box"
    data-direction=${oneOf(node.direction, ["row", "col"], "col")}
    ${styled({ ...boxStyles(node), "color-scheme": oneOf(node.theme, ["light", "dark"]) })}
  >
    ${renderChildren(node, context, scope)}
  </div>`;

const form: Render = (node, context, scope) => {
  const own = `${scope}-${context.plan.numberOf(node)}`;
  return html`<form
    novalidate
    class="box"
    data-direction=${oneOf(node.direction, ["row", "col"], "col")}
    ${styled(boxStyles(node))}
    @submit=${onSubmit(context, node.onSubmitAction, "self")}
  >
    ${renderChildren(node, context, own)}
  </form>`;
};

const spacer: Render = (node) => html`<div class="spacer" ${styled({ "flex-basis": lengthOf(node.minSize) })}></div>`;

const divider: Render = (node) =>
  html`<hr
    class="divider"
    ?data-flush=${node.flush === true}
    ${styled({ "--w-line": lengthOf(node.size), "--w-line-color": borderColorOf(node.color), "--w-spacing": spaceOf(node.spacing) })}
  />`;

const transition: Render = (node, context, scope) => html`<div class="transition">${renderChildren(node, context, scope)}</div>`;

register({ Basic: basic, Box: box("col"), Row: box("row"), Col: box("col"), Form: form, Spacer: spacer, Divider: divider, Transition: transition });
