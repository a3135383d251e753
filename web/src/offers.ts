/** What the server offers: models, tools, prompts and features, in the widget's own shapes. */
import type { ComposerOption, ModelOption, StartScreenPrompt, ToolOption } from "@openai/chatkit";
import { useCallback, useEffect, useState } from "react";

import { serverUrl } from "./base";
import { serverFetch } from "./login";
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

export interface UseOffers {
  /** Null until they are loaded. */
  offers: Offers | null;
  /** The server asks for a login. */
  needsLogin: boolean;
  retry: () => void;
}

/** Loads the offers, however long it takes, unless the server asks for a login. */
export function useOffers(): UseOffers {
  const [offers, setOffers] = useState<Offers | null>(null);
  const [needsLogin, setNeedsLogin] = useState(false);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    const leaving = new AbortController();
    setNeedsLogin(false);
    void loadOffers(leaving.signal).then((loaded) => {
      if (leaving.signal.aborted) return;
      setOffers(loaded);
      setNeedsLogin(loaded === null);
    });
    return () => leaving.abort();
  }, [attempt]);

  const retry = useCallback(() => setAttempt((count) => count + 1), []);
  return { offers, needsLogin, retry };
}

/** Tries again while there is no answer. After several refusals, the defaults must do. Returns null without a login. */
async function loadOffers(leaving: AbortSignal): Promise<Offers | null> {
  for (let refusals = 0; !leaving.aborted && refusals < MOST_REFUSALS; ) {
    const response = await serverFetch(OFFERS_URL, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" }).catch(() => null);
    if (response?.status === 401) return null;
    const offers = response?.ok ? ((await response.json().catch(() => null)) as Partial<Offers> | null) : null;
    if (offers) return { ...DEFAULTS, widget: "auto", ...offers };
    if (response) refusals += 1;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  return DEFAULTS;
}
