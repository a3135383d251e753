/**
 * For pages that had the hosted option `getClientSecret`: a `fetch` for `api` that sends the client secret to your
 * server. Imports nothing: copy this file into any page that uses chatkit-server.
 *
 *     const url = "https://chat.example/chatkit";
 *     const fetch = withClientSecret(getClientSecret, { url }); // once, not in a component that renders again
 *     element.setOptions({ api: { url, domainKey: "…", fetch } });
 *
 * With attach.ts: `createAttach({ fetch: withClientSecret(getClientSecret) })`. The open element of chatkit-server does all
 * this by itself with `api: { getClientSecret }`.
 *
 * - `getClientSecret(existing)` is called when the first request needs a secret (with null), shortly before the secret
 *   expires, and when the server has refused it: once for all requests that wait. It returns the secret, or the secret
 *   and when it expires, as the sessions API does. An error that it throws fails the requests that wait; the next one
 *   calls it again.
 * - A refused request is sent once more with the new secret. A second refusal is returned. The server refuses a streaming
 *   request of a ChatKit frame with status 200 and an error event, which a header tells.
 * - The secret is only sent to the origin of the API: not to the storage that files are uploaded to.
 */

export type GetClientSecret = (existing: string | null) => ClientSecret | Promise<ClientSecret>;

/** `expires_at` is in seconds since 1970. Without it, the secret is renewed when the server refuses it. */
export type ClientSecret = string | { client_secret: string; expires_at?: number | null };

export interface SessionOptions {
  /** The URL of the API, whose origin gets the secret. By default that of the first ChatKit operation. */
  url?: string | URL;
  /** The page's own wrapper, if it has one. */
  fetch?: typeof fetch;
  /** How long a secret is valid where `getClientSecret` returns only the secret. */
  lifetimeSeconds?: number;
}

const ERROR_HEADER = "x-chatkit-error";
/** A secret is renewed this long before it expires, or in the second half of a short life. */
const MARGIN_MS = 30_000;

/** Returns a `fetch` that sends the secret. */
export function withClientSecret(getClientSecret: GetClientSecret, { url, fetch: send = (input, init) => fetch(input, init), lifetimeSeconds = Infinity }: SessionOptions = {}): typeof fetch {
  const secrets = new Secrets(getClientSecret, lifetimeSeconds * 1000);
  let api: string | undefined;

  return async (input, init = {}) => {
    if (url !== undefined) api ??= originOf(url);
    else if (api === undefined && isOperation(init.body)) api = originOf(input);
    if (originOf(input) !== api) return send(input, init);

    const signal = init.signal ?? (input instanceof Request ? input.signal : null);
    const secret = await unlessAborted(secrets.current(), signal);
    const isReplayable = !(init.body instanceof ReadableStream);
    const copy = input instanceof Request && isReplayable ? input.clone() : input; // a body can be read once
    const response = await send(input, signed(input, init, secret));
    if (!isReplayable || !isRefused(response)) return response;
    void response.body?.cancel().catch(() => {}); // an unread body keeps its connection
    return send(copy, signed(input, init, await unlessAborted(secrets.after(secret), signal)));
  };
}

/** The secret in use, and at most one renewal under way. */
class Secrets {
  private secret: string | null = null;
  private renewAt = 0;
  private expiresAt = 0;
  private renewal: Promise<string> | null = null;
  private readonly getClientSecret: GetClientSecret;
  private readonly lifetimeMs: number;

  constructor(getClientSecret: GetClientSecret, lifetimeMs: number) {
    this.getClientSecret = getClientSecret;
    this.lifetimeMs = lifetimeMs;
  }

  /** Returns the secret, renewed if it expires soon. One that is still valid is used where it cannot be renewed. */
  async current(): Promise<string> {
    const { secret } = this;
    if (secret !== null && Date.now() < this.renewAt) return secret;
    return this.renew().catch((error: unknown) => {
      if (secret !== null && secret === this.secret && Date.now() < this.expiresAt) return secret;
      throw error;
    });
  }

  /** Returns another secret than the refused one: perhaps a parallel request has renewed it already. */
  after(refused: string): Promise<string> {
    return this.secret !== null && this.secret !== refused ? Promise.resolve(this.secret) : this.renew();
  }

  private renew(): Promise<string> {
    this.renewal ??= this.ask().finally(() => {
      this.renewal = null;
    });
    return this.renewal;
  }

  private async ask(): Promise<string> {
    const answer = await this.getClientSecret(this.secret);
    const { client_secret: secret, expires_at: expiresAt } = typeof answer === "string" ? { client_secret: answer, expires_at: null } : answer;
    if (typeof secret !== "string" || !secret) throw new TypeError("getClientSecret returned no client secret");
    const now = Date.now();
    let lifetime = typeof expiresAt === "number" ? expiresAt * 1000 - now : this.lifetimeMs;
    if (lifetime <= 0) lifetime = Infinity; // this computer's clock is wrong: the server's refusal decides
    this.expiresAt = now + lifetime;
    this.renewAt = now + Math.max(lifetime - MARGIN_MS, lifetime / 2);
    return (this.secret = secret);
  }
}

function signed(input: RequestInfo | URL, init: RequestInit, secret: string): RequestInit {
  const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
  headers.set("authorization", `Bearer ${secret}`);
  return { ...init, headers };
}

function isRefused({ status, headers }: Response): boolean {
  return status === 401 || headers.get(ERROR_HEADER) === "not_authenticated";
}

/** What an element posts to the API; what it uploads is no text. */
function isOperation(body: unknown): boolean {
  return typeof body === "string" && body.startsWith("{");
}

function originOf(input: RequestInfo | URL): string {
  return new URL(input instanceof Request ? input.url : input, document.baseURI).origin;
}

/** Rejects as soon as the caller gives up; what others wait for goes on. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | null): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
