/**
 * Markup that has begun but not ended while text arrives: it is hidden or closed, so that no stars and brackets flash and
 * no paragraph turns into a heading or table a moment later.
 */

/** A line that is only the start of markup, or may become a heading's underline, a ruler or a table's second line. */
const MARKER_LINE = /^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)]?)[ \t]+)*(?:[-=*_+#~`|: \t>]*|\d{1,9}[.)]?|[-*+] \[[ xX]?\]?[ \t]?)$/;
/** The first line of a fence, as its language is not complete; a link definition. */
const OPENING_LINE = /^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?:`{3,}|~{3,}|\[[^\]\n]*\]:)[^\n]*$/;
const ROW = /^[ \t>]*\|/;
/** A longer line is no marker: the time of these expressions grows with the square of its length. */
const LONGEST_MARKER = 500;

/** Returns the text without its last line if that line cannot be shown yet. */
export function withoutUnclearEnd(text: string): string {
  let end = text.length;
  const start = text.lastIndexOf("\n") + 1;
  const line = text.slice(start);
  if (line && line.length <= LONGEST_MARKER && (MARKER_LINE.test(line) || OPENING_LINE.test(line))) end = start;
  // A row without the line of dashes below it is not a table yet.
  const last = text.lastIndexOf("\n", end - 2) + 1;
  if (end > 0 && ROW.test(text.slice(last, end))) {
    const before = text.lastIndexOf("\n", last - 2) + 1;
    if (last === 0 || !ROW.test(text.slice(before, last))) end = last;
  }
  return text.slice(0, end);
}

interface Opener {
  mark: string;
  length: number;
  at: number;
}

const isSpace = (character: string | undefined) => character === undefined || /\s/.test(character);
const isWord = (character: string | undefined) => character !== undefined && /[\p{L}\p{N}]/u.test(character);

/** Closes what is open at the end of inline text, or hides it where nothing stands inside yet. */
export function completed(text: string): string {
  let src = text.replace(/(?:&#?\w{0,8}|<https?:[^\s>]*|\\)$/, "");
  const openers: Opener[] = [];
  let suffix = "";
  for (let at = 0; at < src.length; ) {
    const character = src[at]!;
    if (character === "\\") {
      const closer = { "(": "\\)", "[": "\\]" }[src[at + 1]!];
      const end = closer ? src.indexOf(closer, at + 2) : at;
      if (end < 0) {
        suffix = closer!;
        break;
      }
      at = end + 2;
    } else if (character === "`") {
      const length = runLength(src, at);
      const end = closingTicks(src, at + length, length);
      if (end < 0) {
        src = src.replace(/`+$/, "");
        if (src.length > at + length) suffix = "`".repeat(length);
        else src = src.slice(0, at);
        break;
      }
      at = end;
    } else if (character === "[" || (character === "!" && src[at + 1] === "[")) {
      const link = readLink(src, at);
      if (link.isComplete) at = link.end;
      else if (character === "!") src = src.slice(0, at);
      else src = src.slice(0, at) + link.text;
    } else if (character === "*" || character === "_" || (character === "~" && (src[at + 1] === "~" || at + 1 === src.length))) {
      const length = runLength(src, at);
      if (at + length === src.length) {
        src = src.slice(0, at);
        const open = openers.at(-1);
        if (open?.mark === character && length >= open.length) {
          src += character.repeat(open.length);
          openers.pop();
        }
        break;
      }
      applyRun(openers, { mark: character, length, at }, src[at - 1], src[at + length]);
      at += length;
    } else at++;
  }
  src += suffix;
  if (openers.length) src = src.trimEnd();
  for (const { mark, length, at } of openers.reverse()) {
    if (at + length >= src.length) src = src.slice(0, at);
    else src += mark.repeat(length);
  }
  return src;
}

function runLength(src: string, at: number): number {
  let end = at;
  while (src[end] === src[at]) end++;
  return end - at;
}

function closingTicks(src: string, from: number, length: number): number {
  for (let at = src.indexOf("`", from); at >= 0; ) {
    const found = runLength(src, at);
    if (found === length) return at + found;
    at = src.indexOf("`", at + found);
  }
  return -1;
}

/** Simpler than CommonMark's rules, as a guess only has to hold until the next token. */
function applyRun(openers: Opener[], run: Opener, before: string | undefined, after: string | undefined): void {
  const isInWord = isWord(before) && isWord(after);
  if (!isSpace(before) && !(run.mark === "_" && isInWord)) {
    while (run.length > 0 && openers.at(-1)?.mark === run.mark) {
      const open = openers.at(-1)!;
      const closed = Math.min(open.length, run.length);
      run.length -= closed;
      open.length -= closed;
      if (open.length === 0) openers.pop();
    }
  }
  if (run.length > 0 && run.length <= 3 && !isSpace(after) && !isInWord) openers.push(run);
}

/** An incomplete link has the text that is shown instead of it. */
function readLink(src: string, start: number): { isComplete: true; end: number } | { isComplete: false; text: string } {
  const from = src.indexOf("[", start) + 1;
  const close = closing(src, from, "[", "]");
  if (close < 0) return isWord(src[start - 1]) ? { isComplete: true, end: from } : { isComplete: false, text: src.slice(from) };
  const text = src.slice(from, close);
  if (close + 1 === src.length) return isWord(src[start - 1]) ? { isComplete: true, end: src.length } : { isComplete: false, text };
  if (src[close + 1] !== "(" && src[close + 1] !== "[") return { isComplete: true, end: from };
  const isInline = src[close + 1] === "(";
  const end = closing(src, close + 2, isInline ? "(" : "[", isInline ? ")" : "]");
  return end < 0 ? { isComplete: false, text } : { isComplete: true, end: end + 1 };
}

function closing(src: string, from: number, opener: string, closer: string): number {
  let depth = 1;
  for (let at = from; at < src.length; at++) {
    if (src[at] === "\\") at++;
    else if (src[at] === opener) depth++;
    else if (src[at] === closer && --depth === 0) return at;
  }
  return -1;
}
