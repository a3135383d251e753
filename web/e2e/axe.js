/** Checks with axe-core what the element shows: all rules, of WCAG and of good practice, except those about whole pages. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails with a list of what axe finds in the element, or in what `selector` matches; animations must have ended. */
export async function assertAccessible(page, name, selector = "openai-chatkit, open-chatkit") {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(source);
  await page.evaluate(endAnimations);
  const violations = await page.evaluate(async (selector) => (await window.axe.run({ include: [[selector]] }, { resultTypes: ["violations"] })).violations, selector);
  const found = violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${id} (${help}): ${target.flat().join(" ")}\n${failureSummary}`));
  assert.deepEqual(found, [], `axe, ${name}`);
}

/** Runs in the page. Half-transparent texts would have no contrast; endless animations stay. */
function endAnimations() {
  const animations = [document, ...[...document.querySelectorAll("*")].flatMap((element) => element.shadowRoot ?? [])].flatMap((root) => root.getAnimations());
  for (const animation of animations) if (animation.effect?.getComputedTiming().endTime !== Infinity) animation.finish();
}
