/** What browsers fetch, compressed as the server does. */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { startScripted } from "../e2e/scripted.js";
import { openStrictPage } from "../e2e/strict-page.js";
import { figure } from "./report.js";
import { withScope } from "./scope.js";

const DIST = join(import.meta.dirname, "../dist");
const FIRST_LOAD_KB = 60;

export const kilobytes = async (path) => gzipSync(await readFile(join(DIST, path)), { level: 9 }).length / 1000;

export async function measureSizes(browser) {
  const fetched = await withScope(async (scope) => {
    const server = await startScripted(() => "default");
    scope.after(() => server.stop());
    const { page } = await openStrictPage(scope, { browser, server: { output: () => "" } }, server.origin);
    await page.waitForLoadState("networkidle");
    return page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname));
  });
  const scripts = [...new Set(fetched)].filter((path) => /^\/element(\.js|\/)/.test(path));
  const first = await Promise.all(scripts.map(kilobytes));
  const chunks = await Promise.all((await readdir(join(DIST, "element"))).map((name) => kilobytes(join("element", name))));
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  return [
    figure("Element: first load, gzip", sum(first), "kB", FIRST_LOAD_KB),
    figure("Element: largest chunk on demand, gzip", Math.max(...chunks), "kB"),
  ];
}
