/** The palette is readable whatever the page chooses. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { built } from "./built.js";

const { paletteOf } = await built("theme/palette.ts");
const color = await built("theme/color.ts");
const { USUAL } = await built("theme/usual.ts");

const TEXTS = ["fg", "muted", "accent-text", "danger", "warning", "success", "info", "discovery", "icon"];
const BACKGROUNDS = ["bg", "surface", "surface-strong", "elevated"];
const TONES = ["danger", "warning", "success", "info", "discovery"];

/** Every pair of text and background that is used, with the contrast that it needs. */
function assertReadable(palette, name) {
  const pairs = [
    ...TEXTS.flatMap((text) => BACKGROUNDS.map((background) => [text, background, 4.5])),
    ...TONES.map((tone) => [tone, `${tone}-soft`, 4.5]),
    ...TONES.map((tone) => [`on-${tone}`, `${tone}-solid`, 4.5]),
    ["on-accent", "accent", 4.5],
    ["on-user", "user", 4.5],
    ["accent-text", "accent-soft", 4.5],
    ...BACKGROUNDS.flatMap((background) => [["border-strong", background, 3], ["focus", background, 3]]),
  ];
  for (const [text, background, needed] of pairs) {
    const contrast = color.contrast(color.parse(palette[text], [1, 1, 1]), color.parse(palette[background], [1, 1, 1]));
    assert.ok(contrast >= needed, `${name}: ${text} ${palette[text]} on ${background} ${palette[background]} has ${contrast.toFixed(2)}, needs ${needed}`);
  }
}

const PRIMARIES = ["#000000", "#ffffff", "#ffff00", "#ff0000", "#2563eb", "#777777", "#fafafa", "#101010", "#00ff88", "rgb(120 120 120 / 40%)"];
const SURFACES = [
  ["#ffffff", "#000000"],
  ["#ffffff", "#eeeeee"], // unreadable
  ["#777777", "#777777"],
  ["#808080", "#000000"],
  ["#0b3d2e", "#d7f5e8"],
  ["#ffe4b5", "#553300"],
  ["#000000", "#00ff00"],
];

describe("contrast", () => {
  for (const scheme of ["light", "dark"]) {
    test(`${scheme}, as it comes`, () => assertReadable(paletteOf(scheme), scheme));

    test(`${scheme}, each accent at each level`, () => {
      for (const primary of PRIMARIES) for (const level of [0, 1, 2, 3]) assertReadable(paletteOf(scheme, { accent: { primary, level } }), `${primary}/${level}`);
    });

    test(`${scheme}, each tint and shade`, () => {
      for (const hue of [0, 60, 120, 220, 300]) {
        for (const tint of [0, 3, 6, 9]) for (const shade of [-4, 0, 4]) assertReadable(paletteOf(scheme, { grayscale: { hue, tint, shade } }), `${hue}/${tint}/${shade}`);
      }
    });

    test(`${scheme}, each pair of surfaces with each accent`, () => {
      for (const [background, foreground] of SURFACES) {
        for (const primary of PRIMARIES) assertReadable(paletteOf(scheme, { surface: { background, foreground }, accent: { primary, level: 2 } }), `${background} ${foreground} ${primary}`);
      }
    });
  }

  test("the page's own colours are kept where they are readable", () => {
    const palette = paletteOf("light", { surface: { background: "#fffaf0", foreground: "#221100" }, accent: { primary: "#2563eb", level: 3 } });
    assert.equal(palette.bg, "#fffaf0");
    assert.equal(palette.fg, "#221100");
    assert.equal(palette.accent, "#2563eb");
    assert.equal(palette.user, "#2563eb");
  });

  test("a colour that is none leaves the usual one", () => {
    assert.deepEqual(paletteOf("light", { accent: { primary: "no colour", level: 0 } }).accent, paletteOf("light").accent);
    assert.deepEqual(paletteOf("dark", { surface: { background: "#102030" } }).fg, paletteOf("dark").fg);
  });
});

test("the colours in the script are those that the calculation gives", () => {
  const [light, dark] = [paletteOf("light"), paletteOf("dark")];
  assert.deepEqual(USUAL, Object.fromEntries(Object.keys(light).map((name) => [name, [light[name], dark[name]]])));
});

test("colours are read in the notations of CSS and of the canvas", () => {
  const read = (text) => color.hex(color.parse(text, [0, 0, 0]));
  assert.equal(read("#abc"), "#aabbcc");
  assert.equal(read("#aabbcc"), "#aabbcc");
  assert.equal(read("#ffffff80"), "#808080");
  assert.equal(read("rgb(1, 2, 3)"), "#010203");
  assert.equal(read("rgba(255, 255, 255, 0.5)"), "#808080");
  assert.equal(read("rgb(255 255 255 / 50%)"), "#808080");
  assert.equal(read("color(srgb 1 0 0.2)"), "#ff0033");
  assert.equal(color.parse("url(x)", [0, 0, 0]), null);
  assert.equal(color.parse("rgb(1 2)", [0, 0, 0]), null);
});
