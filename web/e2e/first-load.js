/** What a browser fetches of the element until a page with it is quiet, compressed as the server does. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { startScripted } from "./scripted.js";
import { openStrictPage } from "./strict-page.js";

export const DIST = join(import.meta.dirname, "../dist");
/** In bytes, of all files together. */
export const FIRST_LOAD_LIMIT = 60_000;

/** The compressed size in bytes of a file in `DIST`. */
export const sizeOf = async (path) => gzipSync(await readFile(join(DIST, path)), { level: 9 }).length;

/** Returns the size of each fetched file by its path; `t` is the context of a test, or of a measurement. */
export async function firstLoad(t, browser) {
  const server = await startScripted(() => "default");
  t.after(() => server.stop());
  const { page } = await openStrictPage(t, { browser, server: { output: () => "" } }, server.origin);
  await page.waitForLoadState("networkidle");
  const fetched = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname));
  const scripts = [...new Set(fetched)].filter((path) => /^\/element(\.js|\/)/.test(path));
  return new Map(await Promise.all(scripts.map(async (path) => [path, await sizeOf(path)])));
}

export const total = (sizes) => [...sizes.values()].reduce((sum, size) => sum + size, 0);
