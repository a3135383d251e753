/**
 * Who uses this page. A cookie or a proxy says so without its help. Those who develop with another login can paste a
 * client secret or a token, which this tab then keeps.
 */
import { serverUrl } from "./base";
import { type ClientSecret, withClientSecret } from "./session";

const MEMORY = "chatkit-credential";

/** Whether the page's server runs on the user's computer: nobody else's link can make it ask for a secret. */
export const isLocal = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);

let credential = remembered();
let signedFetch = credential === null ? null : makeSignedFetch();

let hasRefused = false;

/** Whether the server has refused what was entered last. */
export const wasRefused = () => hasRefused;

/** For all requests to our server that need a login. */
export const serverFetch: typeof fetch = (input, init) => (signedFetch ?? fetch)(input, init);

/** Sends this client secret or token with all requests from now on. */
export function enterCredential(text: string): void {
  keep(text.trim() || null);
  hasRefused = false;
  signedFetch = makeSignedFetch(); // a new one: each keeps its secret
}

function makeSignedFetch(): typeof fetch {
  return withClientSecret(getClientSecret, { url: document.baseURI });
}

/** Renews a client secret. What the server does not renew, such as an issuer's token, is refused once more and forgotten. */
async function getClientSecret(existing: string | null): Promise<ClientSecret> {
  if (existing === null && credential !== null) return credential;
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
  if (response.status < 500) {
    keep(null);
    signedFetch = null;
    hasRefused = true;
  }
  return existing ?? "";
}

function remembered(): string | null {
  try {
    return isLocal ? sessionStorage.getItem(MEMORY) : null;
  } catch {
    return null; // no storage
  }
}

function keep(value: string | null): void {
  credential = value;
  try {
    if (value === null) sessionStorage.removeItem(MEMORY);
    else sessionStorage.setItem(MEMORY, value);
  } catch {
    // no storage: the next load asks again
  }
}
