/** Markdown in a real browser: what answers look like, while they arrive and afterwards. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { assertAccessible } from "./axe.js";
import { launchBrowser } from "./browser.js";
import { reply, startScripted } from "./scripted.js";
import { openStrictPage, prepareMarkdown } from "./strict-page.js";
import { screenshot } from "./visit.js";

const stage = { browser: undefined, server: { origin: "", output: () => "" } };
let server;
before(async () => {
  [stage.browser, server] = await Promise.all([launchBrowser(), startScripted(() => "default")]);
});
after(async () => {
  await stage.browser?.close();
  await server?.stop();
});

/** Opens a page on which the component can be used by itself. */
async function start(t, options) {
  const visit = await openStrictPage(t, stage, server.origin, options);
  await prepareMarkdown(visit.page);
  return visit;
}

/** Renders the text in one go; returns the component. */
async function show(page, text, properties) {
  await page.evaluate(([text, properties]) => window.markdown.whole(text, properties), [text, properties]);
  return page.locator("#box ck-markdown");
}

const SAMPLE = await readFile(join(import.meta.dirname, "sample.md"), "utf8");
const DOCUMENTS = ["README.md", "docs/architecture.md", "docs/plain-api.md"].map((path) => join(import.meta.dirname, "../..", path));

describe("text that arrives in parts", { concurrency: 3 }, () => {
  test("ends as the same text in one go", async (t) => {
    const { page } = await start(t);
    const texts = [SAMPLE, ...(await Promise.all(DOCUMENTS.map((path) => readFile(path, "utf8")))).map((text) => text.slice(0, 20_000))];
    for (const text of texts)
      for (const sizes of [[9, 1, 4], [400, 30]]) {
        const [whole, streamed] = await page.evaluate(async ([text, sizes]) => [await window.markdown.whole(text), await window.markdown.stream(text, sizes)], [text, sizes]);
        assert.equal(streamed, whole);
      }
  });

  test("ends as the same text in one go, also where a block is too long and is cut", async (t) => {
    const { page } = await start(t);
    const lines = (count, line) => Array.from({ length: count }, (_, index) => line(index)).join("\n");
    const long = {
      list: lines(900, (index) => `${index + 1}. Item **${index}**`),
      table: `| a | b |\n|---|--:|\n${lines(700, (index) => `| row ${index} | ${index} |`)}`,
      quote: lines(600, (index) => `> line ${index}`),
      code: `\`\`\`js\n${lines(3000, (index) => `const x${index} = ${index};`)}\n\`\`\`\nAfter it.`,
      paragraph: "Some words make a sentence. ".repeat(2_000),
      word: "x".repeat(50_000),
      breaks: lines(900, (index) => `line ${index}`),
      links: `${lines(500, (index) => `See [one][${index % 7}] and [two].\n`)}\n\n${lines(7, (index) => `[${index}]: https://example.com/${index}`)}\n[two]: https://example.com/two`,
    };
    for (const [name, text] of Object.entries(long)) {
      const [whole, streamed] = await page.evaluate(async (text) => [await window.markdown.whole(text), await window.markdown.stream(text, [700, 5, 90])], text);
      assert.equal(streamed, whole, name);
    }
    const numbers = await (await show(page, long.list)).locator("ol").evaluateAll((lists) => lists.map((list) => [list.start, list.children.length]));
    assert.ok(numbers.length > 1);
    for (const [index, [first]] of numbers.entries()) assert.equal(first, numbers.slice(0, index).reduce((sum, [, count]) => sum + count, 1), "a list goes on with its numbers");
    const heads = await (await show(page, long.table)).locator("thead").allTextContents();
    assert.ok(heads.length > 1 && heads.every((head) => head === heads[0]), "each part of a table has its head");
    assert.equal(await page.locator("#box tbody tr").count(), 700);
    const code = await show(page, long.code);
    assert.equal(await code.locator(".code").count(), 1);
    assert.equal(`\`\`\`js\n${await code.locator("code").evaluate((code) => code.textContent)}\n\`\`\`\nAfter it.`, long.code);
    const links = await (await show(page, long.links)).locator("a").count();
    assert.equal(links, 1000, "links are found that are defined after their use");
  });

  test("never shows half of its markup", async (t) => {
    const { page } = await start(t);
    const seen = await page.evaluate(async (text) => {
      const seen = new Set();
      await window.markdown.stream(text, [1], { see: ({ innerText }) => seen.add(innerText) });
      return [...seen];
    }, SAMPLE);
    for (const text of seen) {
      const prose = text.replace(/\\\(.*?\\\)/gs, "");
      for (const mark of ["**", "~~", "](", "[the", "|", "``", "##", "- ["]) {
        assert.ok(!prose.split("\n").some((line) => line.includes(mark)), `${mark} in ${text.slice(-200)}`);
      }
    }
  });

  test("only grows: what stands there does not move, and finished blocks keep their nodes", async (t) => {
    const { page } = await start(t);
    const { shrinks, replaced } = await page.evaluate(async (text) => {
      const shrinks = [];
      let height = 0;
      let first;
      let replaced = 0;
      await window.markdown.stream(text, [3], {
        see(markdown, end) {
          if (markdown.offsetHeight < height) shrinks.push([text.slice(Math.max(0, end - 60), end), height, markdown.offsetHeight]);
          height = markdown.offsetHeight;
          const blocks = [...markdown.querySelectorAll("div > div > *")];
          if (first && blocks[0] !== first) replaced++;
          first ??= blocks[0];
        },
      });
      return { shrinks, replaced };
    }, SAMPLE);
    assert.deepEqual(shrinks, []);
    assert.equal(replaced, 0);
  });

  test("starts over when the text is another one, and keeps a text that ends", async (t) => {
    const { page } = await start(t);
    const texts = await page.evaluate(async () => {
      const markdown = window.markdown.make({ text: "# One\n\nTwo **three", isOpen: true });
      await window.markdown.complete(markdown);
      const texts = [markdown.innerText];
      for (const [text, isOpen] of [["# Other\n\ntext", true], ["# Other\n\ntext", false], ["", false], ["Again", true]]) {
        Object.assign(markdown, { text, isOpen });
        await window.markdown.complete(markdown);
        texts.push(markdown.innerText);
      }
      return texts.map((text) => text.replace(/\s+/g, " "));
    });
    assert.deepEqual(texts, ["One Two three", "Other text", "Other text", "", "Again"]);
  });
});

