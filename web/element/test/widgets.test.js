/** What of a model's widget becomes CSS, payloads and charts. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { built } from "./built.js";

const { blockStyles, borderOf, colorOf, cssOf, lengthOf, spaceOf, spacingOf } = await built("widgets/css-values.ts");
const { withValues } = await built("widgets/forms.ts");
const { matches, safePattern } = await built("widgets/patterns.ts");
const { Plan } = await built("widgets/plan.ts");
const { readChart, ticksOf } = await built("widgets/chart-data.ts");
const { curveThrough } = await built("widgets/chart-curves.ts");

test("CSS that can load, escape or hide is not used", () => {
  const bad = ["url(//evil.example)", "URL(x)", "u\\72l(x)", "image-set('x' 1x)", "var(--x)", "env(x)", "attr(x)", "element(#x)", "1px; color: red", "red/**/;", '"x"', "{}", "a".repeat(300), {}, null, true];
  for (const value of bad) assert.equal(cssOf(value), null, String(value));
  for (const value of ["red", "#fff", "rgb(0 0 0 / 50%)", "calc(100% - (2px + 1em))", "linear-gradient(135deg, #1d4ed8, oklch(0.5 0.2 20))", "1 1 0%"]) assert.equal(cssOf(value), value);
});

test("lengths, spaces and borders", () => {
  assert.equal(lengthOf(40), "40px");
  assert.equal(lengthOf("40"), "40px");
  assert.equal(lengthOf(1e9), "4000px");
  assert.equal(lengthOf("50%"), "50%");
  assert.equal(spaceOf(2), "calc(var(--ck-space) * 2)");
  assert.equal(spaceOf(-5), "calc(var(--ck-space) * 0)");
  assert.equal(spaceOf("-5px"), null);
  for (const value of ["calc(1px - 20px)", "calc(0px - max(9px, 8px))", "calc(1px * -infinity)", "calc(-1 * 9px)"]) assert.equal(spaceOf(value), null, value);
  assert.equal(spaceOf("calc(1px + max(2px, 1em))"), "calc(1px + max(2px, 1em))");
  assert.deepEqual(spacingOf("padding", { x: "4px", left: 1 }), { "padding-top": null, "padding-right": "4px", "padding-bottom": null, "padding-left": "calc(var(--ck-space) * 1)" });
  assert.deepEqual(borderOf(2), { border: "2px solid var(--ck-border)" });
  assert.equal(borderOf({ y: { size: 1, color: "red-500", style: "dashed" } })["border-top"].replace(/oklch\(.*\)/, "oklch()"), "1px dashed oklch()");
  assert.equal(blockStyles({ size: 10, width: "50%", radius: "constructor", aspectRatio: "16/9" }).width, "50%");
  assert.equal(blockStyles({ radius: "constructor" })["border-radius"], null);
});

test("colours are tokens, primitives, CSS, or pairs of them", () => {
  const tokens = { secondary: "muted" };
  assert.equal(colorOf("secondary", tokens), "var(--ck-muted)");
  assert.match(colorOf("blue-500", tokens), /^oklch\(0\.630 0\.200 258\)$/);
  assert.match(colorOf("gray-1000", tokens), /^oklch\(0\.200 0\.000 0\)$/);
  assert.equal(colorOf({ light: "secondary", dark: "#fff" }, tokens), "light-dark(var(--ck-muted), #fff)");
  assert.equal(colorOf({ light: "url(x)", dark: "#fff" }, tokens), "#fff");
  for (const value of ["constructor", "__proto__"]) assert.equal(colorOf(value, tokens), value); // the browser ignores it
});

test("values of fields go into the payload by their names, and never over what it has", () => {
  const { action, ignored } = withValues({ type: "save", payload: { id: 1, todo: { id: 2 } } }, { "todo.title": "Milk", "todo.id": "9", id: "x", "a.b.c": true, "id.d": 1 });
  assert.equal(JSON.stringify(action.payload), '{"id":1,"todo":{"id":2,"title":"Milk"},"a":{"b":{"c":true}}}');
  assert.deepEqual(ignored, ["todo.id", "id", "id.d"]);
  assert.deepEqual(withValues({ type: "save", payload: [1] }, { a: 1 }), { action: { type: "save", payload: [1] }, ignored: ["a"] });
  assert.equal(JSON.stringify(withValues({ type: "save", payload: null }, Object.fromEntries([["__proto__.polluted", 1]])).action.payload), '{"__proto__":{"polluted":1}}');
  assert.equal({}.polluted, undefined);
});

