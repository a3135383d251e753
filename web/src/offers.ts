/** What the server offers: models, tools, prompts and features, in the widget's own shapes. */
import type { ComposerOption, ModelOption, StartScreenPrompt, ToolOption } from "@openai/chatkit";
import { useEffect, useState } from "react";

const OFFERS_URL = "/api/chatkit/options";
const TIMEOUT_MS = 5_000;

type Feature = "attachments" | "dictation" | "feedback" | "history" | "mentions" | "mentionPreviews" | "retry";

export interface Offers {
  models: ModelOption[];
  tools: ToolOption[];
  prompts: StartScreenPrompt[];
  attachments?: NonNullable<ComposerOption["attachments"]>;
  features: Record<Feature, boolean>;
}

/** What every server supports; used if the request fails. */
const DEFAULTS: Offers = {
  models: [],
  tools: [],
  prompts: [],
  features: { attachments: false, dictation: false, feedback: true, history: true, mentions: false, mentionPreviews: false, retry: true },
};

/** Loads the offers once, and again when a failed server is `reachable`; null until the first attempt ends. */
export function useOffers(reachable: boolean | null): Offers | null {
  const [offers, setOffers] = useState<Offers | null>(null);
  const isLoaded = offers !== null && offers !== DEFAULTS;

  useEffect(() => {
    if (isLoaded || reachable === null) return;
    let current = true;
    void fetchOffers().then((loaded) => current && setOffers(loaded ?? DEFAULTS));
    return () => {
      current = false;
    };
  }, [isLoaded, reachable]);

  return offers;
}

async function fetchOffers(): Promise<Offers | null> {
  try {
    const response = await fetch(OFFERS_URL, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    return response.ok ? ((await response.json()) as Offers) : null;
  } catch {
    return null;
  }
}
