/** Files of the clipboard, of a drop, and of the file picker. */
type Accept = Record<string, string[]>;

/** The attribute `accept` of a file input; empty accepts all. */
export function acceptAttribute(accept: Accept | undefined): string {
  return Object.entries(accept ?? {})
    .flatMap(([type, extensions]) => [type, ...extensions])
    .join(",");
}

/** The files to attach. Text that was copied from a document comes with a picture of itself: then there are none. */
export function filesOf(data: DataTransfer | null): File[] {
  const isText = data?.types.includes("text/plain") && data.types.some((type) => type === "text/html" || type === "text/rtf");
  return isText ? [] : [...(data?.files ?? [])];
}

/** A size as the user reads it, in the browser's notation. */
export function sizeText(bytes: number, locale: string): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = Math.min(units.length - 1, Math.floor(Math.log(Math.max(1, bytes)) / Math.log(1024)));
  const value = bytes / 1024 ** power;
  return new Intl.NumberFormat(locale, { style: "unit", unit: units[power]!, unitDisplay: power ? "short" : "long", maximumFractionDigits: value < 10 && power ? 1 : 0 }).format(value);
}
