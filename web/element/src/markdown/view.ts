/**
 * The rendered text. Blocks that cannot change any more are settled: rendered once and never touched again. What follows
 * them is the open block; it is rendered again for each update and cut where it grows too long, so that the cost of an
 * update does not depend on the length of the text.
 */
import type { Annotation } from "../protocol/wire";
import type { Citation, Citations } from "./citations";
import { CodeBody, languageOf, MAX_LINE } from "./code";
import { Lexed, type Token, type Tokens } from "./lexer";
import { element, renderBlocks, type Rendering } from "./nodes";
import { patchNodes } from "./patch";
import { withoutUnclearEnd } from "./unfinished";
import { cutOf, isTooLong, offsetOfLine } from "./cut";

/** How much text is read at once, in characters and lines. */
const WINDOW = 8_000;
const WINDOW_LINES = 250;
/** Layout and paint come after a task and see no deadline: a task renders about so many characters at most. */
const TASK_LENGTH = 40_000;
/** Sections of this many characters are skipped by layout and paint while they are out of sight. */
const SECTION = 10_000;

/** So much of the end of an open text is compared. */
const SAMPLE = 500;

/** What `citations.ts` puts into the text. */
const MARKS = /\ufffc[\ue000-\uf8ff]\ufffc/g;
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
  rendering: Pick<Rendering, "strings" | "imageDomains">;
}

export class View {
  readonly root = element("div");
  private input: Input | null = null;
  /** Where the settled text ends. */
  private position = 0;
  private pieces: Piece[] = [];
  private open: ChildNode[] = [];
  /** What is shown of the open list or table. */
  private shown: { kind: string; keys: string[] } | null = null;
  private code: OpenCode | null = null;
  private continuation: Continuation | null = null;
  /** So many pieces have all their links. */
  private finished = 0;
  private links: Record<string, { href: string; title: string | null }> = Object.create(null);
  private section: HTMLElement = element("div");
  private sectionLength = 0;
  /** Set when there are any, see `citations.ts`. */
  citations: Citations | null = null;

  /** Renders until `deadline` (of `performance.now()`), or enough for one task; returns whether it is done. Call it again if not. */
  update(input: Input, deadline: number): boolean {
    const last = this.input;
    if (!last || !continues(input, last)) this.reset();
    this.input = input;
    this.renderAgain(this.citations?.update(input.annotations, input.text, input.isOpen) ?? []);
    const most = this.position + TASK_LENGTH;
    const isOver = () => this.position >= most || performance.now() > deadline;
    while (this.position < input.text.length) {
      if (this.code ? !this.addCode(this.code, isOver) : !this.step()) break;
      if (this.position < input.text.length && isOver()) return false;
    }
    if (this.position >= input.text.length) this.open = patchNodes(this.section, this.open, []);
    return input.isOpen || this.finish(deadline);
  }

  private reset(): void {
    this.position = 0;
    this.pieces = [];
    this.open = [];
    this.shown = null;
    this.code = null;
    this.continuation = null;
    this.finished = 0;
    this.links = Object.create(null);
    this.citations?.reset();
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
    const all = text.slice(this.position, this.position + WINDOW);
    const raw = all.slice(0, offsetOfLine(all, WINDOW_LINES));
    const end = this.position + raw.length;
    const isLast = end === text.length;
    const isWhole = isLast && !this.isOpen;
    if (!this.continuation && FENCE.test(raw) && (isWhole || raw.includes("\n"))) {
      this.startCode(raw);
      return true;
    }
    const visible = isLast && this.isOpen ? withoutUnclearEnd(raw) : raw;
    const prefix = this.continuation?.prefix ?? "";
    const known = new Set(Object.keys(this.links));
    const citations = this.citationsIn(this.position, this.position + visible.length);
    const lexed = new Lexed(prefix + this.withMarks(visible, this.position, citations), this.links, !isWhole);
    const { tokens } = lexed;
    const lengthOf = (source: string) => (citations.length ? source.replace(MARKS, "").length : source.length);
    let at = -prefix.length;
    const ends = tokens.map((token) => (at += lengthOf(token.raw)));
    const isComplete = (index: number) => !isLast || isWhole || visible.indexOf("\n", ends[index - 1] ?? 0) >= 0;

    let settled = isWhole ? tokens.length : tokens.findLastIndex(({ type }, index) => index > 0 && type !== "space" && isComplete(index));
    // Code has its own way, long blocks are cut: both begin at the next step.
    const special = tokens.findIndex((token) => (token.type === "code" && FENCE.test(token.raw)) || isTooLong(token.raw));
    if (special >= 0) settled = Math.min(settled, special);
    this.forgetLinks(tokens.slice(Math.max(0, settled)), known);
    if (settled > 0) {
      this.settle(lexed, settled, ends);
      return true;
    }
    const [first] = tokens;
    if (first && (isTooLong(first.raw) || !isLast)) {
      this.cut(first, raw, lengthOf);
      return true;
    }
    lexed.completeEnd();
    this.open = patchNodes(this.section, this.open, this.render(lexed, tokens, this.continuation, this.position, this.position + visible.length, true));
    this.remember(tokens);
    return false;
  }

