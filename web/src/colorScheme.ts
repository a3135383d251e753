/** The colour scheme: what the browser or system asks for, until another is chosen. The widget has to be told. */
import type { ColorScheme } from "@openai/chatkit";
import { useSyncExternalStore } from "react";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
let chosen: ColorScheme | null = null;

/** For as long as the page is open. */
export function chooseColorScheme(scheme: ColorScheme): void {
  chosen = scheme;
  document.documentElement.dataset.scheme = scheme; // for style.css
  dark.dispatchEvent(new Event("change"));
}

function subscribe(onChange: () => void): () => void {
  dark.addEventListener("change", onChange);
  return () => dark.removeEventListener("change", onChange);
}

export function useColorScheme(): ColorScheme {
  return useSyncExternalStore(subscribe, () => chosen ?? (dark.matches ? "dark" : "light"));
}
