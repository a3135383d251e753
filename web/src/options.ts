/** The options of the element: the server's URL, the looks, the features. */
import type { ChatKitOptions, ColorScheme, ComposerOption, EntitiesOption } from "@openai/chatkit";

import { serverUrl } from "./base";
import { onClientTool } from "./client";
import { previewEntity, searchEntities } from "./entities";
import type { Offers } from "./offers";
import { texts } from "./texts";

/**
 * OpenAI issues a key for each domain on its allow-list; set it with VITE_CHATKIT_DOMAIN_KEY at build time.
 * On localhost its element does not check it, and the open one never does, but the option is required.
 */
const DOMAIN_KEY: string = import.meta.env.VITE_CHATKIT_DOMAIN_KEY || "domain_pk_localhost_dev";

/** The open element shows the progress of files that need not go through the page's `fetch`. */
const OPEN_ELEMENT_ONLY = { fetchesFiles: false };

interface Params {
  isStock: boolean;
  fetch: typeof fetch;
  scheme: ColorScheme;
  initialThread: string | null;
  offers: Offers;
}

export function chatOptions({ isStock, fetch, scheme, initialThread, offers }: Params): ChatKitOptions {
  const { features } = offers;
  return {
    api: { url: serverUrl("chatkit"), domainKey: DOMAIN_KEY, fetch, uploadStrategy: { type: "two_phase" }, ...(isStock ? {} : OPEN_ELEMENT_ONLY) },
    frameTitle: texts.chat,
    initialThread,
    theme: { colorScheme: scheme, radius: "round", color: { accent: { primary: scheme === "dark" ? "#60a5fa" : "#2563eb", level: 1 } } },
    history: { enabled: features.history, showDelete: true, showRename: true },
    startScreen: { greeting: greetingOf(offers), prompts: offers.prompts },
    composer: composerOptions(offers),
    ...(features.mentions && { entities: entitiesOption(offers) }),
    threadItemActions: { feedback: features.feedback, retry: features.retry },
    thread: { autoScroll: true },
    onClientTool,
  };
}

/** The name that agents have by default tells nothing. */
function greetingOf({ agent }: Offers): string {
  return agent && agent !== "Assistant" ? texts.greetingOf(agent) : texts.greeting;
}

/** Leaves out empty menus. */
function composerOptions({ models, tools, attachments, features }: Offers): ComposerOption {
  return {
    placeholder: texts.writeMessage,
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
