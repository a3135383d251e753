/** Checks with axe-core what is shown: all rules, of WCAG and of good practice. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * Returns what axe finds in a page or frame, or in what `selector` matches there: then without the rules about whole
 * pages. Ends animations first.
 */
export async function violationsIn(frame, selector) {
  if (!(await frame.evaluate(() => "axe" in window))) await frame.evaluate(source);
  await frame.evaluate(endAnimations);
  const context = selector && { include: [[selector]] };
  const violations = await frame.evaluate(async (context) => (await window.axe.run(context ?? document, { resultTypes: ["violations"] })).violations, context);
  return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${id} (${help}): ${target.flat().join(" ")}\n${failureSummary}`));
}

/** Fails with a list of what axe finds in the element, or in what `selector` matches. */
export async function assertAccessible(page, name, selector = "openai-chatkit, open-chatkit") {
  assert.deepEqual(await violationsIn(page, selector), [], `axe, ${name}`);
}

/** Runs in the page. Half-transparent texts would have no contrast; endless animations stay. */
function endAnimations() {
  const animations = [document, ...[...document.querySelectorAll("*")].flatMap((element) => element.shadowRoot ?? [])].flatMap((root) => root.getAnimations());
  for (const animation of animations) if (animation.effect?.getComputedTiming().endTime !== Infinity) animation.finish();
}
