/**
 * Loads the widget's script without blocking the page, and reports within a time limit why it is missing. OpenAI's
 * terms require loading it from OpenAI's network, which a firewall or blocker may prevent.
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
 * - `silent`: neither a response nor an error within the time limit
 * - `foreign`: a response that is not the widget, such as a proxy's page
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
    // Independent of the time limit: a script that arrives late is used.
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

/** Adds the script to the page and reports at most one failure; returns a function that undoes it. */
function inject(onFailure: (reason: ScriptFailure) => void): () => void {
  if (customElements.get(ELEMENT)) return () => {};
  const script = document.createElement("script");
  let isLoaded = false;
  let isForbidden = false;

  const fail = (reason: ScriptFailure) => {
    cleanUp();
    if (!customElements.get(ELEMENT)) onFailure(reason);
  };
  const onViolation = (event: SecurityPolicyViolationEvent) => {
    isForbidden ||= event.blockedURI.startsWith(new URL(SCRIPT_URL).origin);
  };
  const timer = setTimeout(() => fail(isLoaded ? "foreign" : "silent"), SCRIPT_TIMEOUT_MS);
  const cleanUp = () => {
    clearTimeout(timer);
    document.removeEventListener("securitypolicyviolation", onViolation);
    script.remove();
  };

  script.addEventListener("load", () => {
    isLoaded = true;
  });
  // The event of the policy is dispatched in a later task, so wait for it.
  script.addEventListener("error", () => setTimeout(() => fail(isForbidden ? "policy" : "blocked")));
  document.addEventListener("securitypolicyviolation", onViolation);
  script.src = SCRIPT_URL;
  script.async = true;
  document.head.append(script);
  return cleanUp;
}
