/** What buttons, deep links and citations in markdown do. Loaded with the first one that is used. */
import type { Entity } from "@openai/chatkit";

import type { Chat } from "../chat/chat";
import { en } from "../locales/en";
import type { EntitySource, Source } from "../protocol/wire";
import { showSource } from "./source-card";

const COPIED_MS = 2_000;

interface Use {
  /** The type of the DOM event. */
  event: string;
  target: HTMLElement;
  /** Of a citation. */
  source: Source | null;
  chat: Chat | undefined;
}

export function act({ event, target, source, chat }: Use): void {
  if (target.matches(".copy")) void copy(target, chat);
  else if (target.matches("[data-deep-link]")) chat?.emit("deeplink", parseDeepLink(target.getAttribute("href") ?? ""));
  else if (source && event !== "click") showSource(target, source);
  else if (source?.type === "entity" && source.interactive) chat?.clickEntity(entityOf(source));
  else if (source && source.type !== "url") showSource(target, source); // on a touch screen; an address is followed
}

async function copy(button: HTMLElement, chat: Chat | undefined): Promise<void> {
  const strings = chat?.strings ?? en;
  const code = button.closest(".code")?.querySelector("code");
  if (!code) return;
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
  } catch {
    // On a page without HTTPS, or where the user has not allowed it, the text is at least selected.
    return getSelection()?.selectAllChildren(code);
  }
  button.textContent = strings.copied;
  setTimeout(() => (button.textContent = strings.copyCode), COPIED_MS);
}

/** Reads `chatkit-link://name?key=value`, which the page handles. */
function parseDeepLink(href: string): { name: string; data: Record<string, string> } {
  const [, name = "", query = ""] = /^chatkit-link:\/\/([^?#]*)\??([^#]*)/i.exec(href) ?? [];
  return { name: decoded(name.replace(/\/+$/, "")), data: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function entityOf({ id, title, icon, interactive, group, data }: EntitySource): Entity {
  return { id, title, ...(icon && { icon }), ...(interactive !== undefined && { interactive }), ...(group && { group }), ...(data && { data }) } as Entity;
}
