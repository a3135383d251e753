/** Loads the open element, which comes from our own server. */
import { STOCK_TAG } from "./stockScript";

/** The open element's own name, for a document in which OpenAI's script has taken the common one. */
const OWN_TAG = "open-chatkit";

export type Tag = typeof STOCK_TAG | typeof OWN_TAG;

let loading: Promise<void> | null = null;

/** Loads the script once per document; returns the name of the open element in it. */
export async function loadOpenElement(): Promise<Tag> {
  loading ??= addScript();
  await loading.catch((error) => {
    loading = null;
    throw error;
  });
  const common = customElements.get(STOCK_TAG) as { implementation?: string } | undefined;
  return common?.implementation === "open" ? STOCK_TAG : OWN_TAG;
}

function addScript(): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.addEventListener("load", () => (customElements.get(OWN_TAG) ? resolve() : reject(new Error("element.js does not define the element"))));
    script.addEventListener("error", () => {
      script.remove();
      reject(new Error("element.js could not be loaded"));
    });
    script.src = trusted(new URL("element.js", document.baseURI).href);
    document.head.append(script);
  });
}

interface TrustedTypes {
  createPolicy: (name: string, rules: { createScriptURL: (url: string) => string }) => { createScriptURL: (url: string) => string };
}

let policy: ReturnType<TrustedTypes["createPolicy"]> | undefined;

/** With CHATKIT_WIDGET=open, the server lets only this policy create the URL of a script, and only one have its name. */
function trusted(url: string): string {
  const { trustedTypes } = window as { trustedTypes?: TrustedTypes };
  if (!trustedTypes) return url;
  policy ??= trustedTypes.createPolicy("chatkit-page", { createScriptURL: (scriptUrl) => scriptUrl });
  return policy.createScriptURL(url);
}
