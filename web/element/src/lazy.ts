/** Loads parts of the element that not every chat needs. */
import type { Chat } from "./chat/chat";

/** A part that cannot be loaded, as the server is away, is missing until the page is reloaded; all else works. */
export function lazy(load: () => Promise<unknown>): void {
  load().catch((error: unknown) => console.warn("ChatKit: a part could not be loaded", error));
}

const IDLE_MS = 50;
const LATEST_MS = 2_000;

/** Calls it when the browser has nothing better to do, but not much later. */
export function whenIdle(work: () => void): void {
  if ("requestIdleCallback" in window) requestIdleCallback(work, { timeout: LATEST_MS });
  else setTimeout(work, IDLE_MS);
}

/**
 * Loads what the user has asked for; tells the user and returns null where that fails. Browsers remember the failure: only
 * a reload helps.
 */
export async function demanded<T>(chat: Chat, load: () => Promise<T>): Promise<T | null> {
  try {
    return await load();
  } catch (error) {
    chat.emit("error", { error });
    chat.toast({ level: "danger", text: chat.strings.notLoaded });
    return null;
  }
}
