/** The element's first load. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launchBrowser } from "./browser.js";
import { FIRST_LOAD_LIMIT, firstLoad, total } from "./first-load.js";

let browser;
before(async () => {
  browser = await launchBrowser();
});
after(() => browser?.close());

test(`the first load is at most ${FIRST_LOAD_LIMIT / 1000} kB gzip`, async (t) => {
  const sizes = await firstLoad(t, browser);
  assert.ok(sizes.has("/element.js"), "the script was fetched");
  const text = `${total(sizes)} bytes: ${[...sizes].map((entry) => entry.join(" ")).join(", ")}`;
  t.diagnostic(text);
  assert.ok(total(sizes) <= FIRST_LOAD_LIMIT, text);
});
