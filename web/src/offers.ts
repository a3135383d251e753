/** What the server offers: models, tools, prompts and features, in the widget's own shapes. */
import type { ComposerOption, ModelOption, StartScreenPrompt, ToolOption } from "@openai/chatkit";
import { useEffect, useState } from "react";

import { serverUrl } from "./base";
import type { WidgetChoice } from "./widget";

const OFFERS_URL = serverUrl("api/chatkit/options");
const TIMEOUT_MS = 5_000;
const RETRY_MS = 3_000;
const MOST_REFUSALS = 3;

type Feature = "attachments" | "dictation" | "feedback" | "history" | "mentions" | "mentionPreviews" | "retry";

export interface Offers {
  widget: WidgetChoice;
  /** The agent's name, where it has one for all. */
  agent?: string;
  models: ModelOption[];
  tools: ToolOption[];
  prompts: StartScreenPrompt[];
  attachments?: NonNullable<ComposerOption["attachments"]>;
  features: Record<Feature, boolean>;
}

/** What every server supports; used if the request fails. The open element needs no other host than this server. */
const DEFAULTS: Offers = {
  widget: "open",
  models: [],
  tools: [],
  prompts: [],
  features: { attachments: false, dictation: false, feedback: true, history: true, mentions: false, mentionPreviews: false, retry: true },
};

/** Loads the offers, however long it takes; null until then. */
export function useOffers(): Offers | null {
  const [offers, setOffers] = useState<Offers | null>(null);

  useEffect(() => {
    const leaving = new AbortController();
    void loadOffers(leaving.signal).then((loaded) => !leaving.signal.aborted && setOffers(loaded));
    return () => leaving.abort();
  }, []);

  return offers;
}

/** Tries again while there is no answer. After several refusals, the defaults must do. */
async function loadOffers(leaving: AbortSignal): Promise<Offers> {
  for (let refusals = 0; !leaving.aborted && refusals < MOST_REFUSALS; ) {
    const response = await fetch(OFFERS_URL, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" }).catch(() => null);
    const offers = response?.ok ? ((await response.json().catch(() => null)) as Partial<Offers> | null) : null;
    if (offers) return { ...DEFAULTS, widget: "auto", ...offers };
    if (response) refusals += 1;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  return DEFAULTS;
}
