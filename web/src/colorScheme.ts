/** The colour scheme: the browser's or system's preference until another is chosen. The widget gets it as an option. */
import type { ColorScheme } from "@openai/chatkit";
import { useSyncExternalStore } from "react";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
let chosen: ColorScheme | null = null;

/** Chooses a scheme until the page is closed. */
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