  /** Definitions in text that is not settled may still change. */
  private forgetLinks(tokens: readonly Token[], known: ReadonlySet<string>): void {
    for (const token of tokens) if (token.type === "def" && !known.has((token as Tokens.Def).tag)) delete this.links[(token as Tokens.Def).tag];
  }

  private settle(lexed: Lexed, count: number, ends: readonly number[]): void {
    const base = this.position;
    const tokens = lexed.tokens.slice(0, count);
    for (const [index, token] of tokens.entries()) {
      if (token.type === "space") {
        if (index === 0) this.skipSpace(base + ends[0]!);
        continue;
      }
      // A citation may stand in the empty lines behind a block.
      const last = tokens[index + 1]?.type === "space" ? index + 1 : index;
      const end = Math.min(base + ends[last]!, this.input!.text.length);
      const nodes = this.render(lexed, [token], this.continuation, this.position, end, false);
      this.add(nodes, end, this.continuation, token.raw.includes("]"));
      this.continuation = null;
    }
  }

  /** Empty lines belong to the block before them. */
  private skipSpace(end: number): void {
    const last = this.pieces.at(-1);
    const hasCitations = this.citationsIn(this.position, end).length > 0;
    this.position = end;
    if (!last) return;
    last.end = end;
    if (hasCitations) this.renderPiece(last);
  }

  /** Settles as much of a long block as looks least broken. */
  private cut(token: Token, raw: string, lengthOf: (source: string) => number): void {
    const prefix = this.continuation?.prefix ?? "";
    const { position, next } = cutOf(token, prefix + raw, this.continuation?.start ?? null, lengthOf);
    const length = Math.max(1, position - prefix.length);
    const end = this.position + length;
    const citations = this.citationsIn(this.position, end);
    const lexed = new Lexed(prefix + this.withMarks(raw.slice(0, length), this.position, citations), this.links, false);
    this.add(this.render(lexed, lexed.tokens, this.continuation, this.position, end, false), end, this.continuation, raw.includes("]"));
    this.continuation = next;
  }

  private render(lexed: Lexed, tokens: readonly Token[], continuation: Continuation | null, start: number, end: number, isOpen: boolean): ChildNode[] {
    const placement = this.place(start, end);
    const [first] = tokens;
    if (continuation?.start != null && first?.type === "list" && (first as Tokens.List).ordered) (first as Tokens.List).start = continuation.start;
    const rendering = { ...this.input!.rendering, withCitations: (text: string) => placement.split(text), inline: (inline: Token[]) => lexed.inline(inline) };
    const shown = first && this.shown?.kind === kindOf(first) ? this.shown.keys : null;
    const nodes = [
      ...renderBlocks(tokens.slice(0, 1), { ...rendering, isShown: shown ? (index, key) => shown[index] === key : undefined }),
      ...renderBlocks(tokens.slice(1), rendering),
    ];
    if (continuation && first?.type === continuation.type && nodes[0] instanceof HTMLElement) nodes[0].classList.add("continued");
    if (!isOpen) nodes.push(...placement.rest());
    // An answer may be in another language than the interface. Not inside: a quote would not see its paragraphs' direction.
    for (const node of nodes) if (node instanceof HTMLElement && !node.matches(".code")) node.dir = "auto";
    return nodes;
  }

  /** Notes the items or rows of the open list or table that need not be rendered again. */
  private remember([first]: readonly Token[]): void {
    if (first?.type === "list") this.shown = { kind: kindOf(first), keys: (first as Tokens.List).items.map((item) => `${item.loose} ${item.raw}`) };
    else if (first?.type === "table") this.shown = { kind: kindOf(first), keys: (first as Tokens.Table).rows.map((cells) => cells.map(({ text }) => text).join("|")) };
    else this.shown = null;
    // The last one may have been completed for show.
    this.shown?.keys.pop();
  }

