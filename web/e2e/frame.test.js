/** The open element around its thread: its methods, the history, themes, languages and sizes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { assertAccessible } from "./axe.js";
import { openChat } from "./chat.js";
import { open } from "./elements/open.js";
import { makeGate } from "./gate.js";
import { setStage } from "./stage.js";

const PROMPTS = `startScreen: { greeting: "What can I help with?", prompts: [
  { label: "Summarise a document", prompt: "Hello", icon: "document" }, { label: "What can you do?", prompt: "time", icon: "circle-question" },
  { label: "Plan a trip to the mountains for a family of four", prompt: "Hello", icon: "lucide:mountain" }, { label: "Find a bug", prompt: [{ type: "input_text", text: "Hello bug" }], icon: "bug" } ] }`;
const HEADER = `header: { leftAction: { icon: "sidebar-left", onClick() { window.clicked = "left"; } }, rightAction: { icon: "close", onClick() { window.clicked = "right"; } } }`;
const ALL = `{ ${PROMPTS}, ${HEADER} }`;

/** Answers `threads.list` with these threads, newest first; everything else goes to the server. */
async function pretendThreads(chat, count) {
  const data = Array.from({ length: count }, (_, index) => ({ id: `thr_${index}`, title: `Pretended ${index}`, created_at: new Date(Date.now() - index * 3_600_000).toISOString(), status: { type: "active" } }));
  await pretendList(chat, (route) => route.fulfill({ json: { data, has_more: false, after: null } }));
}

async function pretendList(chat, answer) {
  await chat.page.route("**/chatkit", (route) => (route.request().postDataJSON()?.type === "threads.list" ? answer(route) : route.fallback()));
}

const inElement = (chat, work, argument) => chat.root.evaluate(work, argument);

/** What is focused in the element: its label or its text. */
const focused = (chat) =>
  inElement(chat, ({ shadowRoot }) => {
    const element = shadowRoot.activeElement;
    return element && (element.getAttribute("aria-label") ?? element.textContent.trim());
  });

async function assertFocus(chat, name) {
  await chat.until(async () => (await focused(chat)) === name, `the focus on ${name}, not ${await focused(chat)}`);
}

