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
