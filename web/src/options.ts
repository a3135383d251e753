/** What the widget is told: where the server is, how it looks, what it offers. */
import type { ChatKitOptions, ColorScheme, ComposerOption, EntitiesOption } from "@openai/chatkit";

import { onClientTool } from "./client";
import { previewEntity, searchEntities } from "./entities";
import type { Offers } from "./offers";

/**
 * OpenAI gives one to each domain on its allow-list; build with VITE_CHATKIT_DOMAIN_KEY to set it.
 * On localhost the widget does not check it, but the type wants a word.
 */
const DOMAIN_KEY: string = import.meta.env.VITE_CHATKIT_DOMAIN_KEY || "domain_pk_localhost_dev";

interface Given {
  fetch: typeof fetch;
  scheme: ColorScheme;
  initialThread: string | null;
  offers: Offers;
}

export function chatOptions({ fetch, scheme, initialThread, offers }: Given): ChatKitOptions {
  const { features } = offers;
  return {
    api: { url: "/chatkit", domainKey: DOMAIN_KEY, fetch, uploadStrategy: { type: "two_phase" } },
    frameTitle: "Chat",
    initialThread,
    theme: { colorScheme: scheme, radius: "round", color: { accent: { primary: scheme === "dark" ? "#60a5fa" : "#2563eb", level: 1 } } },
    history: { enabled: features.history, showDelete: true, showRename: true },
    startScreen: { greeting: "What can I help with?", prompts: offers.prompts },
    composer: composerOptions(offers),
    ...(features.mentions && { entities: entitiesOption(offers) }),
    threadItemActions: { feedback: features.feedback, retry: features.retry },
    thread: { autoScroll: true },
    onClientTool,
  };
}

/** An empty menu is worse than none. */
function composerOptions({ models, tools, attachments, features }: Offers): ComposerOption {
  return {
    placeholder: "Write a message",
    ...(models.length > 1 && { models }),
    ...(tools.length > 0 && { tools }),
    ...(attachments && { attachments }),
    ...(features.dictation && { dictation: { enabled: true } }),
  };
}

function entitiesOption({ features }: Offers): EntitiesOption {
  return {
    onTagSearch: searchEntities,
    showComposerMenu: true,
    ...(features.mentionPreviews && { onRequestPreview: previewEntity }),
  };
}
