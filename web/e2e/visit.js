/** A user's browser: simulates OpenAI's CDN, blocks all other hosts, and records what happens for the tests. */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const CDN = "https://cdn.platform.openai.com";
const CDN_SCRIPT = `${CDN}/deployments/chatkit/chatkit.js`;
const STAND_IN = join(import.meta.dirname, "stand-in.js");
const RESULTS = join(import.meta.dirname, "results");
const LOCAL_HOSTS = ["127.0.0.1", "localhost", "insecure.example"];
/** For what should be there in a moment, on two slow cores with other work. */
export const PATIENCE_MS = 60_000;
const LOG_LINES = 60;

/** As OpenAI's element does on a domain that OpenAI does not know. */
const REMOVES_ITSELF = `class extends HTMLElement {
  setOptions() {
    if (this.shadowRoot) return;
    const frame = this.attachShadow({ mode: "open" }).appendChild(document.createElement("iframe"));
    setTimeout(() => this.dispatchEvent(new CustomEvent("chatkit.ready")), 50);
    setTimeout(() => frame.remove(), 500);
  }
}`;

/** How the CDN answers for its script. */
const ANSWERS = {
  "stand-in": (route) => route.fulfill({ path: STAND_IN, contentType: "text/javascript" }),
  stock: (route) => serveStock(route),
  open: (route) => route.abort("failed"), // the open element needs no CDN
  blocked: (route) => route.abort("failed"),
  hangs: () => {},
  mute: (route) => route.fulfill({ body: 'customElements.define("openai-chatkit", class extends HTMLElement { setOptions() {} })', contentType: "text/javascript" }),
  gone: (route) => route.fulfill({ body: `customElements.define("openai-chatkit", ${REMOVES_ITSELF})`, contentType: "text/javascript" }),
  foreign: (route) => route.fulfill({ body: "/* a proxy's page */", contentType: "text/javascript" }),
};

/**
 * Opens a browser context with its own cookies. `which` says what the page gets from the CDN: `stand-in` (e2e/stand-in.js),
 * `stock` (the build in CHATKIT_STOCK_DIR), nothing for `open`, or a failure; `pretend.cdn` may be changed later.
 * `strays` are requests to other hosts, `requests` the posts to /chatkit, `exceptions` what no script of a page caught.
 */
export async function visitor(browser, which, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 760 }, locale: "en-US", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const pretend = { cdn: which };
  const strays = [];
  const requests = [];
  const exceptions = [];
  context.on("weberror", (error) => exceptions.push(error.error()));
  context.on("request", (request) => {
    if (request.method() !== "POST" || new URL(request.url()).pathname !== "/chatkit") return;
    requests.push({ ...request.postDataJSON(), headers: request.headers() });
  });
  await context.route(
    (url) => !LOCAL_HOSTS.includes(url.hostname),
    (route) => {
      const url = route.request().url();
      if (url === CDN_SCRIPT) return ANSWERS[pretend.cdn](route);
      if (pretend.cdn === "stock" && url.startsWith(CDN)) return serveStock(route);
      strays.push(url);
      return route.abort();
    },
  );
  await context.addInitScript(recordActivity);
  await context.addInitScript(recordEvents);
  return { context, pretend, strays, requests, exceptions, page: await context.newPage() };
}

/** Serves a file of the stock build, which may begin at the CDN's root or in the folder of the script. */
function serveStock(route) {
  const path = new URL(route.request().url()).pathname;
  const candidates = [path, path.replace(/^\/deployments\/chatkit\//, "/")].map((path) => join(process.env.CHATKIT_STOCK_DIR, path));
  const found = candidates.find((candidate) => existsSync(candidate));
  return found ? route.fulfill({ path: found, headers: { "access-control-allow-origin": "*" } }) : route.fulfill({ status: 404 });
}

/** Runs in the page: records every text of the status line, however briefly it is shown. */
function recordActivity() {
  window.activities = [];
  const record = () => {
    const text = document.querySelector(".activity")?.textContent;
    if (text && text !== window.activities.at(-1)) window.activities.push(text);
  };
  new MutationObserver(record).observe(document, { subtree: true, childList: true, characterData: true });
}

/** Runs in the page: records the events of the element, before anything can stop them. */
function recordEvents() {
  window.chatEvents = [];
  const names = ["ready", "error", "effect", "response.start", "response.end", "response.stop", "thread.change", "thread.load.start", "thread.load.end"];
  names.push("tool.change", "history.open", "history.close", "deeplink", "log");
  for (const name of names) {
    const record = ({ detail }) => {
      const error = detail?.error && { name: detail.error.name, message: detail.error.message };
      window.chatEvents.push({ name, detail: error ? { error } : JSON.parse(JSON.stringify(detail ?? null)) });
    };
    window.addEventListener(`chatkit.${name}`, record, true);
  }
}

export async function screenshot(page, name) {
  await mkdir(RESULTS, { recursive: true });
  await page.screenshot({ path: join(RESULTS, `${name}.png`), animations: "disabled" });
}

/** Keeps what explains a failed test: a picture of the page, its events, and the end of the server's log. */
export async function recordFailure(t, { page, exceptions }, server) {
  const name = `failed-${t.name.replace(/\W+/g, "-").slice(0, 80)}`;
  await screenshot(page, name).catch(() => {}); // the page may be gone
  const events = await page.evaluate(() => JSON.stringify(window.chatEvents, null, 1)).catch(String);
  const log = server.output().split("\n").slice(-LOG_LINES).join("\n");
  await writeFile(join(RESULTS, `${name}.txt`), `${t.error?.cause?.stack ?? t.error}\n\n${page.url()}\n\nExceptions: ${exceptions.map(({ stack }) => stack).join("\n")}\n\nEvents: ${events}\n\nServer:\n${log}\n`);
}
