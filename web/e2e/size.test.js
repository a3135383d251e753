/** The element's first load: what a browser fetches until a page with it is quiet, compressed as the server does. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";

import { launchBrowser } from "./browser.js";
import { startScripted } from "./scripted.js";
import { openStrictPage } from "./strict-page.js";

const LIMIT = 60_000;
const DIST = join(import.meta.dirname, "../dist");

const stage = { browser: undefined, server: { origin: "", output: () => "" } };
before(async () => {
  stage.browser = await launchBrowser();
});
after(() => stage.browser?.close());

test(`the first load is at most ${LIMIT / 1000} kB gzip`, async (t) => {
  const server = await startScripted(() => "default");
  t.after(() => server.stop());
  const { page } = await openStrictPage(t, stage, server.origin);
  await page.waitForLoadState("networkidle");
  const fetched = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname));
  const scripts = [...new Set(fetched)].filter((path) => /^\/element(\.js|\/)/.test(path));
  assert.ok(scripts.includes("/element.js"), `${fetched}`);
  const sizes = await Promise.all(scripts.map(async (path) => [path, gzipSync(await readFile(join(DIST, path)), { level: 9 }).length]));
  const total = sizes.reduce((sum, [, size]) => sum + size, 0);
  t.diagnostic(`${total} bytes: ${sizes.map((entry) => entry.join(" ")).join(", ")}`);
  assert.ok(total <= LIMIT, `${total} bytes: ${sizes.map((entry) => entry.join(" ")).join(", ")}`);
});