describe("markdown", { concurrency: 3 }, () => {
  test("is what it says", async (t) => {
    const { page } = await start(t);
    const markdown = await show(page, SAMPLE);
    assert.deepEqual(await markdown.locator("h3, h4, h5, h6").evaluateAll((headings) => headings.map(({ localName, innerText }) => `${localName} ${innerText}`)), ["h3 A plan for Kyoto", "h4 What to see", "h5 Code", "h6 Small heading"]);
    assert.deepEqual(await markdown.locator("td").evaluateAll((cells) => cells.map(({ innerText, className }) => `${innerText}${className && ` ${className}`}`)).then((cells) => cells.slice(0, 3)), ["1 align-left", "Fushimi Inari align-center", "$0 align-right"]);
    assert.deepEqual(await markdown.getByRole("img").evaluateAll((boxes) => boxes.map(({ ariaLabel }) => ariaLabel)), ["Done", "To do"]);
    const text = await markdown.innerText();
    for (const expected of ["$a_1 + b_1 = c_1$", "\\(x_i * y_i\\)", "costs $5 and $10", "\\int_0^1 x^2 dx = \\frac{1}{3}", "Raw <b>html</b> & a sign: © <tag>", "~5 to ~10"]) assert.ok(text.includes(expected), `${expected} in ${text}`);
    assert.equal(await markdown.locator("br").count(), 3, "a line end in the text, one in the quote, one in a table");
  });

  for (const colorScheme of ["light", "dark"])
    test(`has no faults that axe finds, ${colorScheme}`, async (t) => {
      const scripted = await startScripted(() => "default");
      t.after(() => scripted.stop());
      scripted.items = [reply(SAMPLE)];
      const { page } = await openStrictPage(t, stage, scripted.origin, { query: "?thread=thr_1", options: `{ theme: "${colorScheme}" }` });
      await page.locator(".hl-keyword").first().waitFor();
      await screenshot(page, `markdown-${colorScheme}`);
      await assertAccessible(page, `markdown, ${colorScheme}`);
    });

  test("runs in the direction of its own text", async (t) => {
    const { page } = await start(t);
    const markdown = await show(page, "# שלום\n\nשלום\n\n1. שלום\n\n   שלום\n2. שלום\n\n> שלום\n\n| שלום |\n|---|\n| שלום |\n\n```\nשלום\n```\n\nHello");
    const blocks = markdown.locator(":scope > div > div > *");
    const directions = await blocks.evaluateAll((blocks) => blocks.map((block) => `${block.className || block.localName} ${getComputedStyle(block.querySelector("pre") ?? block).direction}`));
    assert.deepEqual(directions, ["h3 rtl", "p rtl", "ol rtl", "blockquote rtl", "table rtl", "code ltr", "p ltr"]);
  });

  test("links open beside the chat, call the page or are no links", async (t) => {
    const { page } = await start(t);
    const text = "[a](https://example.com/a) [b](mailto:me@example.com) [c](tel:+123) [d](chatkit-link://open?id=3&x=y%20z) [e](#there) [f](ftp://example.com) www.example.com <https://example.com/g>";
    const markdown = await show(page, text, { chat: undefined });
    const links = await markdown.locator("a").evaluateAll((links) => links.map((link) => [link.textContent, link.getAttribute("href"), link.target, link.rel].join(" ").trim()));
    assert.deepEqual(links, [
      "a https://example.com/a _blank noopener noreferrer",
      "b mailto:me@example.com",
      "c tel:+123",
      "d chatkit-link://open?id=3&x=y%20z",
      "www.example.com http://www.example.com/ _blank noopener noreferrer",
      "https://example.com/g https://example.com/g _blank noopener noreferrer",
    ]);
  });

  test("a deep link in an answer reaches the page", async (t) => {
    const scripted = await startScripted(() => "default");
    t.after(() => scripted.stop());
    scripted.items = [reply("Please [open it](chatkit-link://open?id=3&x=y%20z).")];
    const { page } = await openStrictPage(t, stage, scripted.origin, { query: "?thread=thr_1" });
    await page.getByRole("link", { name: "open it" }).click();
    await page.waitForFunction(() => window.chatEvents.some(({ name }) => name === "deeplink"));
    assert.deepEqual(await page.evaluate(() => window.chatEvents.find(({ name }) => name === "deeplink").detail), { name: "open", data: { id: "3", x: "y z" } });
    assert.match(page.url(), /strict\.html\?thread=thr_1$/);
  });

  test("images load only from hosts that the thread allows; others are links", async (t) => {
    const { page, strays } = await start(t);
    const text = "![one](https://images.example.com/1.png) ![two](https://evil.example/2.png?secret) ![](https://evil.example/3.png) ![dot](data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=)";
    const chat = (domains) => ({ strings: undefined, shown: { thread: { allowed_image_domains: domains } } });
    const seen = async (domains) => {
      const markdown = await show(page, text, { chat: { ...chat(domains), strings: await page.evaluate(() => JSON.parse(JSON.stringify(document.querySelector("openai-chatkit").shadowRoot.querySelector("ck-composer").chat.strings))) } });
      return markdown.evaluate((markdown) => [...markdown.querySelectorAll("img, a")].map((node) => (node.localName === "img" ? `image ${new URL(node.src).hostname}` : `link ${node.textContent}`)));
    };
    assert.deepEqual(await seen(null), ["link one", "link two", "link https://evil.example/3.png", "image "]);
    assert.deepEqual(await seen(["example.com"]), ["image images.example.com", "link two", "link https://evil.example/3.png", "image "]);
    await page.waitForLoadState("networkidle");
    assert.deepEqual(strays, ["https://images.example.com/1.png"]);
  });

  test("code has its language, colours and a button that copies it", async (t) => {
    const { page } = await start(t, { permissions: ["clipboard-read", "clipboard-write"] });
    const code = 'def cost(days):\n    return days * 42.5  # "yen"';
    const markdown = await show(page, `\`\`\`python\n${code}\n\`\`\`\n\n- in a list\n\n  \`\`\`js\n  let a = 1;\n  \`\`\``);
    const block = markdown.locator(".code").first();
    assert.equal(await block.getByRole("group").getAttribute("aria-label"), "Code: python");
    await block.locator(".hl-keyword").first().waitFor();
    await markdown.locator("li .hl-keyword").waitFor();
    assert.equal(await block.locator("code").evaluate((node) => node.textContent), code);
    const button = block.getByRole("button", { name: "Copy" });
    await button.focus();
    await page.keyboard.press("Enter");
    await block.getByRole("button", { name: "Copied" }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), code);
    await block.getByRole("button", { name: "Copy", exact: true }).waitFor();
  });
});

