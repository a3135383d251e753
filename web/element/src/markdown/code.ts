/** Blocks of code, with their language and a button that copies them. */
import type { Strings } from "../locales/en";

/** A block of code is many small ones inside, so that laying out a new line does not lay out all others again. */
const CHUNK = 4_000;
/** A line this long is broken. */
export const MAX_LINE = 4_000;

export class CodeBody {
  readonly block: HTMLElement;
  private readonly code = document.createElement("code");
  private chunk = document.createTextNode("");
  private readonly tail = document.createTextNode("");
  private isEmpty = true;
  length = 0;

  constructor(
    readonly language: string,
    strings: Strings,
  ) {
    const name = document.createElement("span");
    name.textContent = language;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = strings.copyCode;
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.append(name, button);
    const pre = document.createElement("pre");
    // It scrolls sideways, also by keyboard.
    pre.tabIndex = 0;
    pre.role = "group";
    pre.ariaLabel = language ? `${strings.code}: ${language}` : strings.code;
    pre.append(this.code);
    this.block = document.createElement("div");
    this.block.className = "code";
    this.block.dataset.language = language;
    this.block.append(bar, pre);
    this.newChunk();
  }

  addLine(line: string): void {
    if (!this.isEmpty) this.chunk.appendData("\n");
    this.isEmpty = false;
    this.length += line.length + 1;
    if (this.chunk.length && this.chunk.length + line.length > CHUNK) this.newChunk();
    this.chunk.appendData(line.slice(0, MAX_LINE));
    for (let at = MAX_LINE; at < line.length; at += MAX_LINE) this.continueLine(line.slice(at, at + MAX_LINE));
  }

  /** Adds to a long line; breaks it. */
  continueLine(part: string): void {
    this.length += part.length;
    this.newChunk();
    this.chunk.appendData(part);
  }

  /** Shows the line that is not complete yet. */
  showTail(line: string): void {
    const shown = line && !this.isEmpty ? `\n${line}` : line;
    if (shown.startsWith(this.tail.data)) this.tail.appendData(shown.slice(this.tail.length));
    else this.tail.data = shown;
  }

  finish(): void {
    this.tail.remove();
  }

  private newChunk(): void {
    const span = document.createElement("span");
    span.append((this.chunk = document.createTextNode("")), this.tail);
    this.code.append(span);
  }
}

export function codeBlock(info: string, text: string, strings: Strings): HTMLElement {
  const body = new CodeBody(languageOf(info), strings);
  for (const line of text.split("\n")) body.addLine(line);
  body.finish();
  return body.block;
}

/** The first word after the fence, for example "python" of "python title=x". */
export function languageOf(info: string): string {
  return /^[^\s{,]{0,30}/.exec(info.trim().replace(/^\{\.?/, ""))![0].replace(/\ufffc.?\ufffc/g, "");
}
