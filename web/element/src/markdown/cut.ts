/** Where to cut a block that is too long to be rendered again and again, and how the rest of it goes on. */
import type { Token, Tokens } from "./lexer";

interface Cut {
  position: number;
  next: { prefix: string; start: number | null; type: string };
}

/** An open block with more characters or lines is cut. */
const MAX_BLOCK = 6_000;
const MAX_LINES = 120;

/** Returns at which offset the text has so many line ends, or Infinity. */
export function offsetOfLine(text: string, count: number): number {
  let at = 0;
  for (let lines = 0; lines < count; lines++) {
    at = text.indexOf("\n", at) + 1;
    if (at === 0) return Infinity;
  }
  return at;
}

export function isTooLong(raw: string): boolean {
  return raw.length > MAX_BLOCK || offsetOfLine(raw, MAX_LINES) < raw.length;
}

/** `lengthOf` returns how much of the text a token's source is. */
export function cutOf(token: Token, raw: string, start: number | null, lengthOf: (source: string) => number): Cut {
  const { type } = token;
  const limit = Math.min(MAX_BLOCK, offsetOfLine(raw, MAX_LINES));
  if (type === "list") {
    const list = token as Tokens.List;
    let position = 0;
    let items = 0;
    for (const item of list.items.slice(0, -1)) {
      const length = lengthOf(item.raw);
      if (position + length > limit) break;
      position += length;
      items++;
    }
    if (items) return { position, next: { prefix: "", start: list.ordered ? (start ?? Number(list.start)) + items : null, type } };
  }
  const text = raw.slice(0, limit);
  if (type === "table") {
    const head = /^[^\n]*\n[^\n]*\n/.exec(raw)![0];
    const position = text.lastIndexOf("\n") + 1;
    if (head.length < limit / 2 && position > head.length) return { position, next: { prefix: head, start: null, type } };
  }
  return { position: textCut(text), next: { prefix: "", start: null, type } };
}

/** At the end of a line, else of a sentence, else of a word; a word may be cut, a surrogate pair not. */
function textCut(text: string): number {
  const half = text.length / 2;
  const line = text.lastIndexOf("\n") + 1;
  if (line > half) return line;
  const sentence = [...text.matchAll(/[.!?…。！？]["')\]]?\s+/g)].at(-1);
  if (sentence && sentence.index > half) return sentence.index + sentence[0].length;
  const word = text.search(/\s\S*$/) + 1;
  if (word > half) return word;
  return /[\ud800-\udbff]$/.test(text) ? text.length - 1 : text.length;
}
