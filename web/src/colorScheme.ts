/** The colour scheme that the browser or system asks for; the widget has to be told, the page's CSS knows. */
import type { ColorScheme } from "@openai/chatkit";
import { useSyncExternalStore } from "react";

const dark = window.matchMedia("(prefers-color-scheme: dark)");

function subscribe(onChange: () => void): () => void {
  dark.addEventListener("change", onChange);
  return () => dark.removeEventListener("change", onChange);
}

export function useColorScheme(): ColorScheme {
  return useSyncExternalStore(subscribe, () => (dark.matches ? "dark" : "light"));
}
