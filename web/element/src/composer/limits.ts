/** Which files the options accept. */
import type { ChatKitOptions } from "@openai/chatkit";

import type { Strings } from "../locales/en";
import { sizeText } from "./size-text";

type AttachmentOptions = NonNullable<NonNullable<ChatKitOptions["composer"]>["attachments"]>;

const DEFAULT_MAX_SIZE = 100 * 1024 * 1024;
const DEFAULT_MAX_COUNT = 10;
/** Of a file whose type the browser does not know. */
export const UNKNOWN_TYPE = "application/octet-stream";

/** The limit in bytes for a type: the most specific entry, `image/png` before `image/*` before `*` or an empty one. */
export function maxSizeOf(type: string, { maxSize }: AttachmentOptions): number {
  if (typeof maxSize === "number") return maxSize;
  const limits = Object.fromEntries(Object.entries(maxSize ?? {}).map(([pattern, bytes]) => [pattern.trim().toLowerCase(), bytes]));
  const plain = plainType(type);
  return limits[plain] ?? limits[`${plain.split("/")[0]}/*`] ?? limits["*/*"] ?? limits["*"] ?? limits[""] ?? DEFAULT_MAX_SIZE;
}

/** As `showOpenFilePicker` reads it: a file is accepted by its type or by its extension. */
export function isAccepted({ name, type }: { name: string; type: string }, { accept }: AttachmentOptions): boolean {
  const entries = Object.entries(accept ?? {});
  if (!entries.length) return true;
  const plain = plainType(type);
  return entries.some(([pattern, extensions]) => {
    const wanted = pattern.trim().toLowerCase();
    if (wanted === "*/*" || wanted === "*" || (plain && (wanted === plain || (wanted.endsWith("/*") && plain.startsWith(wanted.slice(0, -1)))))) return true;
    return extensions.some((extension) => name.toLowerCase().endsWith(extension.trim().toLowerCase()));
  });
}

/** Why a file is not accepted, in a sentence with the names of all such files. */
type Reason = { key: string; text: (names: string) => string };

/** Returns the files within the limits, and why the others are not, each reason with the names of its files. */
export function sorted(files: File[], attachedCount: number, options: AttachmentOptions, strings: Strings, locale: string): { accepted: File[]; reasons: string[] } {
  const maxCount = options.maxCount ?? DEFAULT_MAX_COUNT;
  const accepted: File[] = [];
  const rejected = new Map<string, { text: Reason["text"]; names: string[] }>();
  for (const file of files) {
    const reason = reasonAgainst(file);
    if (!reason) accepted.push(file);
    else rejected.set(reason.key, { text: reason.text, names: [...(rejected.get(reason.key)?.names ?? []), file.name] });
  }
  const list = new Intl.ListFormat(locale, { type: "conjunction" });
  return { accepted, reasons: [...rejected.values()].map(({ text, names }) => text(list.format(names))) };

  function reasonAgainst(file: File): Reason | null {
    if (!isAccepted(file, options)) return { key: "type", text: (names) => strings.fileNotAccepted(names, acceptedText(options)) };
    const limit = maxSizeOf(file.type, options);
    if (file.size > limit) return { key: `size ${limit}`, text: (names) => strings.fileTooLarge(names, sizeText(limit, locale)) };
    return attachedCount + accepted.length >= maxCount ? { key: "count", text: (names) => strings.tooManyFiles(names, maxCount) } : null;
  }
}

/** For example `.pdf, .png`, or the types where no extensions are given. */
function acceptedText({ accept }: AttachmentOptions): string {
  return Object.entries(accept ?? {})
    .flatMap(([type, extensions]) => (extensions.length ? extensions : [type]))
    .join(", ");
}

function plainType(type: string): string {
  return type.split(";")[0]!.trim().toLowerCase();
}