describe("citations", { concurrency: 3 }, () => {
  const url = (index, title = "An article", more = {}) => ({ type: "annotation", index, source: { type: "url", title, url: "https://www.example.com/article", ...more } });
  const TEXT = "😀 First **bold**. Second.\n\n- item\n\n| a |\n|---|\n| cell |\n\n```\ncode\n```\n";
  const after = (word) => [...TEXT.slice(0, TEXT.indexOf(word) + word.length)].length;

  test("stand where the offset says, counted in characters as Python does", async (t) => {
    const { page } = await start(t);
    const annotations = [url(after("Second."), "B"), url(after("**bold**"), "A"), url(after("item") + 1, "C"), url(after("cell |"), "D"), url(after("code"), "E"), url(null, "F"), url(999, "G")];
    for (const stream of [false, true]) {
      await page.evaluate(([text, annotations, stream]) => (stream ? window.markdown.stream(text, [2], { annotations }) : window.markdown.whole(text, { annotations })), [TEXT, annotations, stream]);
      const places = () =>
        page.locator("#box .citation").evaluateAll((chips) => chips.map((chip) => `${chip.ariaLabel.split(", ")[1]} in ${chip.parentElement.localName} after ${chip.previousSibling?.textContent ?? "nothing"}`));
      await page.locator("#box .citation").nth(5).waitFor(); // the code for chips is loaded on demand
      assert.deepEqual(await places(), ["A in p after bold", "B in p after . Second.", "C in li after item", "D in td after cell", "E in p after nothing", "G in p after example.com"]);
    }
  });

  test("that come late stand in text that is already settled", async (t) => {
    const { page } = await start(t);
    await page.evaluate(async (text) => {
      const markdown = window.markdown.make({ text, isOpen: true });
      await window.markdown.complete(markdown);
    }, `${TEXT}\nThe end`);
    await page.evaluate((annotations) => Object.assign(window.markdown.shown, { annotations }), [url(after("Second."))]);
    await page.locator("#box .citation").waitFor();
    assert.equal(await page.locator("#box p").first().evaluate((paragraph) => paragraph.textContent), "😀 First bold. Second.example.com");
  });

  test("stand behind code whose last line ends a task", async (t) => {
    const { page } = await start(t);
    await page.evaluate(() => (performance.now = () => 0)); // only the length ends a task
    const text = `\`\`\`\n${"x = 1\n".repeat(6_600)}${"y".repeat(3_000)}`;
    await page.evaluate(([text, annotations]) => window.markdown.whole(text, { annotations }), [text, [url(text.length)]]);
    await page.locator("#box .citation").waitFor();
  });

  test("say what they cite by pointer and keyboard, open it, and call the page for entities", async (t) => {
    const annotations = [
      url(4, "An article", { description: "What it is about.", attribution: "The Paper" }),
      { type: "annotation", index: 4, source: { type: "entity", id: "7", title: "Order 7", inline_label: "#7", interactive: true, description: "Two chairs", data: { a: "b" } } },
      { type: "annotation", index: 4, source: { type: "file", title: "Report", filename: "report.pdf" } },
    ];
    const scripted = await startScripted(() => "default");
    t.after(() => scripted.stop());
    const item = reply("Text.");
    item.content[0].annotations = annotations;
    scripted.items = [item];
    const { page, strays } = await openStrictPage(t, stage, scripted.origin, { query: "?thread=thr_1", options: "{ entities: { onClick: (entity) => { window.clicked = entity } } }" });
    const card = page.getByRole("tooltip");
    const link = page.getByRole("link", { name: "The Paper, An article, Source" });
    assert.equal(await link.innerText(), "The Paper");
    assert.equal(await link.getAttribute("href"), "https://www.example.com/article");
    await link.hover();
    await card.waitFor();
    assert.deepEqual((await card.innerText()).split(/\n+/), ["An article", "What it is about.", "example.com"]);
    await assertAccessible(page, "a citation and its card");
    await page.keyboard.press("Escape");
    await card.waitFor({ state: "hidden" });
    const entity = page.getByRole("button", { name: "#7, Order 7, Source" });
    await entity.focus();
    await card.waitFor();
    assert.match(await card.innerText(), /Two chairs/);
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => window.clicked);
    assert.deepEqual(await page.evaluate(() => window.clicked), { id: "7", title: "Order 7", interactive: true, data: { a: "b" } });
    await page.keyboard.press("Tab");
    await page.waitForFunction(() => /report\.pdf/.test(document.querySelector("openai-chatkit").shadowRoot.querySelector("ck-source-card").innerText));
    assert.deepEqual(strays, [], "no icons are fetched from other hosts");
  });
});
