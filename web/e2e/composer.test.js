/** The composer of the open element: text and tags, files, menus, dictation, questions, and what it keeps. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { assertAccessible } from "./axe.js";
import { openChat } from "./chat.js";
import { open } from "./elements/open.js";
import { setStage } from "./stage.js";

const MENUS = `{
  api: { url: "/chatkit", domainKey: "x", uploadStrategy: { type: "two_phase" } },
  composer: {
    placeholder: "Write a message",
    attachments: { enabled: true, maxSize: { "image/*": 1024 * 1024, "*": 2 * 1024 * 1024 }, maxCount: 2 },
    dictation: { enabled: true },
    tools: [
      { id: "clock", label: "Tell the time", shortLabel: "Clock", icon: "clock", placeholderOverride: "Where?" },
      { id: "canvas", label: "Canvas", icon: "write", persistent: true },
      { id: "search", label: "Search", icon: "globe", pinned: true },
    ],
    models: [{ id: "demo", label: "Small" }, { id: "demo-2", label: "Large", description: "Thinks longer", default: true }, { id: "old", label: "Old", disabled: true }],
  },
  disclaimer: { text: "Answers may be **wrong**." },
  entities: {
    showComposerMenu: true,
    onTagSearch: async (query) => [
      { id: "p1", title: "Harry Potter", group: "People", icon: "user", interactive: true, data: { house: "Gryffindor" } },
      { id: "d1", title: "Quarterly plan", group: "Documents", icon: "document" },
      { id: "p2", title: "Hermione Granger", group: "People", icon: "user" },
    ].filter(({ title }) => title.toLowerCase().includes(query.toLowerCase())),
    onClick: (entity) => { window.clicked = entity; },
    onRequestPreview: async ({ title }) => ({ preview: { type: "Basic", children: [{ type: "Text", value: "About " + title }] } }),
  },
  commands: {
    enabled: true,
    onSearch: async (query) => [{ id: "sum", label: "Summarise", group: "Writing" }, { id: "fruit", label: "Fruit", group: "Writing" }].filter(({ label }) => label.toLowerCase().includes(query.toLowerCase())),
    onSelect: async ({ id }) => {
      if (id === "fruit") return { type: "menu", commands: [{ id: "apple", label: "Apple" }, { id: "pear", label: "Pear" }] };
      if (id === "pear") return { type: "entity", entity: { id: "f2", title: "Pear" } };
      window.selected = id;
    },
  },
}`;
const PLAIN = `{ api: { url: "/chatkit", domainKey: "x", uploadStrategy: { type: "two_phase" } }, composer: { attachments: { enabled: true } } }`;
const DIRECT = PLAIN.replace(`{ type: "two_phase" }`, `{ type: "direct", uploadUrl: "/api/attachments" }`);
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC", "base64");

const picture = { name: "red.png", mimeType: "image/png", buffer: PNG };
const notes = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("some notes") };

const value = (chat) => chat.composer.inputValue();
const option = (chat, name) => chat.root.getByRole("option", { name });
const menuEntry = (chat, name) => chat.root.getByRole("menuitemradio", { name }).or(chat.root.getByRole("menuitem", { name }));
const toast = (chat, text) => chat.root.locator("ck-toasts").getByText(text);
const chip = (chat, name) => chat.attachments.filter({ hasText: name });
const uploaded = (chat, name) => chip(chat, name).getByText(/byte|kB|MB/).waitFor();
const input = async (chat, type = "threads.create", index = 0) => (await chat.posted(type, index + 1))[index].params.input;
const call = (chat, method, ...args) => chat.root.evaluate((element, [method, args]) => element[method](...args), [method, args]);

/** Gives the element files as if the user dropped or pasted them. */
async function give(chat, kind, files) {
  const target = kind === "paste" ? chat.composer : chat.root;
  await target.evaluate(
    (element, { kind, files }) => {
      const data = new DataTransfer();
      for (const { name, type, text } of files) data.items.add(new File([text], name, { type }));
      const options = { bubbles: true, cancelable: true, composed: true };
      if (kind === "paste") element.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: data }));
      else element.dispatchEvent(new DragEvent(kind, { ...options, dataTransfer: data }));
    },
    { kind, files },
  );
}

