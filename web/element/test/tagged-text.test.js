/** Text with tags: what an edit of the input makes of the tags. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

const { built } = await import("./built.js");
const { edited, entityOf, placedTags, replaced, tagOf, textOf } = await built("composer/tagged-text.ts");

const BOB = { type: "input_tag", id: "1", text: "Bob", data: {} };
const ANN = { type: "input_tag", id: "2", text: "Ann", data: {} };
const text = (value) => ({ type: "input_text", text: value });
const HI_BOB = [text("Hi "), BOB, text(" there")];

describe("edited", () => {
  for (const [name, before, typed, caret, after] of [
    ["typing after a tag keeps it", HI_BOB, "Hi Bob! there", 7, [text("Hi "), BOB, text("! there")]],
    ["typing before a tag keeps it", HI_BOB, "Hi, Bob there", 3, [text("Hi, "), BOB, text(" there")]],
    ["the same letter as the tag's last, typed after it", [BOB], "Bobb", 4, [BOB, text("b")]],
    ["the same letter as the tag's first, typed before it", [BOB], "BBob", 1, [text("B"), BOB]],
    ["typing into a tag makes it text", HI_BOB, "Hi Boxb there", 6, [text("Hi Boxb there")]],
    ["replacing all by other text", HI_BOB, "Bye", 3, [text("Bye")]],
    ["emptying", HI_BOB, "", 0, []],
    ["two tags side by side", [BOB, ANN], "BobxAnn", 4, [BOB, text("x"), ANN]],
    ["a line break", [BOB], "Bob\n", 4, [BOB, text("\n")]],
  ]) {
    test(name, () => assert.deepEqual(edited(before, typed, caret).content, after));
  }

  test("deleting a part of a tag deletes the tag", () => {
    assert.deepEqual(edited(HI_BOB, "Hi Bo there", 5), { content: [text("Hi  there")], caret: 3 });
    assert.deepEqual(edited([BOB, text(" and "), ANN], "Bnn", 1), { content: [], caret: 0 });
  });

  test("any edit of any text keeps text and tags in line", () => {
    const random = generator(1);
    let content = HI_BOB;
    for (let step = 0; step < 3_000; step++) {
      const old = textOf(content);
      const start = Math.floor(random() * (old.length + 1));
      const end = Math.min(old.length, start + Math.floor(random() * 4));
      const typed = ["", "b", "Bo", " ", "😀"][Math.floor(random() * 5)];
      if (random() < 0.2) content = replaced(content, start, end, random() < 0.5 ? BOB : ANN);
      else content = edited(content, old.slice(0, start) + typed + old.slice(end), start + typed.length).content;
      if (textOf(content).length > 60) content = content.slice(0, 2);
      for (const { tag, start, end } of placedTags(content)) assert.equal(textOf(content).slice(start, end), tag.text);
      assert.ok(content.every((part, index) => part.text && (part.type === "input_tag" || content[index - 1]?.type !== "input_text")));
    }
  });
});

test("a tag takes the place of what was typed for it, with a space behind", () => {
  assert.deepEqual(replaced([text("Hi @bo")], 3, 6, BOB), [text("Hi "), BOB, text(" ")]);
  assert.deepEqual(replaced([text("Hi @bo there")], 3, 6, BOB), HI_BOB);
  assert.deepEqual(replaced(HI_BOB, 0, 12, ANN), [ANN, text(" ")]);
  assert.deepEqual(replaced(HI_BOB, 0, 3, ""), [BOB, text(" there")]);
});

test("an entity survives as a tag", () => {
  const entity = { id: "7", title: "Plan", group: "Documents", interactive: true, data: { page: "2" } };
  assert.deepEqual(tagOf(entity), { type: "input_tag", id: "7", text: "Plan", group: "Documents", interactive: true, data: { page: "2" } });
  assert.deepEqual(entityOf(tagOf(entity)), entity);
  assert.deepEqual(tagOf({ id: "8", title: "Bare" }), { type: "input_tag", id: "8", text: "Bare", data: {} });
});

/** A small random generator with a seed, so that a failure comes again. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
