/** What browsers fetch, compressed as the server does. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { DIST, FIRST_LOAD_LIMIT, firstLoad, sizeOf, total } from "../e2e/first-load.js";
import { figure } from "./report.js";
import { withScope } from "./scope.js";

export async function measureSizes(browser) {
  const first = await withScope((scope) => firstLoad(scope, browser));
  const chunks = await Promise.all((await readdir(join(DIST, "element"))).map((name) => sizeOf(join("element", name))));
  return [
    figure("Element: first load, gzip", total(first) / 1000, "kB", FIRST_LOAD_LIMIT / 1000),
    figure("Element: largest chunk on demand, gzip", Math.max(...chunks) / 1000, "kB"),
  ];
}
