/**
 * The widget's script. OpenAI serves it and its terms ask to load it from there, so a network can keep it away: this
 * module loads it without blocking the page and says within a bound why it is not there.
 */
import { useCallback, useEffect, useState } from "react";

export const SCRIPT_URL = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js";
export const SCRIPT_HOST = new URL(SCRIPT_URL).host;
export const SCRIPT_TIMEOUT_MS = 10_000;
const ELEMENT = "openai-chatkit";

/**
 * - `insecure`: the page has no secure context, without which the widget never starts
 * - `policy`: this page's Content-Security-Policy forbids the script
 * - `blocked`: the browser could not fetch it
 * - `silent`: neither an answer nor an error within the bound
 * - `foreign`: an answer that is not the widget, such as a proxy's page
 */
export type ScriptFailure = "insecure" | "policy" | "blocked" | "silent" | "foreign";

export type Script = { state: "loading" } | { state: "ready" } | { state: "failed"; reason: ScriptFailure };

/** Loads the script; `retry` tries again after a failure. */
export function useScript(): Script & { retry: () => void } {
  const [script, setScript] = useState<Script>({ state: "loading" });
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    if (!window.isSecureContext) {
      setScript({ state: "failed", reason: "insecure" });
      return;
    }
    let current = true;
    const stop = inject((reason) => setScript({ state: "failed", reason }));
    // Not tied to the bound: a script that arrives late is still welcome.
    void customElements.whenDefined(ELEMENT).then(() => {
      stop();
      if (current) setScript({ state: "ready" });
    });
    return () => {
      current = false;
      stop();
    };
  }, [attempt]);

  const retry = useCallback(() => {
    setScript({ state: "loading" });
    setAttempt((count) => count + 1);
  }, []);
  return { ...script, retry };
}

/** Adds the script to the page and reports one failure at most; returns how to forget it. */
function inject(onFailure: (reason: ScriptFailure) => void): () => void {
  if (customElements.get(ELEMENT)) return () => {};
  const script = document.createElement("script");
  let answered = false;
  let forbidden = false;

  const fail = (reason: ScriptFailure) => {
    forget();
    if (!customElements.get(ELEMENT)) onFailure(reason);
  };
  const onViolation = (event: SecurityPolicyViolationEvent) => {
    forbidden ||= event.blockedURI.startsWith(new URL(SCRIPT_URL).origin);
  };
  const timer = setTimeout(() => fail(answered ? "foreign" : "silent"), SCRIPT_TIMEOUT_MS);
  const forget = () => {
    clearTimeout(timer);
    document.removeEventListener("securitypolicyviolation", onViolation);
    script.remove();
  };

  script.addEventListener("load", () => {
    answered = true;
  });
  // The policy's own event is dispatched in a task of its own, so its word is waited for.
  script.addEventListener("error", () => setTimeout(() => fail(forbidden ? "policy" : "blocked")));
  document.addEventListener("securitypolicyviolation", onViolation);
  script.src = SCRIPT_URL;
  script.async = true;
  document.head.append(script);
  return forget;
}
