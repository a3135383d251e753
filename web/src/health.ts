/** The server's own word on itself: whether it is there, and which model answers. */
import { useEffect, useState } from "react";

const HEALTH_URL = "/api/stream/health";
const TIMEOUT_MS = 5_000;
const PERIOD_MS = 60_000;
const PERIOD_WHILE_AWAY_MS = 3_000;

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

/** Asks the server at start, then every minute, or every few seconds while it is away. */
export function useHealth(): Health {
  const [health, setHealth] = useState<Health>({ reachable: null, model: null });

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let current = true;
    const ask = async () => {
      const model = await fetchModel();
      if (!current) return;
      clearTimeout(timer); // `online` may have asked at the same time
      setHealth((last) => ({ reachable: model !== null, model: model ?? last.model }));
      timer = setTimeout(ask, model ? PERIOD_MS : PERIOD_WHILE_AWAY_MS);
    };
    void ask();
    window.addEventListener("online", ask);
    return () => {
      current = false;
      clearTimeout(timer);
      window.removeEventListener("online", ask);
    };
  }, []);

  return health;
}

async function fetchModel(): Promise<Model | null> {
  try {
    const response = await fetch(HEALTH_URL, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    return response.ok ? (((await response.json()) as { model?: Model }).model ?? null) : null;
  } catch {
    return null;
  }
}
