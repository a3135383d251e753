/** The server's health: whether it is reachable, and which model it uses. */
import { useCallback, useEffect, useRef, useState } from "react";

import { serverUrl } from "./base";

const HEALTH_URL = serverUrl("api/stream/health");
const TIMEOUT_MS = 5_000;
const PERIOD_MS = 60_000;
const RETRY_MS = 3_000;
/** How long to check often after a failed request: a server that shuts down still answers for a moment. */
const WATCH_MS = 30_000;

export interface Model {
  provider: "embedded" | "demo" | "openai" | "compatible";
  name: string;
  /** What users should know about it: "small and often wrong". */
  note: string | null;
}

export interface Health {
  /** Null before the first answer. */
  reachable: boolean | null;
  /** The last known model; null before the first successful answer. */
  model: Model | null;
}

/** Tells this module whether another request of the page was answered. */
export type ReportRequest = (answered: boolean) => void;

/**
 * Checks the server's health at the start and then every minute. Checks immediately when a reported request contradicts
 * the last result, and every few seconds while the server is unreachable and for a while after a failed request.
 */
export function useHealth(): [Health, ReportRequest] {
  const [health, setHealth] = useState<Health>({ reachable: null, model: null });
  const onReport = useRef<ReportRequest>(() => {});
  const reportRequest = useCallback<ReportRequest>((answered) => onReport.current(answered), []);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let current = true;
    let isChecking = false;
    let reachable: boolean | null = null;
    let watchedUntil = 0;
    const check = async () => {
      if (isChecking) return;
      isChecking = true;
      clearTimeout(timer);
      const model = await fetchModel();
      isChecking = false;
      if (!current) return;
      reachable = model !== null;
      setHealth((last) => ({ reachable, model: model ?? last.model }));
      timer = setTimeout(check, reachable && Date.now() >= watchedUntil ? PERIOD_MS : RETRY_MS);
    };
    onReport.current = (answered) => {
      if (!answered) watchedUntil = Date.now() + WATCH_MS;
      if (answered !== reachable) void check();
    };
    void check();
    window.addEventListener("online", check);
    return () => {
      current = false;
      clearTimeout(timer);
      window.removeEventListener("online", check);
    };
  }, []);

  return [health, reportRequest];
}

async function fetchModel(): Promise<Model | null> {
  try {
    const response = await fetch(HEALTH_URL, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    return response.ok ? (((await response.json()) as { model?: Model }).model ?? null) : null;
  } catch {
    return null;
  }
}
