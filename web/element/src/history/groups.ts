/** Threads by the day on which they were started, in the user's time zone: Today, Yesterday, …, then months. */
import type { Strings } from "../locales/en";
import type { ThreadMetadata } from "../protocol/wire";

export interface Group {
  label: string;
  threads: ThreadMetadata[];
}

type DayNames = Pick<Strings, "today" | "yesterday" | "previous7Days" | "previous30Days">;

/** Returns the groups from the newest to the oldest thread, none of them empty. */
export function grouped(threads: ThreadMetadata[], names: DayNames, locale: string, now = new Date()): Group[] {
  const dated = threads.map((thread) => ({ thread, date: new Date(thread.created_at) })).sort((a, b) => b.date.getTime() - a.date.getTime());
  const labelOf = labelling(names, locale, now);
  const groups: Group[] = [];
  for (const { thread, date } of dated) {
    const label = labelOf(date);
    const last = groups.at(-1);
    if (last?.label === label) last.threads.push(thread);
    else groups.push({ label, threads: [thread] });
  }
  return groups;
}

function labelling(names: DayNames, locale: string, now: Date): (date: Date) => string {
  /** Not a multiple of 24 hours: some days are longer or shorter. */
  const daysAgo = (days: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - days).getTime();
  const starts: [number, string][] = [
    [daysAgo(0), names.today],
    [daysAgo(1), names.yesterday],
    [daysAgo(7), names.previous7Days],
    [daysAgo(30), names.previous30Days],
  ];
  const month = new Intl.DateTimeFormat(locale, { month: "long" });
  const monthOfYear = new Intl.DateTimeFormat(locale, { month: "long", year: "numeric" });
  const months = new Map<number, string>();
  return (date) => {
    const time = date.getTime();
    if (Number.isNaN(time)) return "";
    const recent = starts.find(([start]) => time >= start);
    if (recent) return recent[1];
    const key = date.getFullYear() * 12 + date.getMonth();
    const label = months.get(key) ?? capitalized((date.getFullYear() === now.getFullYear() ? month : monthOfYear).format(date), locale);
    months.set(key, label);
    return label;
  };
}

/** Several languages write months in lower case; here one is a heading. */
function capitalized(text: string, locale: string): string {
  return text.slice(0, 1).toLocaleUpperCase(locale) + text.slice(1);
}

/** Whether each word of the query is in the title, whatever their case and accents. */
export function matcher(query: string, untitled: string): (thread: ThreadMetadata) => boolean {
  const words = folded(query).split(/\s+/).filter(Boolean);
  return ({ title }) => {
    const text = folded(title || untitled);
    return words.every((word) => text.includes(word));
  };
}

function folded(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
