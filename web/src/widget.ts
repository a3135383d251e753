/**
 * Chooses the element that shows the chat: OpenAI's (`stock`), ours (`open`), or the stock one with ours as a substitute
 * (`auto`). A substitution is final for this document: a stock script that arrives later changes nothing.
 */
import { useCallback, useEffect, useState } from "react";

import { loadOpenElement, type Tag } from "./openScript";
import { loadStockScript, type ScriptFailure, STOCK_TAG } from "./stockScript";

/** CHATKIT_WIDGET. */
export type WidgetChoice = "auto" | "stock" | "open";

export const STOCK_TIMEOUT_MS = 10_000;
const AUTO_TIMEOUT_MS = 4_000;
const OPEN_RETRY_MS = 3_000;

/** Why the stock element is missing: its script, or after that its start (`mute`) or its removal of itself (`gone`). */
export type StockFailure = ScriptFailure | "mute" | "gone";

export type Widget =
  | { state: "loading" }
  | { state: "ready"; kind: "stock" | "open"; tag: Tag }
  /** The stock one, and it was chosen. */
  | { state: "failed"; reason: ScriptFailure };

interface UseWidget {
  widget: Widget;
  /** Tries again after a failure. */
  retry: () => void;
  /** Call if the stock element does not work; with `auto`, this puts the open one in its place. */
  replaceStock: (reason: StockFailure) => void;
}

/** Loads the element once the choice is known. */
export function useWidget(choice: WidgetChoice | null): UseWidget {
  const [widget, setWidget] = useState<Widget>({ state: "loading" });
  const [attempt, setAttempt] = useState(0);
  const [substituted, setSubstituted] = useState<StockFailure | null>(() => recentFailure());
  const isOpen = choice === "open" || (choice === "auto" && substituted !== null);

  const replaceStock = useCallback(
    (reason: StockFailure) => {
      if (choice !== "auto") return;
      rememberFailure(reason);
      setWidget({ state: "loading" });
      setSubstituted((first) => first ?? reason);
    },
    [choice],
  );

  useEffect(() => {
    if (choice === null) return;
    if (isOpen) {
      if (choice === "auto" && substituted) tellWhy(substituted);
      return showOpen((tag) => setWidget({ state: "ready", kind: "open", tag }));
    }
    return loadStockScript(choice === "auto" ? AUTO_TIMEOUT_MS : STOCK_TIMEOUT_MS, {
      onReady: () => setWidget({ state: "ready", kind: "stock", tag: STOCK_TAG }),
      onFailure: choice === "auto" ? replaceStock : (reason) => setWidget({ state: "failed", reason }),
    });
  }, [choice, isOpen, substituted, attempt, replaceStock]);

  const retry = useCallback(() => {
    setWidget({ state: "loading" });
    setAttempt((count) => count + 1);
  }, []);
  return { widget, retry, replaceStock };
}

/** Loads the open element, again and again while our server does not deliver it; returns a function that gives up. */
function showOpen(onReady: (tag: Tag) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let current = true;
  const load = () =>
    loadOpenElement().then(
      (tag) => current && onReady(tag),
      (error: Error) => {
        if (!current) return;
        console.error(`Chat: ${error.message}`);
        timer = setTimeout(load, OPEN_RETRY_MS);
      },
    );
  void load();
  return () => {
    current = false;
    clearTimeout(timer);
  };
}

// A tab remembers the failure for some minutes, so that a reload does not wait for the same script again.

const MEMORY = "chatkit-stock-failure";
const MEMORY_MS = 10 * 60_000;

function recentFailure(): StockFailure | null {
  try {
    const { reason, at } = JSON.parse(sessionStorage.getItem(MEMORY) ?? "{}") as { reason?: StockFailure; at?: number };
    return reason && reason in REASONS && Date.now() - (at ?? 0) < MEMORY_MS ? reason : null;
  } catch {
    return null; // no storage, or not ours
  }
}

function rememberFailure(reason: StockFailure): void {
  try {
    sessionStorage.setItem(MEMORY, JSON.stringify({ reason, at: Date.now() }));
  } catch {
    // no storage: the next load tries again
  }
}

// What the console says

const REASONS: Record<StockFailure, string> = {
  insecure: "this page is neither HTTPS nor localhost, and OpenAI's element needs one of them",
  policy: "this page's Content-Security-Policy forbids its script",
  blocked: "its script could not be loaded",
  silent: `its script did not arrive within ${AUTO_TIMEOUT_MS / 1000} seconds`,
  foreign: "something else was delivered in place of its script, perhaps the page of a proxy",
  mute: "it was loaded but did not start; on a public domain, OpenAI has to know the domain",
  gone: "it removed itself; on a public domain, OpenAI has to know the domain",
};

let isTold = false;

function tellWhy(reason: StockFailure): void {
  if (isTold) return;
  isTold = true;
  console.info(
    `Chat: OpenAI's chat element is not used, because ${REASONS[reason]}. The open element of this server takes its place, for ten minutes in this tab. ` +
      "To choose, start the server with CHATKIT_WIDGET=open (OpenAI's network is never asked) or CHATKIT_WIDGET=stock (this page then shows what to check).",
  );
}
