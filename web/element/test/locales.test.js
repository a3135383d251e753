/** Each language has all texts, in its own script, with the values in them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { built } from "./built.js";

const { en } = await built("locales/en.ts");

const LETTERS = { de: /\p{Script=Latin}/u, es: /\p{Script=Latin}/u, fr: /\p{Script=Latin}/u, zh: /\p{Script=Han}/u, ja: /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u, ar: /\p{Script=Arabic}/u };
const COUNTS = [0, 1, 2, 3, 11, 100, 1234];

/** What the functions among the texts are called with: the names of their parameters say whether it is a number. */
const isCount = (text) => /^\(?\s*(count|number|status)\b/.test(text.toString());

for (const [language, letters] of Object.entries(LETTERS)) {
  describe(language, async () => {
    const { strings } = await built(`locales/${language}.ts`);

    test("has the same keys as English", () => assert.deepEqual(Object.keys(strings).sort(), Object.keys(en).sort()));

    test("has words of its script in every text", () => {
      for (const [key, text] of Object.entries(strings)) {
        const shown = typeof text === "function" ? text("", "", "") : text;
        assert.match(shown, letters, key);
      }
    });

    test("has a text in the same form, with the same values", () => {
      for (const [key, text] of Object.entries(strings)) {
        assert.equal(typeof text, typeof en[key], key);
        if (typeof text !== "function") continue;
        assert.equal(text.length, en[key].length, `${key} takes as many values`);
        const values = isCount(en[key]) ? COUNTS.map((count) => [count, 7, 8]) : [["«a»", "«b»", "«c»"]];
        for (const value of values) assert.doesNotMatch(text(...value), /undefined|NaN|null/, key);
        if (!isCount(en[key])) assert.ok(text(...values[0]).includes("«a»"), `${key} shows its first value`);
      }
    });
  });
}

test("Arabic counts with its five forms", async () => {
  const { strings } = await built("locales/ar.ts");
  assert.deepEqual([1, 2, 3, 11, 100].map(strings.sources), ["مصدر واحد", "مصدران", "3 مصادر", "11 مصدرًا", "100 مصدر"]);
});
