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
  const dated = threads.map((thread) => ({ thread, time: timeOf(thread) })).sort((a, b) => b.time - a.time || 0);
  const periodOf = periods(names, locale, now);
  const groups: Group[] = [];
  let start = Infinity;
  for (const { thread, time } of dated) {
    if (time >= start) {
      groups.at(-1)!.threads.push(thread);
      continue;
    }
    const period = periodOf(time);
    start = period.start;
    groups.push({ label: period.label, threads: [thread] });
  }
  return groups;
}

/** A date that is none comes last. */
function timeOf({ created_at }: ThreadMetadata): number {
  const time = Date.parse(created_at);
  return Number.isNaN(time) ? -Infinity : time;
}

/** Finds the period of a time: its name, and when it began. */
function periods(names: DayNames, locale: string, now: Date): (time: number) => { label: string; start: number } {
  /** Not a multiple of 24 hours: some days are longer or shorter. */
  const daysAgo = (days: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - days).getTime();
  const recent = [
    { label: names.today, start: daysAgo(0) },
    { label: names.yesterday, start: daysAgo(1) },
    { label: names.previous7Days, start: daysAgo(7) },
    { label: names.previous30Days, start: daysAgo(30) },
  ];
  return (time) => {
    if (time === -Infinity) return { label: "", start: time };
    const date = new Date(time);
    return recent.find(({ start }) => time >= start) ?? { label: monthOf(date, locale, now), start: new Date(date.getFullYear(), date.getMonth()).getTime() };
  };
}

function monthOf(date: Date, locale: string, now: Date): string {
  const year = date.getFullYear() === now.getFullYear() ? {} : ({ year: "numeric" } as const);
  return capitalized(new Intl.DateTimeFormat(locale, { month: "long", ...year }).format(date), locale);
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
