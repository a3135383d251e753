/**
 * Who uses this page. A cookie or a proxy says so without its help. Those who develop with another login can paste a
 * client secret or a token, which this tab then keeps.
 */
import { serverUrl } from "./base";
import { type ClientSecret, withClientSecret } from "./session";

const MEMORY = "chatkit-credential";

/** Whether the page's server runs on the user's computer: nobody else's link can make it ask for a secret. */
export const isLocal = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);

/** For all requests to our server that need a login. */
export const serverFetch: typeof fetch = pasted() === null ? (input, init) => fetch(input, init) : withClientSecret(getClientSecret, { url: document.baseURI });

/** Uses the text as the page's credential from the next load on. */
export function enterCredential(text: string): void {
  keep(text.trim() || null);
  location.reload();
}

/** Renews a client secret. What the server does not renew, such as an issuer's token, is refused once more and forgotten. */
async function getClientSecret(existing: string | null): Promise<ClientSecret> {
  const first = pasted();
  if (existing === null && first !== null) return first;
  const response = await fetch(serverUrl("api/chatkit/refresh"), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ client_secret: existing }),
  });
  if (response.ok) {
    const renewed = (await response.json()) as Exclude<ClientSecret, string>;
    keep(renewed.client_secret);
    return renewed;
  }
  if (response.status < 500) keep(null);
  return existing ?? "";
}

function pasted(): string | null {
  try {
    return isLocal ? sessionStorage.getItem(MEMORY) : null;
  } catch {
    return null; // no storage
  }
}

function keep(credential: string | null): void {
  try {
    if (credential === null) sessionStorage.removeItem(MEMORY);
    else sessionStorage.setItem(MEMORY, credential);
  } catch {
    // no storage: the next load asks again
  }
}
