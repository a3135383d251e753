/**
 * Notices that OpenAI's element does not work although its script was loaded: its frame is blocked, or its check of the
 * page's domain fails, after which it removes what it shows without an event.
 */
import type { OpenAIChatKit } from "@openai/chatkit";

/** The frame loads from the same network as the script, which has just arrived. */
export const READY_MS = 10_000;

/** Reports `mute` if the element is not ready in time, `gone` if its frame disappears; returns a function that ends it. */
export function checkStock(element: OpenAIChatKit, onFailure: (reason: "mute" | "gone") => void): () => void {
  const end = new AbortController();
  const timer = setTimeout(() => onFailure("mute"), READY_MS);
  let hadFrame = false;
  const observer = new MutationObserver(() => {
    const hasFrame = frameOf(element) !== null;
    if (hadFrame && !hasFrame && element.isConnected) onFailure("gone");
    hadFrame = hasFrame;
  });
  const onReady = () => {
    clearTimeout(timer);
    hadFrame = frameOf(element) !== null;
    observer.observe(element.shadowRoot ?? element, { childList: true, subtree: true });
  };
  element.addEventListener("chatkit.ready", onReady, { signal: end.signal });
  return () => {
    clearTimeout(timer);
    end.abort();
    observer.disconnect();
  };
}

const frameOf = (element: OpenAIChatKit) => (element.shadowRoot ?? element).querySelector("iframe");
