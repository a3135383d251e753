/** What the icons of the page's own buttons stand for: the options have no label, but a screen reader needs one. */
import type { Strings } from "../locales/en";

type Text = { [Key in keyof Strings]: Strings[Key] extends string ? Key : never }[keyof Strings];

/** By the first word of the icon's name; all others mean "more". */
const TEXTS: Record<string, Text> = {
  collapse: "collapse",
  sidebar: "sidebar",
  double: "sidebar",
  open: "expand",
  expand: "expand",
  back: "back",
  close: "close",
  settings: "settings",
  share: "share",
  menu: "menu",
  hamburger: "menu",
  home: "home",
  light: "lightMode",
  dark: "darkMode",
  star: "favorite",
  bug: "reportProblem",
  chat: "temporaryChat",
  grid: "overview",
  history: "history",
  book: "guide",
  compose: "newChat",
};

export function labelOf(icon: string, strings: Strings): string {
  return strings[TEXTS[icon.split("-")[0]!] ?? "more"];
}
