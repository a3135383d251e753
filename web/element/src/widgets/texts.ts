/** Components of text: Title, Caption, Text, Markdown, Badge, Label. */
import { html, nothing } from "lit";

import type { WidgetNode } from "../protocol/wire";
import { type Styles, styled } from "../styled";
import type { Render } from "./context";
import { lengthOf, textColorOf } from "./css-values";
import { editableText } from "./fields";
import { register } from "./node";
import { numberOf, oneOf, recordOf, textOf } from "./values";

const TEXT_SIZES = ["xs", "sm", "md", "lg", "xl"] as const;
const TITLE_SIZES = ["sm", "md", "lg", "xl", "2xl", "3xl", "4xl", "5xl"] as const;
const WEIGHTS: Record<string, number> = { normal: 400, medium: 500, semibold: 600, bold: 700 };

/** What Title, Caption, Text and Label have in common. */
function textStyles(node: WidgetNode): Styles {
  const { weight } = node;
  const lines = numberOf(node.maxLines, 1, 1_000);
  return {
    color: textColorOf(node.color),
    "font-weight": typeof weight === "string" && Object.hasOwn(WEIGHTS, weight) ? WEIGHTS[weight] : null,
    "text-align": oneOf(node.textAlign, ["start", "center", "end"]),
    "-webkit-line-clamp": lines,
  };
}

/** Single-line texts are cut at the end; the clamp is for more lines. */
const cutOf = (node: WidgetNode) => (node.truncate === true ? "line" : numberOf(node.maxLines, 1, 1_000) ? "lines" : nothing);

const title: Render = (node) =>
  html`<h3 class="title" data-size=${oneOf(node.size, TITLE_SIZES, "md")} data-cut=${cutOf(node)} ${styled(textStyles(node))}>${textOf(node.value)}</h3>`;

const caption: Render = (node) =>
  html`<p class="caption" data-size=${oneOf(node.size, ["sm", "md", "lg"], "md")} data-cut=${cutOf(node)} ${styled(textStyles(node))}>${textOf(node.value)}</p>`;

const text: Render = (node, context, scope) => {
  const lines = numberOf(node.minLines, 1, 100);
  const styles: Styles = {
    ...textStyles(node),
    "font-style": node.italic === true ? "italic" : null,
    "text-decoration-line": node.lineThrough === true ? "line-through" : null,
    width: lengthOf(node.width),
    "min-height": lines && lines > 1 ? `${lines}lh` : null,
  };
  const size = oneOf(node.size, TEXT_SIZES, "md");
  if (recordOf(node.editable)) return html`<div class="text" data-size=${size} ${styled(styles)}>${editableText(node, context, scope)}</div>`;
  return html`<p class="text" data-size=${size} data-cut=${cutOf(node)} ${styled(styles)}>${textOf(node.value)}</p>`;
};

const markdown: Render = (node, { chat }) =>
  html`<ck-markdown .chat=${chat} .text=${textOf(node.value)} .annotations=${NO_ANNOTATIONS} .isOpen=${node.streaming === true}></ck-markdown>`;

const NO_ANNOTATIONS: never[] = [];

const badge: Render = (node) =>
  html`<span
    class="badge"
    data-color=${oneOf(node.color, ["success", "danger", "warning", "info", "discovery"], "secondary")}
    data-variant=${oneOf(node.variant, ["solid", "outline"], "soft")}
    data-size=${oneOf(node.size, ["md", "lg"], "sm")}
    ?data-pill=${node.pill === true}
    >${textOf(node.label)}</span
  >`;

const label: Render = (node, { uid, plan }, scope) => {
  const name = textOf(node.fieldName);
  const mark = plan.required.has(name) ? html`<span class="required" aria-hidden="true">*</span>` : nothing;
  return html`<label
    class="label"
    id=${`${uid}${scope}-label-${name}`}
    for=${`${uid}${scope}-${name}`}
    data-size=${oneOf(node.size, TEXT_SIZES, "sm")}
    ${styled(textStyles(node))}
    >${textOf(node.value)}${mark}</label
  >`;
};

register({ Title: title, Caption: caption, Text: text, Markdown: markdown, Badge: badge, Label: label });
