/**
 * Notices that OpenAI's element does not work although its script was loaded: its frame is blocked, or its check of the
 * page's domain fails, after which it removes what it shows without an event.
 */
import type { OpenAIChatKit } from "@openai/chatkit";

/** The frame loads from the same network as the script, which has just arrived. */
export const READY_MS = 10_000;

/** Reports `mute` if the element is not ready in time, `gone` if its frame disappears; returns a function that ends it. */
export function checkStock(element: OpenAIChatKit, onFailure: (reason: "mute" | "gone") => void): () => void {
  const timer = setTimeout(() => onFailure("mute"), READY_MS);
  const ready = new AbortController();
  element.addEventListener("chatkit.ready", () => clearTimeout(timer), { signal: ready.signal });

  let hadFrame = false;
  const look = () => {
    const hasFrame = (element.shadowRoot ?? element).querySelector("iframe") !== null;
    if (hadFrame && !hasFrame && element.isConnected) onFailure("gone");
    hadFrame = hasFrame;
  };
  const observer = new MutationObserver(look);
  observer.observe(element, { childList: true, subtree: true });
  if (element.shadowRoot) observer.observe(element.shadowRoot, { childList: true, subtree: true });
  look();
  return () => {
    clearTimeout(timer);
    ready.abort();
    observer.disconnect();
  };
}
