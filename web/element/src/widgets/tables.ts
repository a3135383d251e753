/** Table, Table.Row and Table.Cell. */
import { html } from "lit";

import { styled } from "../styled";
import type { Render } from "./context";
import { lengthOf, spacingOf } from "./css-values";
import { register, renderChildren } from "./node";
import { childrenOf, numberOf, oneOf } from "./values";

const MAX_SPAN = 100;

const table: Render = (node, context, scope) => {
  const rows = childrenOf(node);
  const heads = rows.filter(({ header }) => header === true);
  const body = rows.filter(({ header }) => header !== true);
  return html`<div class="table" tabindex="0" role="group" aria-label=${context.chat.strings.table}>
    <table>
      <thead>
        ${renderChildren(node, context, scope, heads)}
      </thead>
      <tbody>
        ${renderChildren(node, context, scope, body)}
      </tbody>
    </table>
  </div>`;
};

/** Cells have another element in a header, so their row renders them. */
const row: Render = (node, context, scope) =>
  html`<tr>
    ${renderChildren(node, context, node.header === true ? `${scope}${HEAD}` : scope)}
  </tr>`;

const HEAD = "-head";

const cell: Render = (node, context, scope) => {
  const span = (value: unknown) => Math.trunc(numberOf(value, 1, MAX_SPAN) ?? 1);
  const align = oneOf(node.align, ["start", "center", "end"], "start");
  const styles = styled({
    width: lengthOf(node.width),
    "text-align": align,
    "vertical-align": { start: "top", center: "middle", end: "bottom" }[oneOf(node.vAlign, ["start", "center", "end"], "start")],
    ...(node.padding === undefined ? {} : spacingOf("padding", node.padding)),
  });
  const content = html`<div class="cell">${renderChildren(node, context, scope)}</div>`;
  const size = oneOf(node.colSize, ["xs", "sm", "md", "lg", "xl"], "auto");
  return scope.endsWith(HEAD)
    ? html`<th scope="col" data-size=${size} data-align=${align} colspan=${span(node.colSpan)} rowspan=${span(node.rowSpan)} ${styles}>${content}</th>`
    : html`<td data-size=${size} data-align=${align} colspan=${span(node.colSpan)} rowspan=${span(node.rowSpan)} ${styles}>${content}</td>`;
};

register({ Table: table, "Table.Row": row, "Table.Cell": cell });
