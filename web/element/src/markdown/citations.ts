/**
 * Where the answer cites a source, a chip stands in the text. Offsets count the code points of the raw text; marks of three
 * characters are put there before the markdown is read, and become chips afterwards. Loaded with the first citation.
 */
import { domainOf, linkTarget } from "../addresses";
import type { Strings } from "../locales/en";
import type { Annotation, Source } from "../protocol/wire";

/** The object replacement character is a symbol, so a mark next to `**` does not change what `**` means. */
const EDGE = "\ufffc";
const MAX_CITATIONS = 0x1900;
const MARK = /\ufffc([\ue000-\uf8ff])\ufffc/;
const FIRST = 0xe000;
/** Lines that would lose their meaning by a mark. */
const FRAGILE_LINE = /^[ \t>]*(?:`{3,}|~{3,}|[-=*_|: \t]*$|\[[^\]\n]*\]:)/;

export interface Citation {
  annotation: Annotation;
  /** Its place in the list of annotations. */
  number: number;
  /** In UTF-16 units. */
  offset: number;
}

export class Citations {
  /** By offset. */
  private sorted: Citation[] = [];
  private keys: string[] = [];
  /** Some stand behind the text that is there so far. */
  private areWaiting = false;
  /** Offsets at which a character of two UTF-16 units begins. */
  private pairs: number[] = [];
  private scanned = 0;

  /** Returns the offsets at which citations came, went or changed. One behind the end of a complete text stands at its end. */
  update(annotations: readonly Annotation[], text: string, isOpen: boolean): number[] {
    const keys = annotations.map((annotation) => (typeof annotation?.index === "number" ? JSON.stringify(annotation) : ""));
    if (!this.areWaiting && keys.length === this.keys.length && keys.every((key, index) => key === this.keys[index])) return [];
    this.scan(text);
    const found = annotations.slice(0, MAX_CITATIONS).flatMap((annotation, number) => (keys[number] ? [{ annotation, number, offset: this.offsetOf(annotation.index!) }] : []));
    this.areWaiting = isOpen && found.some(({ offset }) => offset > text.length);
    if (!isOpen) for (const citation of found) citation.offset = Math.min(citation.offset, text.length);
    const last = new Map(this.sorted.map((citation) => [citation.number, citation.offset]));
    const isNew = ({ number, offset }: Citation) => keys[number] !== this.keys[number] || last.get(number) !== offset;
    const fresh = found.filter(isNew).map(({ offset }) => offset);
    const old = this.sorted.filter(({ number }) => keys[number] !== this.keys[number]).map(({ offset }) => offset);
    this.sorted = found.sort((a, b) => a.offset - b.offset || a.number - b.number);
    this.keys = keys;
    return [...old, ...fresh];
  }

  reset(): void {
    this.sorted = [];
    this.keys = [];
    this.areWaiting = false;
    this.pairs = [];
    this.scanned = 0;
  }

  /** Those after `start` up to `end`; the first range has those at 0, too. */
  between(start: number, end: number): Citation[] {
    return this.sorted.filter(({ offset }) => (offset > start || (offset === 0 && start === 0)) && offset <= end);
  }

  readonly withMarks = withMarks;

  /** Splits text at the marks of these citations, and returns chips for them. */
  place(citations: readonly Citation[], strings: Strings): Placement {
    return new Placement(citations, strings);
  }

  private scan(text: string): void {
    const pair = /[\ud800-\udbff][\udc00-\udfff]/g;
    pair.lastIndex = Math.max(0, this.scanned - 1);
    for (let match = pair.exec(text); match; match = pair.exec(text)) if (match.index > (this.pairs.at(-1) ?? -1)) this.pairs.push(match.index);
    this.scanned = text.length;
  }

  private offsetOf(codePoints: number): number {
    let units = codePoints;
    for (const pair of this.pairs) {
      if (pair >= units) break;
      units++;
    }
    return units;
  }
}

/** Puts marks into a part of the text that begins at `start`. */
function withMarks(text: string, start: number, citations: readonly Citation[]): string {
  let result = "";
  let done = 0;
  const clean = text.replaceAll(EDGE, "\ufffd");
  for (const { number, offset } of citations) {
    const at = Math.max(done, placeBefore(clean, offset - start));
    const lineStart = clean.lastIndexOf("\n", at - 1) + 1;
    const lineEnd = clean.indexOf("\n", at);
    if (FRAGILE_LINE.test(clean.slice(lineStart, lineEnd < 0 ? undefined : lineEnd))) continue;
    result += clean.slice(done, at) + EDGE + String.fromCharCode(FIRST + number) + EDGE;
    done = at;
  }
  return result + clean.slice(done);
}

/** A citation stands right after a word, not after the spaces and line ends behind it, and inside of a table's cell. */
function placeBefore(text: string, at: number): number {
  const end = text.slice(0, at).trimEnd().length;
  const line = text.slice(text.lastIndexOf("\n", end - 1) + 1, end);
  return /^[ \t>]*\|.+\|$/.test(line) ? text.slice(0, end - 1).trimEnd().length : end;
}

/** Replaces the marks in texts by chips; each citation stands once. */
class Placement {
  private readonly open: Map<number, Citation>;

  constructor(
    citations: readonly Citation[],
    private readonly strings: Strings,
  ) {
    this.open = new Map(citations.map((citation) => [citation.number, citation]));
  }

  split(text: string): (string | Node)[] {
    if (!text.includes(EDGE)) return text ? [text] : [];
    return text.split(MARK).flatMap((part, index): (string | Node)[] => {
      if (index % 2 === 0) return part ? [part] : [];
      const number = part.charCodeAt(0) - FIRST;
      const citation = this.open.get(number);
      this.open.delete(number);
      return citation ? [chip(citation, this.strings)] : [];
    });
  }

  /** The chips that no text had a place for. */
  rest(): HTMLElement[] {
    const chips = [...this.open.values()].map((citation) => chip(citation, this.strings));
    this.open.clear();
    if (!chips.length) return [];
    const line = document.createElement("p");
    line.append(...chips);
    return [line];
  }
}

function chip({ annotation: { source }, number }: Citation, strings: Strings): HTMLElement {
  const target = source.type === "url" ? linkTarget(source.url) : null;
  const node = document.createElement(target ? "a" : "button");
  node.className = "citation";
  node.dataset.citation = String(number);
  const label = labelOf(source);
  node.textContent = label;
  // The name begins with what is read on the screen, for those who speak to the computer.
  node.ariaLabel = [label, source.title !== label && source.title, strings.source].filter(Boolean).join(", ");
  if (node instanceof HTMLAnchorElement) {
    node.href = target!;
    node.target = "_blank";
    node.rel = "noopener noreferrer";
  } else node.type = "button";
  return node;
}

function labelOf(source: Source): string {
  const label = source.type === "url" ? source.attribution || domainOf(source.url) : source.type === "entity" ? source.inline_label || source.label : source.filename;
  return label || source.title;
}
