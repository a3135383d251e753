/** The composer without a screen: limits of files, the draft of each thread, answers to questions. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

const { built } = await import("./built.js");
const { isAccepted, maxSizeOf, sorted } = await built("composer/limits.ts");
const { Draft } = await built("chat/draft.ts");
const { AnswerDraft, submissionOf } = await built("composer/answers.ts");
const { en } = await built("locales/en.ts");

const MB = 1024 * 1024;
const file = (name, type, size = 10) => ({ name, type, size });

describe("limits of files", () => {
  test("one size for all, or the most specific pattern", () => {
    assert.equal(maxSizeOf("image/png", { maxSize: 5 }), 5);
    assert.equal(maxSizeOf("image/png", {}), 100 * MB);
    const maxSize = { "image/*": 1, "image/png": 2, "*": 3 };
    assert.deepEqual(["image/png", "IMAGE/PNG", "image/gif", "text/plain;charset=utf-8", ""].map((type) => maxSizeOf(type, { maxSize })), [2, 2, 1, 3, 3]);
    assert.equal(maxSizeOf("text/plain", { maxSize: { "": 4 } }), 4);
    assert.equal(maxSizeOf("text/plain", { maxSize: { "image/*": 4 } }), 100 * MB);
  });

  test("a type or an extension is accepted", () => {
    const accept = { "image/*": [], "application/pdf": [".pdf"], "text/markdown": [".md"] };
    for (const good of [file("a.png", "image/png"), file("A.PDF", ""), file("notes.md", ""), file("x", "application/pdf")]) assert.ok(isAccepted(good, { accept }), good.name);
    for (const bad of [file("a.txt", "text/plain"), file("pdf", ""), file("image", "imagex/png")]) assert.ok(!isAccepted(bad, { accept }), bad.name);
    assert.ok(isAccepted(file("any", ""), {}));
    assert.ok(isAccepted(file("any", ""), { accept: { "*/*": [] } }));
  });

  test("a message names the files and the limit", () => {
    const options = { enabled: true, maxSize: 2 * MB, maxCount: 3, accept: { "text/plain": [".txt"] } };
    const files = [file("big.txt", "text/plain", 3 * MB), file("huge.txt", "text/plain", 4 * MB), file("run.exe", ""), file("1.txt", "text/plain"), file("2.txt", "text/plain"), file("3.txt", "text/plain")];
    const { accepted, reasons } = sorted(files, 1, options, en, "en");
    assert.deepEqual(accepted.map(({ name }) => name), ["1.txt", "2.txt"]);
    assert.deepEqual(reasons, [
      "Not attached: big.txt and huge.txt. The limit for a file of this type is 2 MB.",
      "Not attached: run.exe. These files are accepted: .txt.",
      "Not attached: 3.txt. The limit for a message is 3 files.",
    ]);
  });
});

