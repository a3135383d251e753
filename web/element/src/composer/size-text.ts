/** A size as the user reads it, in the browser's notation. */
export function sizeText(bytes: number, locale: string): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = Math.min(units.length - 1, Math.floor(Math.log(Math.max(1, bytes)) / Math.log(1024)));
  const value = bytes / 1024 ** power;
  return new Intl.NumberFormat(locale, { style: "unit", unit: units[power]!, unitDisplay: power ? "short" : "long", maximumFractionDigits: value < 10 && power ? 1 : 0 }).format(value);
}
