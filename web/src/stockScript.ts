/**
 * Loads OpenAI's script without blocking the page, and reports within a time limit why it is missing. OpenAI's terms
 * require loading it from OpenAI's network, which a firewall or blocker may prevent.
 */
export const SCRIPT_URL = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js";
export const SCRIPT_HOST = new URL(SCRIPT_URL).host;
export const STOCK_TAG = "openai-chatkit";

/**
 * - `insecure`: the page has no secure context, without which OpenAI's element never starts
 * - `policy`: this page's Content-Security-Policy forbids the script
 * - `blocked`: the browser could not fetch it
 * - `silent`: neither a response nor an error within the time limit
 * - `foreign`: a response that is not the script, such as a proxy's page
 */
export type ScriptFailure = "insecure" | "policy" | "blocked" | "silent" | "foreign";

interface Listener {
  onReady: () => void;
  /** Called at most once. Independent of it, a script that arrives late calls `onReady`. */
  onFailure: (reason: ScriptFailure) => void;
}

/** Loads the script; returns a function that stops listening. */
export function loadStockScript(timeoutMs: number, { onReady, onFailure }: Listener): () => void {
  if (!window.isSecureContext) {
    onFailure("insecure");
    return () => {};
  }
  let current = true;
  const cleanUp = inject(timeoutMs, onFailure);
  void customElements.whenDefined(STOCK_TAG).then(() => {
    cleanUp();
    if (current) onReady();
  });
  return () => {
    current = false;
    cleanUp();
  };
}

function inject(timeoutMs: number, onFailure: (reason: ScriptFailure) => void): () => void {
  if (customElements.get(STOCK_TAG)) return () => {};
  const script = document.createElement("script");
  let isLoaded = false;
  let isForbidden = false;

  const fail = (reason: ScriptFailure) => {
    cleanUp();
    if (!customElements.get(STOCK_TAG)) onFailure(reason);
  };
  const onViolation = (event: SecurityPolicyViolationEvent) => {
    isForbidden ||= event.blockedURI.startsWith(new URL(SCRIPT_URL).origin);
  };
  const timer = setTimeout(() => fail(isLoaded ? "foreign" : "silent"), timeoutMs);
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
