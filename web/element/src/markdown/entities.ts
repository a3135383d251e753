/** Decodes HTML's character references; of the named ones those that answers contain. Others stay as written. */
const NAMES = new Map(
  "amp& lt< gt> quot\" apos' nbsp\u00a0 copy© reg® trade™ hellip… mdash— ndash– lsquo‘ rsquo’ ldquo“ rdquo” laquo« raquo» bull• middot· deg° plusmn± times× divide÷ euro€ pound£ larr← rarr→ le≤ ge≥ ne≠ asymp≈"
    .split(" ")
    .map((entry) => [entry.slice(0, -1), entry.at(-1)!]),
);

export function decodeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#x([\da-f]{1,6})|#(\d{1,7})|([a-z]+\d*));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
    if (name) return NAMES.get(name) ?? whole;
    const code = hex ? parseInt(hex, 16) : Number(decimal);
    return code === 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? "\ufffd" : String.fromCodePoint(code);
  });
}
