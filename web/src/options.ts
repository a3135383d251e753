/** What the widget is told: where the server is, how it looks, what it offers. */
import type { ChatKitOptions, ColorScheme } from "@openai/chatkit";

import type { Model } from "./health";
import { promptsFor } from "./prompts";

/**
 * OpenAI gives one to each domain on its allow-list; build with VITE_CHATKIT_DOMAIN_KEY to set it.
 * On localhost the widget does not check it, but the type wants a word.
 */
const DOMAIN_KEY: string = import.meta.env.VITE_CHATKIT_DOMAIN_KEY || "domain_pk_localhost_dev";

interface Given {
  fetch: typeof fetch;
  scheme: ColorScheme;
  initialThread: string | null;
  model: Model | null;
}

export function chatOptions({ fetch, scheme, initialThread, model }: Given): ChatKitOptions {
  return {
    api: { url: "/chatkit", domainKey: DOMAIN_KEY, fetch },
    frameTitle: "Chat",
    initialThread,
    theme: { colorScheme: scheme, radius: "round", color: { accent: { primary: scheme === "dark" ? "#60a5fa" : "#2563eb", level: 1 } } },
    history: { enabled: true, showDelete: true, showRename: true },
    startScreen: { greeting: "What can I help with?", prompts: promptsFor(model) },
    composer: { placeholder: "Write a message" },
    threadItemActions: { feedback: true, retry: true },
    thread: { autoScroll: true },
  };
}