  /** Settles rendered nodes: the open ones become equal to them. */
  private add(nodes: ChildNode[], end: number, continuation: Continuation | null, mayLink: boolean): void {
    if (nodes.length) {
      this.shown = null;
      const shown = patchNodes(this.section, this.open.splice(0, nodes.length), nodes);
      nodes = shown;
      for (const node of shown) this.highlightSoon(node);
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

  // Citations

  private citationsIn(start: number, end: number): readonly Citation[] {
    return this.citations?.between(start, end) ?? [];
  }

  private withMarks(text: string, start: number, citations: readonly Citation[]): string {
    return citations.length ? this.citations!.withMarks(text, start, citations) : text;
  }

  private place(start: number, end: number): { split(text: string): (string | Node)[]; rest(): HTMLElement[] } {
    const citations = this.citationsIn(start, end);
    return citations.length ? this.citations!.place(citations, this.input!.rendering.strings) : { split: (text) => (text ? [text] : []), rest: () => [] };
  }

  // Code

  private startCode(raw: string): void {
    const [whole, indent, fence, info, lineEnd] = FENCE.exec(raw)!;
    const body = new CodeBody(languageOf(info!), this.input!.rendering.strings);
    const closer = new RegExp(`^ {0,3}${fence![0]}{${fence!.length},}[ \\t\\r]*$`);
    this.code = { start: this.position, body, closer, indent: indent!.length, isInLine: false };
    this.open = patchNodes(this.section, this.open, []);
    this.shown = null;
    this.section.append(body.block);
    this.position += whole!.length;
    if (!lineEnd && !this.isOpen) this.finishCode(this.code);
  }

  /** Returns false if more text is needed. */
  private addCode(code: OpenCode, isOver: () => boolean): boolean {
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
        const mayClose = !code.isInLine && /^ {0,3}(?:`+|~+)[ \t\r]*$/.test(line);
        if (!code.isInLine) body.showTail(mayClose ? "" : withoutIndent(line, code.indent));
        return false;
      }
      const part = line.slice(0, MAX_LINE);
      if (code.isInLine) body.continueLine(part);
      else body.addLine(withoutIndent(part, code.indent).replace(/\r$/, ""));
      code.isInLine = part.length < line.length || (isLast && this.isOpen);
      this.position += part.length;
      if (!code.isInLine && !isLast) this.position++;
      if (this.position < text.length && isOver()) return true;
    }
    if (!this.isOpen) this.finishCode(code);
    return true;
  }

  private finishCode({ start, body }: OpenCode): void {
    body.finish();
    this.code = null;
    this.highlightSoon(body.block);
    const placement = this.place(start, this.position);
    const chips = placement.rest();
    this.section.append(...chips);
    this.addPiece({ start, end: this.position, nodes: [body.block, ...chips], continuation: null, knownLinks: null });
  }

  /** Colours the blocks of code in a node that will not change any more, when the page has nothing else to do. */
  private highlightSoon(node: Node): void {
    if (!(node instanceof HTMLElement)) return;
    const blocks = [node, ...node.querySelectorAll<HTMLElement>(".code")].filter(({ dataset }) => dataset.language);
    // Without the chunk, for example offline, the code stays plain.
    if (blocks.length) void import("./highlight").then(({ highlightSoon }) => highlightSoon(blocks)).catch(() => {});
  }

  // What comes late

  /** Looks up the links that were defined after their use. */
  private finish(deadline: number): boolean {
    const links = Object.keys(this.links).length;
    while (links && this.finished < this.pieces.length) {
      const piece = this.pieces[this.finished++]!;
      if (piece.knownLinks !== null && piece.knownLinks < links) this.renderPiece(piece);
      if (performance.now() > deadline) return false;
    }
    return true;
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
      const placement = this.place(start, end);
      nodes = [first, ...placement.rest()];
    } else {
      const marked = this.withMarks(this.input!.text.slice(start, end), start, this.citationsIn(start, end));
      const lexed = new Lexed((continuation?.prefix ?? "") + marked, this.links, false);
      nodes = this.render(lexed, lexed.tokens, continuation, start, end, false);
      piece.knownLinks = Object.keys(this.links).length;
    }
    if (!first) return;
    const marker = document.createComment("");
    first.before(marker);
    for (const node of piece.nodes) node.remove();
    marker.replaceWith(...nodes);
    piece.nodes = nodes;
    for (const node of nodes) if (node !== first) this.highlightSoon(node);
  }
}

/** Tells whether the text has only grown. While it is open, its end tells: comparing all would take longer for each token. */
function continues({ text, isOpen }: Input, last: Input): boolean {
  if (!last.isOpen) return !isOpen && text === last.text;
  const { length } = last.text;
  return isOpen ? text.length >= length && text.slice(Math.max(0, length - SAMPLE), length) === last.text.slice(-SAMPLE) : text.startsWith(last.text);
}

/** Items and rows are only kept in the same list or table. */
function kindOf(token: Token): string {
  if (token.type === "list") return (token as Tokens.List).ordered ? "ol" : "ul";
  return token.type === "table" ? JSON.stringify([(token as Tokens.Table).header.map(({ text }) => text), (token as Tokens.Table).align]) : "";
}

function withoutIndent(line: string, indent: number): string {
  return indent ? line.replace(new RegExp(`^ {0,${indent}}`), "") : line;
}