describe("the open element's frame", { concurrency: 3 }, () => {
  const stage = setStage({ CHATKIT_AGENT: "showcase:agent" }, open);

  describe("options and methods", () => {
    test("methods wait for the first options, whose listeners may come a frame later", async (t) => {
      const chat = await openChat(t, stage);
      const events = await chat.page.evaluate(async () => {
        const element = document.createElement("openai-chatkit");
        document.body.replaceChildren(element);
        const order = [];
        const focus = element.focusComposer().then(() => order.push("focused"));
        await new Promise((resolve) => setTimeout(resolve, 50));
        element.setOptions({ api: { url: "/chatkit", domainKey: "x" } });
        await new Promise(requestAnimationFrame);
        element.addEventListener("chatkit.ready", () => order.push("ready"));
        await focus;
        return order;
      });
      assert.deepEqual(events, ["ready", "focused"]);
    });

    test("options that are set before the script defines the element", async (t) => {
      const chat = await openChat(t, stage);
      const body = `<!doctype html><title>Late</title><openai-chatkit></openai-chatkit>
        <script>document.querySelector("openai-chatkit").options = { api: { url: "/chatkit", domainKey: "x" }, startScreen: { greeting: "Set early" } };</script>
        <script src="/element.js"></script>`;
      await chat.page.route("**/late.html", (route) => route.fulfill({ body, contentType: "text/html" }));
      await chat.page.goto(`${stage.server.origin}/late.html`);
      await chat.root.getByRole("heading", { name: "Set early" }).waitFor();
    });

    test("options without `api` are refused", async (t) => {
      const chat = await openChat(t, stage);
      for (const options of [undefined, null, {}]) {
        const message = await inElement(chat, (element, options) => {
          try {
            element.setOptions(options);
          } catch (error) {
            return error.message;
          }
        }, options);
        assert.match(message, /api/);
      }
    });

    test("new options replace all old ones; the initial thread counts once", async (t) => {
      const chat = await openChat(t, stage, { bare: ALL });
      await chat.say("Hello");
      const { thread } = chat;
      await chat.newChat();
      await inElement(chat, (element, initialThread) => element.setOptions({ api: { url: "/chatkit", domainKey: "x" }, initialThread, frameTitle: "Support chat", header: { title: { text: "Fixed title" } } }), thread);
      await chat.root.getByRole("heading", { name: "What can I help with today?" }).waitFor();
      await chat.root.getByRole("heading", { name: "Fixed title" }).waitFor();
      assert.equal(await chat.page.getByRole("region", { name: "Support chat" }).count(), 1);
      assert.equal(await chat.root.getByRole("button", { name: "Sidebar" }).count(), 0);
      assert.equal(chat.thread, null);
    });

    test("an element that is taken out and put back shows its thread", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("Hello");
      const answer = await chat.answerText();
      await inElement(chat, async (element) => {
        const parent = element.parentElement;
        element.remove();
        await new Promise((resolve) => setTimeout(resolve, 50));
        parent.append(element);
      });
      assert.equal(await chat.answerText(), answer);
      await chat.say("Hello again");
      assert.equal(await chat.count("ready"), 1);
    });

    test("the page's buttons in the header", async (t) => {
      const chat = await openChat(t, stage, { bare: ALL });
      await chat.root.getByRole("button", { name: "Sidebar" }).click();
      assert.equal(await chat.page.evaluate("clicked"), "left");
      await chat.root.getByRole("button", { name: "Close" }).click();
      assert.equal(await chat.page.evaluate("clicked"), "right");
    });

    test("a client secret instead of a URL: sent to the script's server, and renewed when it has expired", async (t) => {
      const chat = await openChat(t, stage);
      const secrets = [];
      await chat.page.route("**/chatkit", (route) => {
        secrets.push(route.request().headers().authorization);
        return secrets.length === 1 ? route.fulfill({ status: 401, json: { message: "expired" } }) : route.fulfill({ json: { data: [], has_more: false, after: null } });
      });
      const asked = await chat.page.evaluate(async () => {
        const element = document.createElement("openai-chatkit");
        document.body.replaceChildren(element);
        const asked = [];
        await new Promise((resolve) => {
          const getClientSecret = async (current) => {
            asked.push(current);
            if (asked.length === 2) resolve();
            return `secret ${asked.length}`;
          };
          element.setOptions({ api: { getClientSecret } });
        });
        return asked;
      });
      assert.deepEqual(asked, [null, "secret 1"]);
      await chat.until(() => secrets.length === 2, "the second request");
      assert.deepEqual(secrets, ["Bearer secret 1", "Bearer secret 2"]);
    });

    test("a start prompt sends its content", async (t) => {
      const chat = await openChat(t, stage, { bare: ALL });
      await chat.root.getByRole("button", { name: "Find a bug" }).click();
      await chat.happened("response.end");
      assert.match(await chat.userMessages.innerText(), /Hello bug/);
    });
  });

  describe("history", () => {
    test("search, open, rename, delete", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("Hello, about whales");
      const whales = chat.thread;
      await chat.newChat();
      await chat.say("Hello, about parrots");
      const parrots = chat.thread;
      await chat.openHistory();
      await chat.happened("history.open");
      assert.equal(await chat.threads.count(), 2);
      assert.equal(await chat.root.locator("ck-history-row[data-current]").getAttribute("data-thread"), parrots);
      const row = (id) => chat.root.locator(`ck-history-row[data-thread="${id}"]`);

      await row(whales).hover();
      await row(whales).getByRole("button", { name: /^Rename/ }).click();
      const field = chat.root.getByRole("textbox", { name: "Title" });
      await field.fill("No");
      await field.press("Escape");
      assert.equal(chat.posts("threads.update").length, 0);
      await row(whales).getByRole("button", { name: /^Rename/ }).click();
      await field.fill("Wale für Anfänger");
      await field.press("Enter");
      await chat.threadEntry("Wale für Anfänger").waitFor();
      assert.deepEqual((await chat.posted("threads.update"))[0].params, { thread_id: whales, title: "Wale für Anfänger" });

      await chat.searchHistory("anfanger");
      await chat.until(async () => (await chat.threads.count()) === 1, "one thread");
      await chat.searchHistory("zebra");
      await chat.root.getByText("No chats match “zebra”.").waitFor();
      await chat.searchHistory("");
      await chat.until(async () => (await chat.threads.count()) === 2, "two threads");

      await row(parrots).hover();
      await row(parrots).getByRole("button", { name: /^Delete/ }).click();
      await chat.root.getByRole("alertdialog").getByRole("button", { name: "Cancel" }).click();
      assert.equal(chat.posts("threads.delete").length, 0);
      await row(parrots).getByRole("button", { name: /^Delete/ }).click();
      await chat.root.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
      await row(parrots).waitFor({ state: "detached" });
      await chat.until(() => chat.thread === null, "a new thread in place of the deleted one");

      await chat.openThread("Wale für Anfänger");
      await chat.happened("history.close");
      await chat.until(() => chat.thread === whales, "the whales");
      await chat.root.getByRole("heading", { name: "Wale für Anfänger" }).waitFor();
    });

    test("the page can switch off renaming, deleting, and the history", async (t) => {
      const chat = await openChat(t, stage, { bare: "{ history: { showRename: false, showDelete: false } }" });
      await pretendThreads(chat, 3);
      await chat.openHistory();
      await chat.threads.first().hover();
      assert.equal(await chat.root.getByRole("button", { name: /^(Rename|Delete)/ }).count(), 0);
      await inElement(chat, (element) => element.setOptions({ api: { url: "/chatkit", domainKey: "x" }, history: { enabled: false } }));
      await chat.happened("history.close");
      await chat.root.getByRole("button", { name: "History" }).waitFor({ state: "detached" });
      await inElement(chat, (element) => element.showHistory());
      assert.equal(await chat.count("history.open"), 1, "not once more");
    });

    test("a thread whose answer goes on in the background is marked", async (t) => {
      const chat = await openChat(t, stage);
      const gate = await makeGate(t);
      await chat.send(`call look_up {"gate": ${gate.port}}`);
      await chat.root.getByText("Looking on the shelves").waitFor();
      const { thread } = chat;
      await chat.newChat();
      await chat.openHistory();
      const mark = chat.root.locator(`ck-history-row[data-thread="${thread}"]`).getByRole("img", { name: "Answering" });
      await mark.waitFor();
      gate.open();
      await mark.waitFor({ state: "detached" });
    });

    test("with the keyboard alone; Escape returns to the button", async (t) => {
      const chat = await openChat(t, stage);
      await pretendThreads(chat, 200);
      const { keyboard } = chat.page;
      await open.openHistory(chat.root).focus();
      await keyboard.press("Enter");
      await assertFocus(chat, "Search chats");
      await chat.threads.first().waitFor();
      await keyboard.press("ArrowDown");
      await assertFocus(chat, "Pretended 0");
      await keyboard.press("ArrowDown");
      await assertFocus(chat, "Pretended 1");
      await keyboard.press("End");
      await keyboard.press("ArrowDown");
      await chat.until(async () => (await chat.threads.count()) > 40, "more rows");
      await keyboard.press("Home");
      await assertFocus(chat, "Pretended 0");
      await keyboard.press("ArrowUp");
      await assertFocus(chat, "Search chats");
      await keyboard.press("Shift+Tab");
      await keyboard.press("Shift+Tab");
      await assertFocus(chat, "New chat");
      await keyboard.press("Shift+Tab"); // around the panel
      await assertFocus(chat, "Delete “Pretended 0”");
      await keyboard.press("Enter");
      await assertFocus(chat, "Cancel");
      await keyboard.press("Escape");
      await assertFocus(chat, "Pretended 0");
      await keyboard.press("F2");
      await assertFocus(chat, "Title");
      await keyboard.press("Escape");
      await assertFocus(chat, "Pretended 0");
      await keyboard.press("Escape");
      await chat.happened("history.close");
      await assertFocus(chat, "History");
    });

    test("after a thread is chosen, the user writes at once", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("Hello");
      await open.openHistory(chat.root).click();
      await chat.threads.first().waitFor();
      await chat.page.keyboard.press("ArrowDown");
      await chat.page.keyboard.press("Enter");
      await chat.happened("thread.load.end");
      await assertFocus(chat, "Write a message");
      await chat.page.keyboard.type("Hello again");
      assert.equal(await chat.composer.inputValue(), "Hello again");
    });

    test("ten thousand threads: only the rows near the screen exist, search finds all", async (t) => {
      const chat = await openChat(t, stage);
      await pretendThreads(chat, 10_000);
      await chat.openHistory();
      await chat.root.getByRole("heading", { name: "Today" }).waitFor();
      assert.ok((await chat.threads.count()) <= 120, "at most three batches of rows");
      await chat.root.locator("ck-history .list").evaluate((list) => (list.scrollTop = list.scrollHeight));
      await chat.threadEntry("Pretended 79").waitFor({ state: "attached" });
      await chat.searchHistory("pretended 9876");
      await chat.threadEntry("Pretended 9876").waitFor();
      assert.equal(await chat.threads.count(), 1);
    });

    test("a list that loads, fails and is loaded again", async (t) => {
      const chat = await openChat(t, stage, { bare: "{ history: { enabled: false } }" });
      let answer = () => {};
      await pretendList(chat, (route) => answer(route));
      await inElement(chat, (element) => element.setOptions({ api: { url: "/chatkit", domainKey: "x" } }));
      let failed = 0;
      const asked = chat.page.waitForRequest((request) => request.postDataJSON()?.type === "threads.list");
      answer = async (route) => {
        if (!failed) await chat.root.locator(".ck-skeleton").first().waitFor();
        failed++;
        await route.fulfill({ status: 403, json: { message: "No", code: "no" } });
      };
      await open.openHistory(chat.root).click();
      await asked;
      await chat.root.getByText("Your chats could not be loaded.").waitFor();
      answer = (route) => route.fulfill({ json: { data: [{ id: "thr_1", title: "Found again", created_at: new Date().toISOString() }], has_more: false, after: null } });
      await chat.root.getByRole("button", { name: "Retry" }).click();
      await chat.threadEntry("Found again").waitFor();
      answer = (route) => route.fulfill({ json: { data: [], has_more: false, after: null } });
      await inElement(chat, async (element) => {
        await element.hideHistory();
        await element.showHistory();
      });
      await chat.root.getByText("Your chats will appear here.").waitFor();
    });
  });

  test("a message for a moment: spoken, dismissible, above the thread and not over the composer", async (t) => {
    const chat = await openChat(t, stage);
    await chat.page.route("**/chatkit", (route) => route.fulfill({ status: 403, json: { message: "Not this thread, for the test", code: "forbidden" } }));
    await inElement(chat, (element) => element.setThreadId("thr_of_somebody_else").catch(() => {}));
    const toast = chat.root.locator("ck-toasts").getByRole("alert").getByText("Not this thread, for the test");
    await toast.waitFor();
    const [message, composer] = [await toast.boundingBox(), await chat.root.locator("ck-composer").boundingBox()];
    assert.ok(message.y + message.height <= composer.y, "above the composer");
    await chat.root.getByRole("button", { name: "Dismiss" }).click();
    await toast.waitFor({ state: "detached" });
  });

  describe("sizes", () => {
    const SIZES = { phone: [360, 640], panel: [380, 560], narrow: [280, 500], tablet: [768, 1024], desktop: [1280, 800], wide: [2000, 420], tall: [420, 1400] };

    for (const [name, [width, height]] of Object.entries(SIZES)) {
      test(`${name}, ${width} × ${height}: nothing is cut off or scrolls sideways`, async (t) => {
        const bare = `{ ${PROMPTS}, ${HEADER.replace("header: {", 'header: { title: { text: "A title that is much too long for the header of such a small panel" },')}, theme: { density: "spacious", typography: { baseSize: 18 } } }`;
        const chat = await openChat(t, stage, { bare, viewport: { width, height }, reducedMotion: "reduce" });
        await assertFits(chat);
        await chat.screenshot(`frame-${name}-start`);
        await chat.say("markdown");
        await assertFits(chat);
        await chat.screenshot(`frame-${name}-thread`);
        await chat.openHistory();
        await assertFits(chat);
        await chat.screenshot(`frame-${name}-history`);
      });
    }

    async function assertFits(chat) {
      const faults = await inElement(chat, (element) => {
        const frame = element.getBoundingClientRect();
        const isScrolled = ({ clientWidth, scrollWidth }) => scrollWidth > clientWidth + 1;
        const blocks = [...element.shadowRoot.querySelectorAll(".ck-frame, ck-header, .ck-main, ck-start-screen, ck-thread, ck-composer, ck-history, ck-history .list")].filter(isScrolled);
        const outside = [...element.shadowRoot.querySelectorAll("ck-header button, ck-composer button, ck-start-screen button, ck-history .head button")].filter((button) => {
          const { left, right } = button.getBoundingClientRect();
          return right > left && (left < frame.left || right > frame.right);
        });
        return [...blocks, ...outside].map((found) => found.outerHTML.slice(0, 80));
      });
      assert.deepEqual(faults, []);
    }
  });

  describe("themes", () => {
    const THEMES = {
      light: `"light"`,
      dark: `"dark"`,
      "pill-accent": `{ radius: "pill", color: { accent: { primary: "#d7263d", level: 3 } } }`,
      "round-tint": `{ colorScheme: "dark", radius: "round", density: "compact", color: { grayscale: { hue: 220, tint: 7, shade: -2 }, accent: { primary: "oklch(80% 0.15 85)", level: 2 } } }`,
      "soft-surface": `{ radius: "soft", density: "spacious", typography: { baseSize: 18, fontFamily: "Georgia" }, color: { surface: { background: "#fff7e8", foreground: "#3b2a10" }, accent: { primary: "hsl(150 60% 30%)", level: 1 } } }`,
      "sharp-unreadable": `{ colorScheme: "dark", radius: "sharp", color: { surface: { background: "#777", foreground: "#7a7a7a" }, accent: { primary: "yellow", level: 2 } } }`,
    };

    for (const [name, theme] of Object.entries(THEMES)) {
      test(`${name}: start screen, thread and history pass axe`, async (t) => {
        const chat = await openChat(t, stage, { bare: `{ ${PROMPTS}, ${HEADER}, theme: ${theme}, threadItemActions: { feedback: true, retry: true } }`, reducedMotion: "reduce" });
        await assertAccessible(chat.page, `${name}, start screen`);
        await chat.screenshot(`theme-${name}-start`);
        await chat.say("markdown");
        await assertAccessible(chat.page, `${name}, thread`);
        await chat.screenshot(`theme-${name}-thread`);
        await chat.openHistory();
        await assertAccessible(chat.page, `${name}, history`);
        await chat.threads.first().hover();
        await chat.screenshot(`theme-${name}-history`);
        await chat.threads.first().getByRole("button", { name: /^Delete/ }).click();
        await chat.root.getByRole("alertdialog").waitFor();
        await assertAccessible(chat.page, `${name}, question`);
      });
    }

    test("a new theme while the chat runs", async (t) => {
      const chat = await openChat(t, stage);
      const look = () => inElement(chat, (element) => [getComputedStyle(element).colorScheme, getComputedStyle(element).backgroundColor]);
      assert.deepEqual(await look(), ["light", "rgb(255, 255, 255)"]);
      await inElement(chat, (element) => element.setOptions({ api: { url: "/chatkit", domainKey: "x" }, theme: { colorScheme: "dark", color: { surface: { background: "rgb(1 2 3)", foreground: "white" } } } }));
      await chat.until(async () => (await look()).join() === "dark,rgb(1, 2, 3)", "the page's colours");
      await inElement(chat, (element) => element.setOptions({ api: { url: "/chatkit", domainKey: "x" } }));
      assert.deepEqual(await look(), ["light", "rgb(255, 255, 255)"]);
    });

    test("the page's fonts are fetched; its style attribute is left alone", async (t) => {
      const chat = await openChat(t, stage);
      const asked = chat.page.waitForRequest("**/brand.woff2");
      await chat.page.route("**/brand.woff2", (route) => route.fulfill({ status: 404 }));
      await inElement(chat, (element) =>
        element.setOptions({ api: { url: "/chatkit", domainKey: "x" }, theme: { typography: { fontFamily: "Brand", fontSources: [{ family: "Brand", src: "/brand.woff2", weight: 400 }] } } }),
      );
      await asked;
      assert.equal(await chat.root.getAttribute("style"), null);
    });

    test("forced colours: the start screen passes axe", async (t) => {
      const chat = await openChat(t, stage, { bare: ALL, forcedColors: "active", reducedMotion: "reduce" });
      await assertAccessible(chat.page, "forced colours");
      await chat.screenshot("theme-forced-colors");
    });
  });

  describe("languages", () => {
    /** A locale, what the composer is called in it, and its direction. */
    const LANGUAGES = [
      ["en-GB", "Message the AI", "ltr"],
      ["es-419", "Escribe a la IA", "ltr"],
      ["fr-CA", "Écrire à l’IA", "ltr"],
      ["de", "Nachricht an die KI", "ltr"],
      ["zh-CN", "给 AI 发消息", "ltr"],
      ["zh-TW", "给 AI 发消息", "ltr"],
      ["ja-JP", "AI にメッセージを送信", "ltr"],
      ["ar", "اكتب رسالة إلى الذكاء الاصطناعي", "rtl"],
      ["fi-FI", "Message the AI", "ltr"], // no translation
    ];

    for (const [locale, placeholder, direction] of LANGUAGES) {
      test(`${locale} by the page's option`, async (t) => {
        const chat = await openChat(t, stage, { bare: `{ locale: "${locale}", ${PROMPTS} }`, viewport: { width: 380, height: 640 }, reducedMotion: "reduce" });
        assert.equal(await chat.composer.getAttribute("placeholder"), placeholder);
        assert.equal(await chat.root.getAttribute("dir"), direction);
        await pretendThreads(chat, 2000);
        await inElement(chat, (element) => element.showHistory());
        await chat.threads.first().waitFor();
        await chat.until(async () => chat.posts("threads.list").length > 0, "the history's request");
        assert.equal(chat.posts("threads.list").at(-1).headers["accept-language"], locale);
        await assertAccessible(chat.page, `history in ${locale}`);
        await chat.screenshot(`language-${locale}-history`);
        await inElement(chat, (element) => element.hideHistory());
        await chat.screenshot(`language-${locale}-start`);
      });
    }

    test("the browser's language without an option; another one while the chat runs", async (t) => {
      const chat = await openChat(t, stage, { bare: "{}", locale: "de-AT" });
      const placeholder = () => chat.composer.getAttribute("placeholder");
      assert.equal(await placeholder(), "Nachricht an die KI");
      await chat.composer.fill("Bleibt stehen");
      await inElement(chat, (element) => element.setOptions({ api: { url: "/chatkit", domainKey: "x" }, locale: "ar" }));
      await chat.until(async () => (await placeholder())?.startsWith("اكتب"), "Arabic");
      assert.equal(await chat.composer.inputValue(), "Bleibt stehen");
      assert.equal(await chat.page.getByRole("region", { name: "محادثة" }).count(), 1);
      await inElement(chat, (element) => element.setOptions({ api: { url: "/chatkit", domainKey: "x" }, locale: "en" }));
      await chat.until(async () => (await placeholder()) === "Message the AI", "English");
      assert.equal(await chat.root.getAttribute("dir"), "ltr");
    });

    test("a language that cannot be loaded falls back to English", async (t) => {
      const chat = await openChat(t, stage);
      await chat.page.route("**/element/fr-*.js", (route) => route.abort());
      const greeting = await chat.page.evaluate(async () => {
        const element = document.createElement("openai-chatkit");
        document.body.replaceChildren(element);
        const ready = new Promise((resolve) => element.addEventListener("chatkit.ready", resolve));
        element.setOptions({ api: { url: "/chatkit", domainKey: "x" }, locale: "fr" });
        await ready;
        return element.shadowRoot.querySelector("ck-start-screen h2").textContent;
      });
      assert.equal(greeting, "What can I help with today?");
    });
  });
});
