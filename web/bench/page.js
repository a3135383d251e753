/** The page with the open element, from the real server: what it fetches, when it can be used, and what axe finds. */
import { violationsIn } from "../e2e/axe.js";
import { sizeOf } from "../e2e/first-load.js";
import { startServer } from "../e2e/server.js";
import { visitor } from "../e2e/visit.js";
import { figure } from "./report.js";
import { withScope } from "./scope.js";

const RUNS = 5;
const VIEWS = { desktop: { viewport: { width: 1100, height: 760 } }, dark: { colorScheme: "dark" }, phone: { viewport: { width: 360, height: 740 } } };

export function measurePage(browser) {
  return withScope(async (scope) => {
    const server = await startServer({ tokensPerSecond: 1_000, env: { CHATKIT_WIDGET: "open" } });
    scope.after(() => server.stop());
    const loads = [];
    for (let run = 0; run < RUNS; run++) loads.push(await load(browser, server.origin));
    const median = (name) => loads.map((load) => load[name]).sort((a, b) => a - b)[Math.floor(RUNS / 2)];
    let violations = 0;
    for (const options of Object.values(VIEWS)) violations += await countViolations(browser, server.origin, options);
    const scripts = loads[0].paths.filter((path) => /\.(js|css)$/.test(path));
    const sizes = await Promise.all(scripts.map(sizeOf));
    return [
      figure("Page: scripts and styles, gzip", sizes.reduce((sum, size) => sum + size, 0) / 1000, "kB"),
      figure("Page: first contentful paint", median("paint"), "ms"),
      figure("Page: time to interactive (the composer takes text)", median("interactive"), "ms"),
      figure("Page: time blocked by tasks over 50 ms", median("blocked"), "ms"),
      figure("Page: axe violations (start and answer; light, dark, phone)", violations, "", 0),
    ];
  });
}

async function open(browser, origin, options) {
  const visit = await visitor(browser, "open", options);
  await visit.page.addInitScript(() => {
    window.blocked = 0;
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.blocked += duration - 50;
    }).observe({ type: "longtask", buffered: true });
  });
  await visit.page.goto(origin);
  await visit.page.locator("[data-input]").fill("Hello");
  return visit;
}

/** A first visit, with an empty cache. */
async function load(browser, origin) {
  const { page, context } = await open(browser, origin);
  const interactive = await page.evaluate(() => performance.now());
  await page.waitForLoadState("networkidle");
  const figures = await page.evaluate(() => ({
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
    blocked: window.blocked,
    paths: [...new Set(performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname))],
  }));
  await context.close();
  return { interactive, ...figures };
}

/** How many things axe finds, on the start screen and in a thread. */
async function countViolations(browser, origin, options) {
  const { page, context } = await open(browser, origin, options);
  const found = await violationsIn(page);
  await page.getByRole("button", { name: "Send message", exact: true }).click();
  await page.waitForFunction(() => window.chatEvents.some(({ name }) => name === "response.end"));
  found.push(...(await violationsIn(page)));
  await context.close();
  for (const violation of found) console.error(`axe: ${violation}`);
  return found.length;
}