describe("the composer", { concurrency: 3 }, () => {
  const stage = setStage({ CHATKIT_DEMO_TOKENS_PER_SECOND: "60", CHATKIT_MODELS: '["demo", "demo-2"]', CHATKIT_TOOLS: '[{"id": "current_time", "label": "Clock", "icon": "clock"}]' }, open);
  const withMenus = (t, options) => openChat(t, stage, { bare: MENUS.replaceAll('"clock", label', '"current_time", label'), ...options });

  test("Enter sends, Shift+Enter and an input method's Enter do not; the field grows with its text", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    assert.equal(await chat.sendButton.isDisabled(), true);
    await call(chat, "focusComposer");
    await chat.page.keyboard.type("one");
    const low = (await chat.composer.boundingBox()).height;
    await chat.page.keyboard.press("Shift+Enter");
    await chat.page.keyboard.type("two");
    await chat.until(async () => (await chat.composer.boundingBox()).height > low + 10, "a second line");
    const session = await chat.context.newCDPSession(chat.page);
    await session.send("Input.imeSetComposition", { selectionStart: 1, selectionEnd: 1, text: "に" });
    await chat.composer.evaluate((field) => field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true })));
    assert.equal(chat.posts("threads.create").length, 0);
    await session.send("Input.insertText", { text: "日" });
    assert.equal(await value(chat), "one\ntwo日");
    await chat.page.keyboard.press("Enter");
    assert.deepEqual(await input(chat), { content: [{ type: "input_text", text: "one\ntwo日" }], quoted_text: "", attachments: [], inference_options: {} });
    await chat.until(async () => (await value(chat)) === "", "an empty field");
    await chat.until(async () => (await chat.composer.boundingBox()).height === low, "the field's first size");
  });

  test("what is typed during an answer is kept, and is sent after it", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    await chat.send("long, please");
    await chat.stopButton.waitFor();
    await chat.composer.pressSequentially("and then");
    await chat.composer.press("Enter");
    assert.equal(await value(chat), "and then");
    assert.equal(chat.posts("threads.add_user_message").length, 0);
    await chat.stop();
    await chat.until(() => chat.sendButton.isEnabled(), "Send");
    assert.equal(await value(chat), "and then");
    await chat.composer.press("Enter");
    assert.equal((await input(chat, "threads.add_user_message")).content[0].text, "and then");
  });

  test("a message that is not accepted comes back, with its files and its quote", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    await chat.page.route("**/chatkit", (route) => (route.request().postDataJSON().type === "threads.create" ? route.fulfill({ status: 429, json: { message: "Not now", code: "rate_limited" } }) : route.fallback()));
    await chat.attach(notes);
    await uploaded(chat, "notes.txt");
    await call(chat, "setComposerValue", { text: "Keep me", reply: "the quoted words" });
    await chat.composer.press("Enter");
    await toast(chat, /Too many requests/).waitFor();
    assert.equal(await value(chat), "Keep me");
    await uploaded(chat, "notes.txt");
    await chat.root.locator("ck-composer").getByText("the quoted words").waitFor();
    const { quoted_text, attachments } = await input(chat);
    assert.deepEqual([quoted_text, attachments.length], ["the quoted words", 1]);
    await chat.root.getByRole("button", { name: "Remove the quote" }).click();
    await chat.root.locator("ck-composer").getByText("the quoted words").waitFor({ state: "detached" });
  });

  test("each thread keeps its own unsent text", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    await chat.say("Hello");
    const { thread } = chat;
    await chat.composer.fill("for the first thread");
    await chat.newChat();
    await chat.until(async () => (await value(chat)) === "", "an empty field");
    await chat.composer.fill("for a new one");
    await call(chat, "setThreadId", thread);
    await chat.until(async () => (await value(chat)) === "for the first thread", "the first text");
    await chat.newChat();
    await chat.until(async () => (await value(chat)) === "for a new one", "the other text");
  });

  test("what is typed before the suggestions' code has come gets suggestions, too", async (t) => {
    const chat = await withMenus(t);
    let load;
    const isAsked = new Promise((resolve) => {
      void chat.page.route(/\/element\/input-extras-/, (route) => {
        load = () => route.continue();
        resolve();
      });
    });
    await chat.page.reload({ waitUntil: "commit" });
    await isAsked;
    await chat.composer.pressSequentially("@h");
    assert.equal(await option(chat, "Hermione Granger").count(), 0);
    await load();
    await option(chat, "Hermione Granger").waitFor();
  });

  test("an entity becomes a tag: keys, undo, deletion, and on the wire", async (t) => {
    const chat = await withMenus(t);
    await chat.composer.fill("Ask ");
    await chat.composer.press("End");
    await chat.composer.pressSequentially("@h");
    await option(chat, "Hermione Granger").waitFor();
    assert.equal(await chat.composer.getAttribute("aria-activedescendant"), await option(chat, "Harry Potter").getAttribute("id"));
    await assertAccessible(chat.page, "suggestions");
    await chat.composer.press("ArrowDown");
    await chat.until(async () => (await option(chat, "Hermione").getAttribute("aria-selected")) === "true", "the second entity");
    await chat.composer.press("ArrowUp");
    await chat.composer.press("Enter");
    await chat.until(async () => (await value(chat)) === "Ask Harry Potter ", "the tag");
    const tag = chat.root.locator("ck-input mark");
    assert.equal(await tag.innerText(), "Harry Potter");
    // The arrow key stops at the tag as a whole, and one Backspace deletes all of it; undo brings it back.
    await chat.composer.press("Backspace");
    await chat.composer.press("Backspace");
    await chat.until(async () => (await value(chat)) === "Ask ", "the text without the tag");
    await tag.waitFor({ state: "detached" });
    await chat.composer.press("Control+z");
    await tag.waitFor();
    await chat.composer.press("End");
    await chat.composer.pressSequentially("?");
    const text = await value(chat);
    assert.match(text, /^Ask Harry Potter ?\?$/);
    await chat.composer.press("Enter");
    const { content } = await input(chat);
    assert.deepEqual(content[1], { type: "input_tag", id: "p1", text: "Harry Potter", group: "People", interactive: true, data: { house: "Gryffindor" } });
    assert.deepEqual(content.map((part) => part.text).join(""), text);
    await chat.userMessages.filter({ hasText: "Ask Harry Potter" }).waitFor();
  });

  test("a tag shows its preview, and the page hears of a click", async (t) => {
    const chat = await withMenus(t);
    await call(chat, "setComposerValue", { content: [{ type: "input_text", text: "About " }, { type: "input_tag", id: "p1", text: "Harry Potter", data: {}, interactive: true }] });
    const tag = chat.root.locator("ck-input mark");
    const preview = chat.root.locator("ck-entity-preview").getByText("About Harry Potter");
    let x, y;
    await chat.until(async () => {
      const box = await tag.boundingBox(); // while the page loads, the composer moves
      [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
      await chat.page.mouse.move(5, 5);
      await chat.page.mouse.move(x, y);
      return preview.waitFor({ timeout: 5_000 }).then(() => true, () => false);
    }, "the preview of the tag");
    await chat.screenshot("entity-preview");
    await chat.page.mouse.click(x, y);
    assert.deepEqual(await chat.page.evaluate(() => window.clicked), { id: "p1", title: "Harry Potter", data: {}, interactive: true });
    await chat.page.mouse.move(5, 5);
    await chat.root.locator("ck-entity-preview").waitFor({ state: "detached" });
    // With the keyboard: the arrow key selects the tag.
    await chat.composer.press("End");
    await chat.composer.press("ArrowLeft");
    await chat.root.locator("ck-entity-preview").waitFor();
  });

  test("Enter takes what the last query finds, however slow the search is", async (t) => {
    const slow = `onTagSearch: async (query) => { if (query.length > 1) await new Promise((resolve) => { window.answer = resolve; }); return [{ id: query, title: "Found for " + query }]; }`;
    const chat = await openChat(t, stage, { bare: `{ api: { url: "/chatkit", domainKey: "x" }, entities: { ${slow} } }` });
    await chat.composer.pressSequentially("@a");
    await option(chat, "Found for a").waitFor();
    await chat.composer.pressSequentially("b");
    await chat.composer.press("Enter");
    await chat.page.waitForFunction(() => window.answer);
    assert.equal(await value(chat), "@ab");
    await chat.page.evaluate(() => window.answer());
    await chat.until(async () => (await value(chat)) === "Found for ab ", "the entity of the last query");
    assert.equal(chat.posts("threads.create").length, 0);
  });

  test("@ has a button, Escape closes the list, and an address is no mention", async (t) => {
    const chat = await withMenus(t);
    await chat.root.getByRole("button", { name: "Mention something" }).click();
    await option(chat, "Quarterly plan").waitFor();
    assert.deepEqual(await chat.root.getByRole("group").evaluateAll((groups) => groups.map((group) => group.getAttribute("aria-label")).filter(Boolean)), ["People", "Documents"]);
    await chat.composer.press("Escape");
    await option(chat, "Quarterly plan").waitFor({ state: "detached" });
    await chat.composer.pressSequentially("h");
    await chat.composer.fill("mail ann@example.com");
    await chat.composer.press("Enter");
    assert.equal((await input(chat)).content[0].text, "mail ann@example.com");
    assert.equal(await chat.root.getByRole("listbox").count(), 0);
  });

  test("/ offers the page's commands and those of the composer", async (t) => {
    const chat = await withMenus(t);
    await chat.composer.pressSequentially("/");
    for (const name of ["Summarise", "Fruit", "Attach files", "History", "Canvas", "Small"]) await option(chat, name).waitFor();
    assert.equal(await option(chat, "New chat").count(), 0); // it is one
    await chat.screenshot("commands");
    await chat.composer.pressSequentially("summ");
    await option(chat, "Fruit").waitFor({ state: "detached" });
    await chat.composer.press("Enter");
    await chat.page.waitForFunction(() => window.selected === "sum");
    await chat.until(async () => (await value(chat)) === "", "an empty field");
    await chat.composer.pressSequentially("Eat /fru");
    await option(chat, "Summarise").waitFor({ state: "detached" });
    await option(chat, "Fruit").click();
    await option(chat, "Pear").waitFor();
    await chat.composer.press("ArrowDown");
    await chat.composer.press("Enter");
    await chat.until(async () => (await value(chat)) === "Eat Pear ", "the entity");
    await chat.composer.pressSequentially("/canv");
    await option(chat, "Fruit").waitFor({ state: "detached" });
    await chat.composer.press("Enter");
    await chat.root.getByRole("button", { name: "Stop using Canvas" }).waitFor();
    await chat.composer.press("Enter");
    const { content, inference_options } = await input(chat);
    assert.deepEqual(content, [{ type: "input_text", text: "Eat " }, { type: "input_tag", id: "f2", text: "Pear", data: {} }]);
    assert.deepEqual(inference_options, { tool_choice: { id: "canvas" }, model: "demo-2" });
  });

  test("tools and models: menus, pinned and persistent ones, events, placeholders", async (t) => {
    const chat = await withMenus(t);
    await chat.root.getByRole("button", { name: "Add files and tools" }).click();
    await menuEntry(chat, "Tell the time").waitFor();
    await assertAccessible(chat.page, "menu");
    await chat.page.keyboard.press("t");
    await chat.page.keyboard.press("Enter");
    await chat.page.getByPlaceholder("Where?").waitFor();
    await chat.root.getByRole("button", { name: "Model: Large" }).click();
    assert.equal(await menuEntry(chat, "Large").getAttribute("aria-checked"), "true");
    assert.equal(await menuEntry(chat, "Old").getAttribute("aria-disabled"), "true");
    await chat.page.keyboard.press("ArrowUp");
    await chat.page.keyboard.press("Enter");
    await chat.root.getByRole("button", { name: "Model: Small" }).waitFor();
    await chat.say("Paris");
    assert.deepEqual((await input(chat)).inference_options, { tool_choice: { id: "current_time" }, model: "demo" });
    await chat.page.getByPlaceholder("Write a message").waitFor();
    const pinned = chat.root.getByRole("button", { name: "Search", exact: true });
    await pinned.click();
    await chat.root.getByRole("button", { name: "Search", exact: true, pressed: true }).waitFor();
    await pinned.click();
    await call(chat, "setComposerValue", { selectedToolId: "canvas", selectedModelId: "demo-2" });
    await chat.root.getByRole("button", { name: "Stop using Canvas" }).waitFor();
    assert.deepEqual((await chat.events("tool.change")).map(({ detail }) => detail.toolId), ["current_time", null, "search", null, "canvas"]);
    await chat.root.getByRole("button", { name: "Model: Large" }).waitFor();
  });

  test("a part that cannot be loaded is explained, and all else works", async (t) => {
    const chat = await withMenus(t);
    await chat.page.route(/\/element\/(menu|dictation|input-extras|questions)-/, (route) => route.abort());
    await chat.reload();
    const model = chat.root.getByRole("button", { name: /Model/ });
    await model.click();
    await toast(chat, /could not be loaded/).waitFor();
    assert.equal(await model.getAttribute("aria-expanded"), "false");
    await chat.dictate();
    await chat.until(async () => (await chat.events("error")).length === 2, "both errors");
    await chat.composer.fill("Hello @harry");
    await chat.composer.press("Enter");
    assert.equal((await input(chat)).content[0].text, "Hello @harry");
  });

  test("a menu gives the focus back on Escape and closes on a press elsewhere", async (t) => {
    const chat = await withMenus(t);
    const model = chat.root.getByRole("button", { name: /Model/ });
    await model.click();
    await menuEntry(chat, "Small").waitFor();
    await chat.page.keyboard.press("Escape");
    await chat.root.getByRole("menu").waitFor({ state: "detached" });
    assert.equal(await model.evaluate((button) => button.getRootNode().activeElement === button), true);
    await model.click();
    await menuEntry(chat, "Small").waitFor();
    await chat.page.mouse.click(300, 120);
    await chat.root.getByRole("menu").waitFor({ state: "detached" });
  });

  test("files are uploaded in two phases; a removed one is deleted", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    await chat.attach(picture, notes);
    await uploaded(chat, "notes.txt");
    await uploaded(chat, "red.png");
    assert.equal(await chip(chat, "red.png").locator("img").evaluate((img) => img.naturalWidth), 1);
    await assertAccessible(chat.page, "attachments");
    assert.deepEqual(chat.posts("attachments.create").map(({ params }) => params), [
      { name: "red.png", size: PNG.length, mime_type: "image/png" },
      { name: "notes.txt", size: 10, mime_type: "text/plain" },
    ]);
    await chat.root.getByRole("button", { name: "Remove notes.txt" }).click();
    const [{ params }] = await chat.posted("attachments.delete");
    assert.match(params.attachment_id, /^atc_/);
    await chat.sendButton.click();
    const sent = await input(chat);
    assert.deepEqual([sent.content, sent.attachments.length], [[], 1]);
    await chat.userMessages.getByRole("img", { name: "red.png" }).waitFor();
  });

  test("the second phase may be a form, and has the headers that the server asked for", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    await chat.page.route("**/chatkit", async (route) => {
      if (route.request().postDataJSON().type !== "attachments.create") return route.fallback();
      const response = await route.fetch();
      const created = await response.json();
      await route.fulfill({ response, json: { ...created, upload_descriptor: { ...created.upload_descriptor, method: "POST", headers: { "x-asked-for": "yes" } } } });
    });
    const second = chat.page.waitForRequest("**/api/attachments/*/content*");
    await chat.attach(notes);
    const request = await second;
    assert.equal(request.method(), "POST");
    assert.equal(request.headers()["x-asked-for"], "yes");
    assert.match(request.headers()["content-type"], /^multipart\/form-data/);
    assert.equal(request.headers()["chatkit-frame-instance-id"], chat.posts("attachments.create")[0].headers["chatkit-frame-instance-id"]);
    await uploaded(chat, "notes.txt");
    await chat.say("Look");
    assert.deepEqual(await stage.server.sql("SELECT name, status FROM attachments WHERE thread_id = ?", chat.thread), [{ name: "notes.txt", status: "stored" }]);
  });

  test("the direct strategy, and a page's own fetch", async (t) => {
    const chat = await openChat(t, stage, { bare: DIRECT });
    await chat.attach(notes);
    await uploaded(chat, "notes.txt");
    assert.equal(chat.posts("attachments.create").length, 0);
    const own = DIRECT.replace("{ url:", `{ fetch: (url, init) => { (window.fetched ??= []).push(new URL(url, location).pathname); return fetch(url, init); }, url:`);
    const other = await openChat(t, stage, { bare: own });
    await other.attach(notes);
    await uploaded(other, "notes.txt");
    assert.ok((await other.page.evaluate(() => window.fetched)).includes("/api/attachments"));
    await other.say("Look");
    assert.equal((await input(other)).attachments.length, 1);
  });

  test("a failed upload says why, and Retry sends it again", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    let mayPass = false;
    await chat.page.route("**/api/attachments/*/content*", (route) => (mayPass ? route.fallback() : route.fulfill({ status: 507, json: { message: "Your space is full.", code: "full" } })));
    await chat.composer.fill("With a file");
    await chat.attach(notes);
    await chip(chat, "notes.txt").getByText("Your space is full.").waitFor();
    await toast(chat, "notes.txt was not uploaded: Your space is full.").waitFor();
    await assertAccessible(chat.page, "failed upload");
    assert.equal(await chat.sendButton.isDisabled(), true);
    assert.equal((await chat.events("error")).length, 1);
    await chat.screenshot("failed-upload");
    mayPass = true;
    await chat.root.getByRole("button", { name: "Retry: notes.txt" }).click();
    await uploaded(chat, "notes.txt");
    await chat.say("With a file");
    assert.equal((await input(chat)).attachments.length, 1);
  });

  test("an upload shows its progress, blocks Send, and ends when it is removed", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    let held;
    const reached = new Promise((resolve) => {
      void chat.page.route("**/api/attachments/*/content*", (route) => {
        held = route;
        resolve();
      });
    });
    await chat.composer.fill("Wait");
    await chat.attach(notes);
    await reached;
    await chat.root.getByRole("progressbar", { name: "Uploading notes.txt" }).waitFor();
    assert.equal(await chat.sendButton.isDisabled(), true);
    await chat.root.getByRole("button", { name: "Remove notes.txt" }).click();
    await chat.posted("attachments.delete");
    await held.abort().catch(() => {});
    await chat.until(() => chat.sendButton.isEnabled(), "Send");
    assert.equal((await chat.events("error")).length, 0);
  });

  test("files are pasted, dropped and given by the page; limits are explained", async (t) => {
    const chat = await withMenus(t);
    const hint = chat.root.getByText("Drop files here");
    await chat.until(async () => {
      await give(chat, "dragover", [{ name: "a.txt", type: "text/plain", text: "a" }]); // browsers repeat it
      return await hint.isVisible();
    }, "the hint");
    await chat.screenshot("drop");
    await give(chat, "drop", [{ name: "a.txt", type: "text/plain", text: "a" }]);
    await uploaded(chat, "a.txt");
    assert.equal(await hint.count(), 0);
    await give(chat, "paste", [{ name: "pasted.txt", type: "text/plain", text: "b" }]);
    await uploaded(chat, "pasted.txt");
    await chat.root.evaluate((element) => element.setComposerValue({ files: [new File(["c"], "third.txt", { type: "text/plain" })] }));
    await toast(chat, "Not attached: third.txt. The limit for a message is 2 files.").waitFor();
    await chat.attach({ name: "huge.png", mimeType: "image/png", buffer: Buffer.alloc(1024 * 1024 + 1) });
    await toast(chat, "Not attached: huge.png. The limit for a file of this type is 1 MB.").waitFor();
    assert.equal(await chat.attachments.count(), 2);
    assert.equal(chat.posts("attachments.create").length, 2);
  });

  test("text of a document that comes with a picture is pasted as text", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    const isDefault = await chat.composer.evaluate((field) => {
      const data = new DataTransfer();
      data.setData("text/plain", "words");
      data.setData("text/html", "<b>words</b>");
      data.items.add(new File(["x"], "image.png", { type: "image/png" }));
      return field.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true, composed: true }));
    });
    assert.equal(isDefault, true);
    assert.equal(await chat.attachments.count(), 0);
  });

  test("dictation: recorded, transcribed, inserted at the caret; cancelled; not allowed", async (t) => {
    const chat = await withMenus(t);
    await chat.page.route("**/chatkit", (route) => (route.request().postDataJSON().type === "input.transcribe" ? route.fulfill({ json: { text: " to be " } }) : route.fallback()));
    await chat.composer.fill("Where? or not");
    await chat.composer.evaluate((field) => field.setSelectionRange(6, 6));
    await chat.dictate();
    await chat.root.getByRole("img", { name: "Recording" }).waitFor();
    await assertAccessible(chat.page, "dictation");
    await chat.screenshot("dictation");
    await chat.root.getByRole("button", { name: "Finish dictation" }).click();
    await chat.until(async () => (await value(chat)) === "Where? to be or not", "the words");
    const [{ params }] = await chat.posted("input.transcribe");
    assert.match(params.mime_type, /^audio\/webm/);
    assert.equal(Buffer.from(params.audio_base64, "base64").subarray(0, 4).toString("hex"), "1a45dfa3"); // Matroska
    await chat.dictate();
    await chat.root.getByRole("button", { name: "Cancel dictation" }).click();
    await chat.sendButton.waitFor();
    await chat.page.evaluate(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
    });
    await chat.dictate();
    await toast(chat, /The microphone is not allowed/).waitFor();
    await chat.sendButton.waitFor();
    assert.equal(chat.posts("input.transcribe").length, 1);
  });

  test("a locked thread says why, and takes nothing", async (t) => {
    const chat = await withMenus(t);
    await chat.say("Hello");
    await chat.page.route("**/chatkit", async (route) => {
      if (route.request().postDataJSON().type !== "threads.get_by_id") return route.fallback();
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), status: { type: "locked", reason: "This case is closed." } } });
    });
    await chat.reload();
    await chat.page.getByPlaceholder("This case is closed.").waitFor();
    assert.equal(await chat.composer.isDisabled(), true);
    assert.equal(await chat.sendButton.isDisabled(), true);
    await give(chat, "drop", [{ name: "a.txt", type: "text/plain", text: "a" }]);
    assert.equal(await chat.attachments.count(), 0);
    await assertAccessible(chat.page, "locked");
    await call(chat, "setComposerValue", { text: "typed before" });
    await chat.root.locator("ck-composer p").getByText("This case is closed.", { exact: true }).waitFor();
    assert.equal(await chat.sendButton.isDisabled(), true);
    await chat.screenshot("locked");
  });

  for (const [name, options, scheme] of [["phone", { viewport: { width: 360, height: 640 } }, "dark"], ["desktop", {}, "light"]]) {
    test(`looks and access, ${name}`, async (t) => {
      const chat = await openChat(t, stage, { bare: MENUS.replace("{", `{ theme: "${scheme}",`), ...options });
      await chat.attach(picture, notes);
      await uploaded(chat, "notes.txt");
      await call(chat, "setComposerValue", { reply: "A quoted sentence that is long enough to be cut off on a small screen, because it goes on and on.", selectedToolId: "canvas", content: [{ type: "input_text", text: "Compare " }, { type: "input_tag", id: "p1", text: "Harry Potter", data: {} }, { type: "input_text", text: " and the others" }] });
      await chat.root.getByRole("button", { name: "Stop using Canvas" }).waitFor();
      await chat.root.locator("ck-disclaimer strong").waitFor();
      await assertAccessible(chat.page, name);
      await chat.screenshot(`composer-${name}`);
      assert.ok(await chat.root.evaluate(({ shadowRoot }) => [...shadowRoot.querySelectorAll("ck-composer *")].every((part) => part.scrollWidth <= innerWidth)));
    });
  }
});

