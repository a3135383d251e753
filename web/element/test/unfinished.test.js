/** Markdown whose end has not arrived yet. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { built } from "./built.js";

const { completed, withoutUnclearEnd } = await built("markdown/unfinished.ts");

describe("markup that is open at the end", () => {
  const CASES = {
    "a **bold": "a **bold**",
    "a **bold*": "a **bold**",
    "a **bold**": "a **bold**",
    "a **bold ": "a **bold**",
    "a **": "a ",
    "a *it **both": "a *it **both***",
    "a ***both": "a ***both***",
    "a ***both** it": "a ***both** it*",
    "_it": "_it_",
    "snake_case_na": "snake_case_na",
    "2 * 3 * 4": "2 * 3 * 4",
    "5*3": "5*3",
    "~~gone": "~~gone~~",
    "~~gone~": "~~gone~~",
    "about ~5": "about ~5",
    "run `code": "run `code`",
    "run ``a ` b": "run ``a ` b``",
    "run `": "run ",
    "`**` and **b": "`**` and **b**",
    "see [the si": "see the si",
    "see [the site]": "see the site",
    "see [the site](https://exa": "see the site",
    "see [the site](https://example.com)": "see [the site](https://example.com)",
    "see [the **si": "see the **si**",
    "see [a [b] c": "see a [b] c",
    "array[0": "array[0",
    "array[0]": "array[0]",
    "[1] said": "[1] said",
    "![pic](https://exa": "",
    "a \\": "a ",
    "a \\*b": "a \\*b",
    "\\(a_b": "\\(a_b\\)",
    "AT&am": "AT",
  };
  for (const [open, closed] of Object.entries(CASES)) test(JSON.stringify(open), () => assert.equal(completed(open), closed));
});

describe("a last line that is not clear yet is not shown", () => {
  const HIDDEN = ["-", "- ", "* ", "1", "12.", "12. ", "#", "### ", "---", "===", "```", "```pyth", "~~~", "> ", ">", "|", "| a | b |", "| a |\n|--", "- [", "- [ ]", "- [x] ", "[name]: http", "> - ", "- ```js"];
  for (const line of HIDDEN) test(JSON.stringify(line), () => assert.equal(withoutUnclearEnd(`Text\n\n${line}`), "Text\n\n"));

  const SHOWN = ["- a", "1. a", "# a", "a -", "**a", "| a |\n|---|\n| b", "| a |\n|---|\n", "> a", "```js\n", "- [x] a", "2026 was", "[name]"];
  for (const line of SHOWN) test(JSON.stringify(line), () => assert.equal(withoutUnclearEnd(`Text\n\n${line}`), `Text\n\n${line}`));
});
