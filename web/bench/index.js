/**
 * Measures the element and the page in a real browser and prints a table: `npm run bench` in web/, with the names of parts
 * to measure only these. Ends with an error where a figure is over its limit. See docs/performance.md.
 */
import { launchBrowser } from "../e2e/browser.js";
import { measurePage } from "./page.js";
import { print } from "./report.js";
import { measureSizes } from "./sizes.js";
import { measureStream } from "./stream.js";
import { measureThread } from "./thread.js";

const PARTS = { sizes: measureSizes, page: measurePage, thread: measureThread, stream: measureStream };
const chosen = process.argv.slice(2);

const browser = await launchBrowser();
const rows = [];
try {
  for (const [name, measure] of Object.entries(PARTS)) if (!chosen.length || chosen.includes(name)) rows.push(...(await measure(browser)));
} finally {
  await browser.close();
}
print(rows);
if (rows.some(({ isOver }) => isOver)) process.exitCode = 1;
