/** A user's browser: simulates the CDN, and blocks all other hosts. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

const CDN_SCRIPT = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js";
const STAND_IN = join(import.meta.dirname, "stand-in.js");
const RESULTS = join(import.meta.dirname, "results");

/** How the CDN behaves: `stand-in` answers with e2e/stand-in.js, the others are failures. */
const CDN = {
  "stand-in": (route) => route.fulfill({ path: STAND_IN, contentType: "text/javascript" }),
  blocked: (route) => route.abort("failed"),
  hangs: () => {},
  mute: (route) => route.fulfill({ body: 'customElements.define("openai-chatkit", class extends HTMLElement { setOptions() {} })', contentType: "text/javascript" }),
  foreign: (route) => route.fulfill({ body: "/* a proxy's page */", contentType: "text/javascript" }),
};

/** Opens a browser context with its own cookies. `pretend.cdn` may be changed; `strays` are requests to other hosts. */
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

/** Runs in the page: records every text of the status line, however briefly it is shown. */
function recordActivity() {
  window.activities = [];
  const record = () => {
    const text = document.querySelector(".activity")?.textContent;
    if (text && text !== window.activities.at(-1)) window.activities.push(text);
  };
  new MutationObserver(record).observe(document, { subtree: true, childList: true, characterData: true });
}

export async function screenshot(page, name) {
  await mkdir(RESULTS, { recursive: true });
  await page.screenshot({ path: join(RESULTS, `${name}.png`) });
}
