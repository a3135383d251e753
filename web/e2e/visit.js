/** One person's browser: opens the page with the CDN in the wanted state, and keeps every other network away. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

const CDN_SCRIPT = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js";
const STAND_IN = join(import.meta.dirname, "stand-in.js");
const RESULTS = join(import.meta.dirname, "results");

/** How the CDN behaves: `stand-in` answers with e2e/stand-in.js, the rest are the ways in which it fails. */
const CDN = {
  "stand-in": (route) => route.fulfill({ path: STAND_IN, contentType: "text/javascript" }),
  blocked: (route) => route.abort("failed"),
  hangs: () => {},
  mute: (route) => route.fulfill({ body: 'customElements.define("openai-chatkit", class extends HTMLElement { setOptions() {} })', contentType: "text/javascript" }),
  foreign: (route) => route.fulfill({ body: "/* a proxy's page */", contentType: "text/javascript" }),
};

/** A browser context with cookies of its own. `pretend.cdn` may change later; `strays` are requests to other hosts. */
export async function visitor(browser, cdn, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 760 }, locale: "en-US", ...options });
  context.setDefaultTimeout(20_000);
  const pretend = { cdn };
  const strays = [];
  await context.route(
    (url) => !["127.0.0.1", "insecure.example"].includes(url.hostname),
    (route) => {
      if (route.request().url() === CDN_SCRIPT) return CDN[pretend.cdn](route);
      strays.push(route.request().url());
      return route.abort();
    },
  );
  await context.addInitScript(recordActivity);
  return { context, pretend, strays, page: await context.newPage() };
}

/** Runs in the page: keeps every word that the status line said, however short it stood there. */
function recordActivity() {
  window.activities = [];
  const look = () => {
    const word = document.querySelector(".activity")?.textContent;
    if (word && word !== window.activities.at(-1)) window.activities.push(word);
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
}

export async function screenshot(page, name) {
  await mkdir(RESULTS, { recursive: true });
  await page.screenshot({ path: join(RESULTS, `${name}.png`) });
}
