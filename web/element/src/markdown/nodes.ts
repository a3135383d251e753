/**
 * Tokens to DOM nodes. There is no HTML string anywhere: elements come from a fixed set of tags, texts are text nodes, and
 * addresses are checked, so an answer cannot bring in scripts, styles, ids or forms.
 */
import { imageSource, linkTarget } from "../addresses";
import type { Strings } from "../locales/en";
import { codeBlock } from "./code";
import { decodeEntities } from "./entities";
import type { MarkedToken, Token, Tokens } from "./lexer";

type Tag = "a" | "blockquote" | "br" | "code" | "del" | "div" | "em" | "h3" | "h4" | "h5" | "h6" | "hr" | "img" | "li" | "ol" | "p" | "span" | "strong" | "table" | "tbody" | "td" | "th" | "thead" | "tr" | "ul";

export interface Rendering {
  strings: Strings;
  /** Images of other hosts are shown as links: an answer must not make browsers call hosts that nobody allowed. */
  imageDomains: string[] | null;
  /** Splits text at the marks of citations and returns the chips between. */
  withCitations(text: string): (string | Node)[];
  /** Finds the markup in the text of a block. */
  inline(tokens: Token[]): Token[];
  /** Tells whether an item or row of the outermost list or table is already shown as it should be. */
  isShown?: ((index: number, key: string) => boolean) | undefined;
}

