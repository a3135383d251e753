/** The page's estimate of tokens, beside what tokenizers make of the same texts. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";

import { build } from "rolldown";

const { output } = await build({ input: join(import.meta.dirname, "../src/speed.ts"), write: false });
const { countTokens, Speedometer } = await import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);

/** Texts with their number of tokens for SmolLM2, the embedded model. */
const TEXTS = [
  ["The quick brown fox jumps over the lazy dog.", 10],
  ["| Fruit | Colour |\n|:------|:------:|\n| Apple | red |\n", 20],
  ["def greet(name: str) -> str:\n    return f\"Hello, {name}!\"\n", 21],
  ["我想设置我的偏好。", 17],
  ["", 0],
];

test("the estimate is within a factor of two of a tokenizer's count", () => {
  for (const [text, tokens] of TEXTS) {
    const estimate = countTokens(text);
    assert.ok(estimate >= tokens / 2 && estimate <= tokens * 2, `${text}: ${estimate} instead of ${tokens}`);
  }
});

test("the first text sets the time to the first token, and a later answer replaces an earlier one", () => {
  const reports = [];
  const speedometer = new Speedometer((speed) => reports.push(speed));
  const first = speedometer.start(false);
  first.text("Hello");
  assert.equal(reports.at(-1).isStreaming, true);
  assert.ok(reports.at(-1).firstTokenMs >= 0);
  const attached = speedometer.start(true);
  assert.equal(reports.at(-1).isStreaming, false);
  const { length } = reports;
  first.text("late");
  first.end();
  assert.equal(reports.length, length);
  attached.text("Hello");
  assert.equal(reports.at(-1).firstTokenMs, null); // nobody waited for it
});