describe("the draft", () => {
  const TOOLS = [{ id: "search", label: "Search", icon: "globe" }, { id: "canvas", label: "Canvas", icon: "write", persistent: true }];
  const MODELS = [{ id: "small", label: "Small" }, { id: "large", label: "Large", default: true }];
  const text = (value) => [{ type: "input_text", text: value }];

  test("a model is sent where the page offers one", () => {
    const draft = new Draft(() => {});
    draft.set({ text: "Hi", selectedModelId: "gone" });
    assert.deepEqual(draft.take({ models: MODELS }), { content: text("Hi"), attachments: [], model: "large" });
    draft.set({ text: "Hi", selectedModelId: "small" });
    assert.equal(draft.take({ models: MODELS }).model, "small");
    assert.equal("model" in draft.take(), false);
  });

  test("a tool is for one message, unless it is persistent", () => {
    const changes = [];
    const draft = new Draft((toolId) => changes.push(toolId));
    draft.set({ text: "Hi", selectedToolId: "search" });
    assert.deepEqual(draft.take({ tools: TOOLS }).toolChoice, { id: "search" });
    assert.equal(draft.take({ tools: TOOLS }).toolChoice, undefined);
    draft.chooseTool("canvas");
    draft.take({ tools: TOOLS });
    assert.deepEqual(draft.take({ tools: TOOLS }).toolChoice, { id: "canvas" });
    assert.deepEqual(changes, ["search", null, "canvas"]);
  });

  test("each thread keeps what was typed in it", () => {
    const draft = new Draft(() => {});
    draft.set({ text: "for the new one", reply: "quoted" });
    draft.showThread("a");
    assert.deepEqual([draft.content, draft.quote], [[], ""]);
    draft.set({ text: "for a" });
    draft.showThread(null);
    assert.deepEqual([draft.content, draft.quote], [text("for the new one"), "quoted"]);
    draft.nameThread("b"); // it was sent
    draft.take();
    draft.showThread("a");
    assert.deepEqual(draft.content, text("for a"));
    draft.showThread(null);
    assert.deepEqual(draft.content, []);
  });

  test("a message that was not accepted comes back before what was typed since", () => {
    const draft = new Draft(() => {});
    const picture = { type: "image", id: "1", name: "a.png", mime_type: "image/png", preview_url: "https://x/1" };
    draft.set({ text: "first", reply: "quoted", attachments: [picture], selectedToolId: "search" });
    const message = draft.take({ tools: TOOLS });
    draft.set({ text: "second" });
    draft.giveBack(message);
    assert.equal(draft.content.map((part) => part.text).join(""), "first\nsecond");
    assert.deepEqual([draft.quote, draft.toolId, draft.attachments[0].attachment], ["quoted", "search", picture]);
    draft.giveBack({ text: "elsewhere" }, "b");
    draft.showThread("b");
    assert.deepEqual(draft.content, text("elsewhere"));
  });

  test("white space around the text is not sent", () => {
    const draft = new Draft(() => {});
    const tag = { type: "input_tag", id: "1", text: "Bob", data: {} };
    draft.set({ content: [...text("  Hi "), tag, ...text(" \n")] });
    assert.deepEqual(draft.take().content, [...text("Hi "), tag]);
    draft.set({ text: " \n" });
    assert.ok(draft.isEmpty);
  });
});

describe("answers to questions", () => {
  const CHOICE = { type: "multiple_choice", id: "q1", question: "Which?", options: [{ value: "a" }, { value: "b" }] };
  const MANY = { ...CHOICE, id: "q2", multiple: true };
  const FREE = { type: "freeform", id: "q3", question: "Why?" };

  test("one choice, or an own answer in its place", () => {
    const draft = new AnswerDraft(CHOICE);
    draft.choose("a", true);
    draft.choose("b", true);
    assert.deepEqual(draft.values, ["b"]);
    draft.write("c");
    assert.deepEqual(draft.answer, { values: ["c"], skipped: false });
    draft.choose("a", true);
    assert.deepEqual(draft.values, ["a"]);
  });

  test("several choices and an own answer", () => {
    const draft = new AnswerDraft(MANY);
    for (const value of ["b", "a"]) draft.choose(value, true);
    draft.write(" c ");
    assert.deepEqual(draft.values, ["a", "b", "c"]);
    draft.choose("a", false);
    draft.chooseOwn(false);
    assert.deepEqual(draft.values, ["b"]);
  });

  test("questions that are skipped, some or all", () => {
    const drafts = [CHOICE, MANY, FREE].map((question) => new AnswerDraft(question));
    assert.equal(submissionOf(drafts).status, "skipped");
    drafts[2].write("because");
    assert.deepEqual(submissionOf(drafts), {
      status: "answered",
      answers: { q1: { values: [], skipped: true }, q2: { values: [], skipped: true }, q3: { values: ["because"], skipped: false } },
    });
    drafts[2].skip();
    assert.equal(submissionOf(drafts).status, "skipped");
  });
});