test("a pattern that may take for ever is not used", () => {
  for (const pattern of ["(a+)+$", "(.*)*", "(\\w+\\s?)*$", "(a|b+){2,}", "(a|aa)+$", "((a|b))*", "(a)\\1", "(a?){30}a{30}", "(?<b>a)\\k<b>", "a*".repeat(30), "(?:a{1,40}){1,40}", "x".repeat(300), 5, ""]) assert.equal(safePattern(pattern), null, String(pattern));
  for (const pattern of ["[A-Z]{3}", "\\d+-\\d+", "(foo|bar)?", "https://.+", "[^@\\s]+@[^@\\s]+\\.[a-z]{2,}", "(?=.*[A-Z])(?=.*\\d).{8,}", "(\\d{3}-)?\\d{4}", "[(+]+?"]) assert.equal(safePattern(pattern), pattern);
});

test("a pattern is checked as a whole, where it is valid and the text is short", () => {
  assert.equal(matches("abc", "[a-z]{3}"), true);
  assert.equal(matches("abcd", "[a-z]{3}"), false);
  assert.equal(matches("b", "a|b"), true);
  for (const [text, pattern] of [["a", "["], ["a".repeat(121), "b"]]) assert.equal(matches(text, pattern), true);
});

test("a plan limits number and depth, and knows labels and required fields", () => {
  const wide = new Plan({ type: "Card", children: Array.from({ length: 100 }, () => ({ type: "Text" })) }, 10);
  assert.equal(wide.shown.size, 10);
  assert.equal(wide.isCut, true);
  let deep = { type: "Text" };
  for (let level = 0; level < 100_000; level++) deep = { type: "Box", children: [deep] };
  const limited = new Plan(deep, 1_000);
  assert.equal(limited.isTooDeep, true);
  assert.ok(limited.shown.size < 100);
  const form = new Plan({ type: "Form", children: [{ type: "Label", fieldName: "a" }, { type: "Input", name: "a", required: true }, { type: "Text", editable: { name: "b", required: true } }, null, 4, "x"] }, 100);
  assert.deepEqual([[...form.labelled], [...form.required], form.isCut], [["a"], ["a", "b"], false]);
});

test("charts stack bars, leave gaps, and have round ticks", () => {
  const data = [{ x: "a", up: 1, down: -2, more: "3" }, { x: "b", up: 4 }, null];
  const series = ["up", "down", "more"].map((dataKey) => ({ type: "bar", dataKey, stack: "s" }));
  const chart = readChart({ type: "Chart", data, series, xAxis: { dataKey: "x", labels: { b: "Bee" } } });
  assert.deepEqual(chart.categories, ["a", "Bee", ""]);
  assert.deepEqual(chart.series.map(({ spans }) => spans[0]), [[0, 1], [0, -2], [1, 4]]);
  assert.deepEqual([chart.columns, chart.min, chart.max], [1, -2, 4]);
  assert.equal(chart.series[1].values[1], null);
  assert.deepEqual(ticksOf(-2, 4), [-2, 0, 2, 4]);
  assert.deepEqual(ticksOf(0, 0.3), [0, 0.1, 0.2, 0.3]);
  assert.ok(ticksOf(0, 0).length >= 2);
  assert.ok(ticksOf(-1e15, 1e15).length < 10);
});

test("curves go through all points", () => {
  const points = [[0, 0], [10, 10], [20, 0], [30, 5]];
  for (const curve of ["linear", "monotone", "bump", "step", "stepBefore", "stepAfter", "constructor", ""]) {
    assert.match(curveThrough(points, curve), /30(V5H30| 5|V5)?$|30 5$|H30$/, curve);
    assert.equal(curveThrough([[1, 2]], curve), "");
  }
});