export function element<T extends Tag>(tag: T, children: readonly (Node | string)[] = [], className = ""): HTMLElementTagNameMap[T] {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function renderBlocks(tokens: readonly Token[], rendering: Rendering): ChildNode[] {
  return tokens.flatMap((token) => renderBlock(token, rendering));
}

function renderBlock(generic: Token, rendering: Rendering): ChildNode[] {
  const token = generic as MarkedToken;
  switch (token.type) {
    case "space":
    case "def":
      return [];
    case "heading":
      // The header of the chat is a second-level heading.
      return [element(`h${Math.min(token.depth + 2, 6) as 3 | 4 | 5 | 6}`, inline(rendering.inline(token.tokens), rendering))];
    case "paragraph":
      return [element("p", inline(rendering.inline(token.tokens), rendering))];
    case "text":
      return inline(token.tokens ? rendering.inline(token.tokens) : [token], rendering);
    case "checkbox":
      return [checkbox(token.checked, rendering)];
    case "code":
      return [codeBlock(token.lang ?? "", token.text, rendering.strings), ...chips(token.raw, rendering)];
    case "hr":
      return [element("hr")];
    case "blockquote":
      return [element("blockquote", renderBlocks(token.tokens, rendering))];
    case "list":
      return [list(token, rendering)];
    case "table":
      return [table(token, rendering)];
    default:
      // Math between lines of its own; other markup of later versions shows as text.
      if ((generic as Tokens.Generic).isBlock) return [element("p", rendering.withCitations(generic.raw.trim()), "math")];
      return inline([generic], rendering);
  }
}

function list(token: Tokens.List, { isShown, ...rendering }: Rendering): HTMLElement {
  const items = token.items.map((item, index) => {
    if (isShown?.(index, `${item.loose} ${item.raw}`)) return keeper(item.raw, rendering);
    return element("li", renderBlocks(item.tokens, rendering), [item.task && "task", item.loose && "loose"].filter(Boolean).join(" "));
  });
  if (!token.ordered) return element("ul", items);
  const node = element("ol", items);
  if (token.start !== 1) node.setAttribute("start", String(token.start));
  return node;
}

/** Stands for a node that is kept, see `patchNodes`; the citations inside are where they belong. */
function keeper(raw: string, rendering: Rendering): Node {
  rendering.withCitations(raw);
  return document.createComment("");
}

function checkbox(isChecked: boolean, { strings }: Rendering): HTMLElement {
  const node = element("span", [], isChecked ? "box checked" : "box");
  node.role = "img";
  node.ariaLabel = isChecked ? strings.taskDone : strings.taskOpen;
  return node;
}

function table(token: Tokens.Table, { isShown, ...rendering }: Rendering): HTMLElement {
  const row = (cells: Tokens.TableCell[], tag: "td" | "th") =>
    element(
      "tr",
      cells.map(({ tokens, align }) => {
        const cell = element(tag, inline(rendering.inline(tokens), rendering, true), align ? `align-${align}` : "");
        if (tag === "th") cell.setAttribute("scope", "col");
        return cell;
      }),
    );
  const body = token.rows.map((cells, index) => {
    const key = cells.map(({ text }) => text).join("|");
    return isShown?.(index, key) ? keeper(key, rendering) : row(cells, "td");
  });
  const node = element("div", [element("table", [element("thead", [row(token.header, "th")]), ...(body.length ? [element("tbody", body)] : [])])], "table");
  // It scrolls sideways, also by keyboard.
  node.tabIndex = 0;
  node.role = "group";
  node.ariaLabel = rendering.strings.table;
  return node;
}

function inline(tokens: readonly Token[], rendering: Rendering, isCell = false): ChildNode[] {
  return tokens.flatMap((token) => inlineNodes(token, rendering, isCell));
}

function inlineNodes(generic: Token, rendering: Rendering, isCell: boolean): ChildNode[] {
  const token = generic as MarkedToken;
  switch (token.type) {
    case "text":
      if (token.tokens) return inline(token.tokens, rendering, isCell);
      return isCell ? cellText(token.text, rendering) : text(decodeEntities(token.text), rendering);
    case "escape":
      return text(token.text, rendering);
    case "strong":
    case "em":
    case "del":
      return [element(token.type, inline(token.tokens, rendering, isCell))];
    case "codespan":
      return [element("code", [withoutMarks(token.text, rendering)]), ...chips(token.raw, rendering)];
    case "br":
      return [element("br")];
    case "link":
      return [...link(token, rendering), ...chips(token.raw, rendering)];
    case "image":
      return [...image(token, rendering), ...chips(token.raw, rendering)];
    case "checkbox":
      return [checkbox(token.checked, rendering)];
    default:
      return text(generic.raw, rendering);
  }
}

/** A cell cannot hold a line break otherwise, so this one tag is read there. */
function cellText(value: string, rendering: Rendering): ChildNode[] {
  return value.split(/<br *\/?>/i).flatMap((line, index) => [...(index ? [element("br")] : []), ...text(decodeEntities(line), rendering)]);
}

function text(value: string, rendering: Rendering): ChildNode[] {
  return rendering.withCitations(value).map((part) => (typeof part === "string" ? document.createTextNode(part) : (part as ChildNode)));
}

/** The chips of citations that stand where no chip can be, for example in an address. */
function chips(raw: string, rendering: Rendering): ChildNode[] {
  return rendering.withCitations(raw).filter((part): part is ChildNode => typeof part !== "string");
}

function withoutMarks(value: string, rendering: Rendering): string {
  return value.includes("\ufffc") ? rendering.withCitations(value).filter((part) => typeof part === "string").join("") : value;
}

function link(token: Tokens.Link, rendering: Rendering): ChildNode[] {
  const children = inline(token.tokens, rendering);
  const href = decodeEntities(token.href.replace(/\ufffc.?\ufffc/g, ""));
  const isDeepLink = /^chatkit-link:\/\//i.test(href);
  const target = isDeepLink ? href : href.startsWith("#") ? null : linkTarget(href);
  if (!target) return children;
  return [anchor(target, children, isDeepLink)];
}

function anchor(target: string, children: readonly (Node | string)[], isDeepLink = false): HTMLAnchorElement {
  const node = element("a", children);
  node.href = target;
  if (isDeepLink) node.dataset.deepLink = "";
  else if (/^https?:/i.test(target)) {
    node.target = "_blank";
    node.rel = "noopener noreferrer";
  }
  return node;
}

function image(token: Tokens.Image, rendering: Rendering): ChildNode[] {
  const href = decodeEntities(token.href.replace(/\ufffc.?\ufffc/g, ""));
  const label = decodeEntities(token.text.replace(/\ufffc.?\ufffc/g, ""));
  // Without a list no host is allowed; images inside the text itself call none.
  const source = rendering.imageDomains || /^data:/i.test(href) ? imageSource(href, rendering.imageDomains) : null;
  if (source) {
    const node = element("img");
    node.alt = label;
    node.setAttribute("loading", "lazy");
    node.referrerPolicy = "no-referrer";
    node.src = source;
    return [node];
  }
  const target = linkTarget(href);
  return target ? [anchor(target, [label || target])] : [document.createTextNode(label)];
}
