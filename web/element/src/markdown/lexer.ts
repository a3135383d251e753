/**
 * Markdown to tokens, by marked. Raw HTML is no markup here: it stays text. Neither is math: `$…$`, `$$…$$`, `\(…\)` and
 * `\[…\]` stay as they are written, with no emphasis or line starts found inside.
 */
import { Lexer, type MarkedOptions, type MarkedToken, type Token, Tokenizer, type Tokens } from "marked";

import { completed } from "./unfinished";

export type { MarkedToken, Token, Tokens };

type Links = Record<string, { href: string; title: string | null }>;

/** Deeper lists and quotes stay text: marked's time grows with the square of the depth, and its stack ends. */
const MAX_DEPTH = 10;
/** Where a paragraph has more characters that may be markup, ticks not counted, it stays text: marked's time grows with their square. */
const MAX_MARKS = 400;
const MARK = /[*_~[\]<!$\\@&]/g;
const LONG_GAP = /([ \t])[ \t]{30,}/g;
/** Link definitions beyond these are ignored: marked looks each reference up in all of them. */
const MAX_LINKS = 300;

class SafeTokenizer extends Tokenizer {
  private depth = 0;

  override html(): undefined {}

  override tag(): undefined {}

  /** A single tilde means "about" more often than it strikes out. */
  override del(src: string, maskedSrc: string, prevChar?: string) {
    return src.startsWith("~~") ? super.del(src, maskedSrc, prevChar) : undefined;
  }

  override def(src: string) {
    return Object.keys(this.lexer.tokens.links).length < MAX_LINKS ? super.def(src) : undefined;
  }

  override blockquote(src: string) {
    return this.nested(() => super.blockquote(src));
  }

  override list(src: string) {
    return this.nested(() => super.list(src));
  }

  private nested<T>(tokenize: () => T): T | undefined {
    if (this.depth >= MAX_DEPTH) return undefined;
    this.depth++;
    try {
      return tokenize();
    } finally {
      this.depth--;
    }
  }
}

const MATH_BLOCK = /^ {0,3}(\$\$|\\\[)((?:(?!\n[ \t]*\n)[^])*?)(\$\$|\\\])[ \t]*(?:\n|$)/;
const OPEN_MATH_BLOCK = /^ {0,3}(?:\$\$|\\\[)(?:(?!\n[ \t]*\n|\$\$|\\\])[^])*$/;
const MATH = /^(?:\$\$[^$\n]+\$\$|\$(?![\s$])(?:\\.|[^\\$\n])*?[^\s\\$]\$(?!\d)|\\\([^\n]*?\\\)|\\\[[^\n]*?\\\])/;
const MATH_ANYWHERE = new RegExp(MATH.source.slice(1), "g");

const mathToken = (raw: string): Tokens.Generic => ({ type: "math", raw, text: raw.trim() });

function mathBlock(src: string, isOpen: boolean): Tokens.Generic | undefined {
  if (!/^ {0,3}(?:\$\$|\\\[)/.test(src) || (!isOpen && !src.includes("$$", 2) && !src.includes("\\]"))) return undefined;
  const [raw, opener, , closer] = MATH_BLOCK.exec(src) ?? [];
  if (raw && (opener === "$$") === (closer === "$$")) return { ...mathToken(raw), isBlock: true };
  return isOpen && OPEN_MATH_BLOCK.test(src) ? { ...mathToken(src), isBlock: true } : undefined;
}

function optionsFor(isOpen: boolean): MarkedOptions {
  return {
    gfm: true,
    breaks: true,
    tokenizer: new SafeTokenizer(),
    extensions: {
      renderers: {},
      childTokens: {},
      block: [(src) => mathBlock(src, isOpen)],
      startBlock: [
        (src) => {
          const at = src.search(/\n {0,3}(?:\$\$|\\\[)/);
          return at < 0 ? undefined : at + 1;
        },
      ],
      inline: [
        (src) => {
          const raw = src[0] === "$" || src[0] === "\\" ? MATH.exec(src)?.[0] : undefined;
          return raw ? mathToken(raw) : undefined;
        },
      ],
      startInline: [(src) => src.indexOf("$")],
    },
    hooks: { emStrongMask: (src: string) => src.replace(MATH_ANYWHERE, (math) => "a".repeat(math.length)) } as unknown as NonNullable<MarkedOptions["hooks"]>,
  };
}

const CLOSED = optionsFor(false);
const OPEN = optionsFor(true);

export class Lexed {
  readonly tokens: Token[];
  /** Text whose inline markup is found when it is rendered, by the list that its tokens go into. */
  private readonly inlineTexts: Map<Token[], string>;
  private readonly lexer: Lexer;

  /** Finds the blocks. `links` are the definitions known so far; new ones are added. With `isOpen`, more text may follow. */
  constructor(src: string, links: Links, isOpen: boolean) {
    this.lexer = new Lexer(isOpen ? OPEN : CLOSED);
    this.lexer.tokens.links = links as typeof this.lexer.tokens.links;
    // Of the same length, so that offsets stay valid.
    const normalized = src.replace(/\r\n/g, " \n").replace(/\r/g, "\n");
    try {
      this.tokens = this.lexer.blockTokens(normalized, []);
    } catch {
      this.tokens = [{ type: "paragraph", raw: normalized, text: normalized, tokens: [plain(normalized)] }];
      this.lexer.inlineQueue.length = 0;
    }
    this.inlineTexts = new Map(this.lexer.inlineQueue.map(({ src: text, tokens }) => [tokens, text]));
  }

  /** Returns the tokens of a block's text. */
  inline(tokens: Token[]): Token[] {
    const src = this.inlineTexts.get(tokens);
    if (src === undefined) return tokens;
    this.inlineTexts.delete(tokens);
    const text = src.replace(LONG_GAP, "$1");
    try {
      if (hasManyMarks(text)) tokens.push(plain(text));
      else this.lexer.inlineTokens(text, tokens);
    } catch {
      tokens.splice(0, tokens.length, plain(text));
    }
    return tokens;
  }

  /** Closes what is unfinished at the very end. */
  completeEnd(): void {
    const leaf = lastLeaf(this.tokens);
    const src = leaf && this.inlineTexts.get(leaf);
    if (src && !hasManyMarks(src)) this.inlineTexts.set(leaf, completed(src));
  }
}

const hasManyMarks = (text: string) => (text.match(MARK)?.length ?? 0) > MAX_MARKS;

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

const plain = (text: string): Tokens.Text => ({ type: "text", raw: text, text, escaped: true });
