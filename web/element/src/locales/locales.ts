/** Which language the texts have. English is in the script, the others are loaded on demand. */
import type { ChatKitOptions } from "@openai/chatkit";

import { en, type Strings } from "./en";

const LANGUAGES: Record<string, () => Promise<{ strings: Strings }>> = {
  ar: () => import("./ar"),
  de: () => import("./de"),
  es: () => import("./es"),
  fr: () => import("./fr"),
  ja: () => import("./ja"),
  zh: () => import("./zh"),
};
const RIGHT_TO_LEFT = new Set(["ar", "fa", "he", "ur"]);

export interface Texts {
  strings: Strings;
  locale: string;
  direction: "ltr" | "rtl";
}

/** A browser's setting may be a name that `Intl` rejects, such as `en-US@posix`. */
export function wantedLocale({ locale }: Pick<ChatKitOptions, "locale">): string {
  const name: string = locale || navigator.language || "en";
  try {
    return Intl.getCanonicalLocales(name.replace(/[@.].*$/, "").replaceAll("_", "-"))[0] ?? "en";
  } catch {
    return "en";
  }
}

/** Falls back to English where there is no translation, or where it cannot be loaded. */
export async function textsOf(locale: string): Promise<Texts> {
  const language = locale.split("-")[0]!.toLowerCase();
  const loaded = await LANGUAGES[language]?.().catch(() => null);
  if (!loaded) return { strings: en, locale: language === "en" ? locale : "en", direction: "ltr" };
  return { strings: loaded.strings, locale, direction: RIGHT_TO_LEFT.has(language) ? "rtl" : "ltr" };
}
