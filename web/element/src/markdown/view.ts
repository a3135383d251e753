/**
 * The rendered text. Blocks that cannot change any more are settled: rendered once and never touched again. What follows
 * them is the open block; it is rendered again for each update and cut where it grows too long, so that the cost of an
 * update does not depend on the length of the text.
 */
import type { Annotation } from "../protocol/wire";
import { Citations, lengthOf, Placement, withMarks } from "./citations";
import { CodeBody, languageOf, MAX_LINE } from "./code";
import { highlightSoon } from "./highlighting";
import { Lexed, type MarkedToken, type Token, type Tokens } from "./lexer";
import { element, renderBlocks, type Rendering } from "./nodes";
import { patchNodes } from "./patch";
import { completed, withoutUnclearEnd } from "./unfinished";
import { cutPosition } from "./cut";

/** An open block that is longer is cut. */
const MAX_BLOCK = 6_000;
/** How much text is read at once. */
const WINDOW = 8_000;
/** Sections of this many characters are skipped by layout and paint while they are out of sight. */
const SECTION = 10_000;

const FENCE = /^( {0,3})(`{3,}|~{3,})([^\n]*)(\n|$)/;

/** How a block goes on after a cut. */
interface Continuation {
  /** The head of a table, put before its next rows. */
  prefix: string;
  /** The number of an ordered list's next item. */
  start: number | null;
  type: string;
}

interface Piece {
  start: number;
  end: number;
  nodes: ChildNode[];
  continuation: Continuation | null;
  /** How many link definitions were known; null if it has none to look up. */
  knownLinks: number | null;
}

interface OpenCode {
  start: number;
  body: CodeBody;
  closer: RegExp;
  indent: number;
  isInLine: boolean;
}

export interface Input {
  text: string;
  annotations: readonly Annotation[];
  isOpen: boolean;
  rendering: Omit<Rendering, "withCitations">;
}

export class View {
  readonly root = element("div");
  private input: Input | null = null;
  /** Where the settled text ends. */
  private position = 0;
  private pieces: Piece[] = [];
  private open: ChildNode[] = [];
  private code: OpenCode | null = null;
  private continuation: Continuation | null = null;
  private links: Record<string, { href: string; title: string | null }> = Object.create(null);
  private section: HTMLElement = element("div");
  private sectionLength = 0;
  private readonly citations = new Citations();

  /** Renders until `deadline` (of `performance.now()`); returns whether it is done. Call it again if not. */
  update(input: Input, deadline: number): boolean {
    const last = this.input;
    if (!last || !input.text.startsWith(last.text) || (!last.isOpen && (input.isOpen || last.text !== input.text))) this.reset();
    this.input = input;
    const changed = this.citations.update(input.annotations, input.text);
    this.renderAgain(changed);
    while (this.position < input.text.length) {
      if (this.code ? !this.addCode(this.code, deadline) : !this.step()) break;
      if (performance.now() > deadline && this.position < input.text.length) return false;
    }
    if (this.position >= input.text.length) this.open = patchNodes(this.section, this.open, []);
    if (!input.isOpen) this.finish();
    return true;
  }

  private reset(): void {
    this.position = 0;
    this.pieces = [];
    this.open = [];
    this.code = null;
    this.continuation = null;
    this.links = Object.create(null);
    this.citations.reset();
    this.section = element("div");
    this.sectionLength = 0;
    this.root.replaceChildren(this.section);
  }

  private get isOpen(): boolean {
    return this.input!.isOpen;
  }

  /** Settles blocks and returns true, or renders the open block and returns false. */
  private step(): boolean {
    const { text } = this.input!;
    const end = Math.min(text.length, this.position + WINDOW);
    const raw = text.slice(this.position, end);
    const isWhole = end === text.length && !this.isOpen;
    const visible = end === text.length && this.isOpen ? withoutUnclearEnd(raw) : raw;
    const prefix = this.continuation?.prefix ?? "";
    const citations = this.citations.between(this.position, this.position + visible.length);
    const known = new Set(Object.keys(this.links));
    const lexed = new Lexed(prefix + withMarks(visible, this.position, citations), this.links, !isWhole);
    const { tokens } = lexed;
    let at = -prefix.length;
    const ends = tokens.map(({ raw: tokenRaw }) => (at += lengthOf(tokenRaw)));
    const fence = tokens.findIndex(({ type, raw: tokenRaw }) => type === "code" && FENCE.test(tokenRaw));
    const isComplete = (index: number) => isWhole || end < text.length || visible.indexOf("\n", ends[index - 1] ?? 0) >= 0;

    let settled = isWhole ? tokens.length : tokens.findLastIndex(({ type }, index) => index > 0 && type !== "space" && isComplete(index));
    if (fence >= 0) settled = Math.min(settled, fence);
    if (settled > 0) {
      this.forgetLinks(tokens.slice(settled), known);
      lexed.lexInline();
      this.settle(tokens.slice(0, settled), ends);
      return true;
    }
    if (fence === 0 && isComplete(0)) {
      this.startCode(raw);
      return true;
    }
    this.forgetLinks(tokens, known);
    if ((ends[0] ?? 0) > MAX_BLOCK || end < text.length) {
      this.cut(tokens[0]!, raw);
      return true;
    }
    completeLast(lexed);
    lexed.lexInline();
    this.showOpen(this.render(tokens, this.continuation, this.position, this.position + visible.length, true));
    return false;
  }

  /** Definitions in text that is not settled may still change. */
  private forgetLinks(tokens: readonly Token[], known: ReadonlySet<string>): void {
    for (const token of tokens) if (token.type === "def" && !known.has((token as Tokens.Def).tag)) delete this.links[(token as Tokens.Def).tag];
  }

  private settle(tokens: readonly Token[], ends: readonly number[]): void {
    const base = this.position;
    for (const [index, token] of tokens.entries()) {
      const end = Math.min(base + ends[index]!, this.input!.text.length);
      const nodes = this.render([token], this.continuation, this.position, end, false);
      this.add(nodes, end, this.continuation, token.raw.includes("]"));
      if (token.type !== "space") this.continuation = null;
    }
  }

  /** Settles as much of a long block as looks least broken. */
  private cut(token: Token, raw: string): void {
    const prefix = this.continuation?.prefix ?? "";
    const { position, next } = cutPosition(token, prefix + raw, MAX_BLOCK, this.continuation?.start ?? null);
    const length = Math.max(1, position - prefix.length);
    const end = this.position + length;
    const citations = this.citations.between(this.position, end);
    const lexed = new Lexed(prefix + withMarks(raw.slice(0, length), this.position, citations), this.links, false);
    lexed.lexInline();
    this.add(this.render(lexed.tokens, this.continuation, this.position, end, false), end, this.continuation, raw.includes("]"));
    this.continuation = next;
  }

  private render(tokens: readonly Token[], continuation: Continuation | null, start: number, end: number, isOpen: boolean): ChildNode[] {
    const placement = new Placement(this.citations.between(start, end), this.input!.rendering.strings);
    const [first] = tokens;
    if (continuation?.start != null && first?.type === "list" && (first as Tokens.List).ordered) (first as Tokens.List).start = continuation.start;
    const nodes = renderBlocks(tokens, { ...this.input!.rendering, withCitations: (text) => placement.split(text) });
    if (continuation && first?.type === continuation.type && nodes[0] instanceof HTMLElement) nodes[0].classList.add("continued");
    if (!isOpen) nodes.push(...placement.rest());
    return nodes;
  }

  private showOpen(nodes: ChildNode[]): void {
    this.open = patchNodes(this.section, this.open, nodes);
  }

  /** Settles rendered nodes: the open ones become equal to them. */
  private add(nodes: ChildNode[], end: number, continuation: Continuation | null, mayLink: boolean): void {
    if (nodes.length) {
      const shown = patchNodes(this.section, this.open.splice(0, nodes.length), nodes);
      nodes = shown;
      for (const node of shown) highlightSoon(node);
    }
    this.addPiece({ start: this.position, end, nodes, continuation, knownLinks: mayLink ? Object.keys(this.links).length : null });
  }

  private addPiece(piece: Piece): void {
    this.pieces.push(piece);
    this.position = piece.end;
    this.sectionLength += piece.end - piece.start;
    if (this.sectionLength < SECTION) return;
    this.sectionLength = 0;
    this.section = element("div");
    this.root.append(this.section);
    this.section.append(...this.open);
  }

  // Code

  private startCode(raw: string): void {
    const [whole, indent, fence, info, lineEnd] = FENCE.exec(raw)!;
    const body = new CodeBody(languageOf(info!), this.input!.rendering.strings);
    const closer = new RegExp(`^ {0,3}${fence![0]}{${fence!.length},}[ \\t\\r]*$`);
    this.code = { start: this.position, body, closer, indent: indent!.length, isInLine: false };
    this.showOpen([]);
    this.section.append(body.block);
    this.position += whole!.length;
    if (!lineEnd && !this.isOpen) this.finishCode(this.code);
  }

  /** Returns false if more text is needed. */
  private addCode(code: OpenCode, deadline: number): boolean {
    const { text } = this.input!;
    const { body, closer } = code;
    while (this.position < text.length) {
      const lineEnd = text.indexOf("\n", this.position);
      const isLast = lineEnd < 0;
      const line = text.slice(this.position, isLast ? undefined : lineEnd);
      if (!code.isInLine && (!isLast || !this.isOpen) && closer.test(line)) {
        this.position = isLast ? text.length : lineEnd + 1;
        this.finishCode(code);
        return true;
      }
      if (isLast && this.isOpen && line.length < MAX_LINE) {
        const mayClose = !code.isInLine && /^ {0,3}(?:`+|~+)?[ \t\r]*$/.test(line);
        if (!code.isInLine) body.showTail(mayClose ? "" : withoutIndent(line, code.indent));
        return false;
      }
      const part = line.slice(0, MAX_LINE);
      if (code.isInLine) body.continueLine(part);
      else body.addLine(withoutIndent(part, code.indent).replace(/\r$/, ""));
      code.isInLine = part.length < line.length || (isLast && this.isOpen);
      this.position += part.length;
      if (!code.isInLine && !isLast) this.position++;
      if (performance.now() > deadline) return true;
    }
    if (!this.isOpen) this.finishCode(code);
    return true;
  }

  private finishCode({ start, body }: OpenCode): void {
    body.finish();
    this.code = null;
    highlightSoon(body.block);
    const placement = new Placement(this.citations.between(start, this.position), this.input!.rendering.strings);
    const chips = placement.rest();
    this.section.append(...chips);
    this.addPiece({ start, end: this.position, nodes: [body.block, ...chips], continuation: null, knownLinks: null });
  }

  // What comes late

  /** Looks up the links that were defined after their use. */
  private finish(): void {
    const links = Object.keys(this.links).length;
    if (links) for (const piece of this.pieces) if (piece.knownLinks !== null && piece.knownLinks < links) this.renderPiece(piece);
  }

  /** Renders the settled pieces again that have these offsets. */
  private renderAgain(offsets: readonly number[]): void {
    if (!offsets.length) return;
    for (const piece of this.pieces) {
      const isIn = offsets.some((offset) => (offset > piece.start || (offset === 0 && piece.start === 0)) && offset <= piece.end);
      if (isIn && piece.nodes.length) this.renderPiece(piece);
    }
  }

  private renderPiece(piece: Piece): void {
    const { start, end, continuation } = piece;
    const [first] = piece.nodes;
    let nodes: ChildNode[];
    if (first instanceof HTMLElement && first.matches(".code")) {
      const placement = new Placement(this.citations.between(start, end), this.input!.rendering.strings);
      nodes = [first, ...placement.rest()];
    } else {
      const marked = withMarks(this.input!.text.slice(start, end), start, this.citations.between(start, end));
      const lexed = new Lexed((continuation?.prefix ?? "") + marked, this.links, false);
      lexed.lexInline();
      nodes = this.render(lexed.tokens, continuation, start, end, false);
      piece.knownLinks = Object.keys(this.links).length;
    }
    if (!first) return;
    const marker = document.createComment("");
    first.before(marker);
    for (const node of piece.nodes) node.remove();
    marker.replaceWith(...nodes);
    piece.nodes = nodes;
    for (const node of nodes) if (node !== first) highlightSoon(node);
  }
}

/** Closes what is unfinished at the very end. */
function completeLast(lexed: Lexed): void {
  const leaf = lastLeaf(lexed.tokens);
  const inline = leaf && lexed.inlineTexts.findLast(({ tokens }) => tokens === leaf);
  if (inline) inline.src = completed(inline.src);
}

function lastLeaf(tokens: readonly Token[]): Token[] | null {
  const token = tokens.at(-1) as MarkedToken | undefined;
  switch (token?.type) {
    case "paragraph":
    case "heading":
    case "text":
      return token.tokens ?? null;
    case "blockquote":
      return lastLeaf(token.tokens);
    case "list":
      return lastLeaf(token.items.at(-1)?.tokens ?? []);
    case "table":
      return (token.rows.at(-1) ?? token.header).findLast(({ text }) => text)?.tokens ?? null;
    default:
      return null;
  }
}

function withoutIndent(line: string, indent: number): string {
  return indent ? line.replace(new RegExp(`^ {0,${indent}}`), "") : line;
}