describe("questions in place of the composer", { concurrency: 2 }, () => {
  const stage = setStage({ CHATKIT_AGENT: "showcase:agent", CHATKIT_DEMO_TOKENS_PER_SECOND: "1000" }, open);
  const QUESTIONS = [
    { question: "Which sizes?", options: ["S", "L"], multiple: true },
    { question: "Which colour?", options: ["red", "blue"], multiple: false },
    { question: "For whom?", options: [], multiple: false },
  ];
  const ask = (chat, questions = QUESTIONS) => chat.say(`call ask_user ${JSON.stringify({ questions })}`);
  const button = (chat, name) => chat.root.getByRole("button", { name, exact: true });

  test("choices, own answers, Back and Skip", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    await ask(chat);
    await chat.root.getByText("Question 1 of 3").waitFor();
    assert.equal(await chat.root.getByRole("textbox", { name: "Message the AI" }).count(), 0);
    await assertAccessible(chat.page, "questions");
    assert.equal(await button(chat, "Next").isDisabled(), true);
    await chat.root.getByRole("checkbox", { name: "S", exact: true }).check();
    await chat.root.getByRole("textbox", { name: "Another answer" }).fill("XXL");
    await button(chat, "Next").click();
    await chat.root.getByRole("radio", { name: "red" }).check();
    await button(chat, "Back").click();
    assert.equal(await chat.root.getByRole("checkbox", { name: "S", exact: true }).isChecked(), true);
    await chat.screenshot("questions");
    await button(chat, "Next").click();
    assert.equal(await chat.root.getByRole("radio", { name: "red" }).isChecked(), true);
    await chat.page.keyboard.press("ArrowDown"); // radio buttons as everywhere
    assert.equal(await chat.root.getByRole("radio", { name: "blue" }).isChecked(), true);
    await button(chat, "Next").click();
    await button(chat, "Skip").click();
    const [{ params }] = await chat.posted("threads.add_structured_input");
    assert.equal(params.input.status, "answered");
    assert.deepEqual(Object.values(params.input.answers), [
      { values: ["S", "XXL"], skipped: false },
      { values: ["blue"], skipped: false },
      { values: [], skipped: true },
    ]);
    await chat.root.getByRole("textbox", { name: "Message the AI" }).waitFor();
    const summary = chat.root.locator("ck-structured-input");
    for (const text of ["Which sizes?", "XXL", "blue", "Skipped"]) await summary.getByText(text, { exact: true }).first().waitFor();
    await chat.ended();
    await chat.screenshot("answered-questions");
  });

  test("all are skipped at once; a single one needs no steps", async (t) => {
    const chat = await openChat(t, stage, { bare: PLAIN });
    await ask(chat);
    await button(chat, "Skip all").click();
    const [{ params }] = await chat.posted("threads.add_structured_input");
    assert.equal(params.input.status, "skipped");
    await chat.ended();
    await ask(chat, QUESTIONS.slice(2));
    await chat.root.getByRole("textbox", { name: "For whom?" }).fill("Ada");
    assert.equal(await chat.root.getByText(/^Question 1/).count(), 0);
    await chat.page.keyboard.press("Enter");
    const [, second] = await chat.posted("threads.add_structured_input", 2);
    assert.deepEqual(Object.values(second.params.input.answers), [{ values: ["Ada"], skipped: false }]);
  });
});
