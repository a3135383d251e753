/** The server's own word on itself: whether it is there, and which model answers. */
import { useCallback, useEffect, useRef, useState } from "react";

const HEALTH_URL = "/api/stream/health";
const TIMEOUT_MS = 5_000;
const PERIOD_MS = 60_000;
const PERIOD_IN_DOUBT_MS = 3_000;
/** A server that is about to stop still answers for a moment after its first failure. */
const DOUBT_MS = 30_000;

export interface Model {
  provider: "embedded" | "demo" | "openai" | "compatible";
  name: string;
  /** What a user should know of it: "small and often wrong". */
  note: string | null;
}

export interface Health {
  /** Null before the first answer. */
  reachable: boolean | null;
  /** The last one heard of; null before the first good answer. */
  model: Model | null;
}

/** Hears from the rest of the page whether a request of its own was answered. */
export type Hear = (answered: boolean) => void;

/**
 * Asks the server at start, then every minute; at once when what is heard speaks against its last word, and every few
 * seconds while it is away and for a while after a failure.
 */
export function useHealth(): [Health, Hear] {
  const [health, setHealth] = useState<Health>({ reachable: null, model: null });
  const hearing = useRef<Hear>(() => {});
  const hear = useCallback<Hear>((answered) => hearing.current(answered), []);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let current = true;
    let asking = false;
    let reachable: boolean | null = null;
    let doubtedUntil = 0;
    const ask = async () => {
      if (asking) return;
      asking = true;
      clearTimeout(timer);
      const model = await fetchModel();
      asking = false;
      if (!current) return;
      reachable = model !== null;
      setHealth((last) => ({ reachable, model: model ?? last.model }));
      timer = setTimeout(ask, reachable && Date.now() >= doubtedUntil ? PERIOD_MS : PERIOD_IN_DOUBT_MS);
    };
    hearing.current = (answered) => {
      if (!answered) doubtedUntil = Date.now() + DOUBT_MS;
      if (answered !== reachable) void ask();
    };
    void ask();
    window.addEventListener("online", ask);
    return () => {
      current = false;
      clearTimeout(timer);
      window.removeEventListener("online", ask);
    };
  }, []);

  return [health, hear];
}

async function fetchModel(): Promise<Model | null> {
  try {
    const response = await fetch(HEALTH_URL, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    return response.ok ? (((await response.json()) as { model?: Model }).model ?? null) : null;
  } catch {
    return null;
  }
}
