/** How the open element shows a thread: where it scrolls, long threads, what the user can do with an answer. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { assertAccessible } from "./axe.js";
import { launchBrowser } from "./browser.js";
import { openChat } from "./chat.js";
import { open } from "./elements/open.js";
import { accepted, added, delta, done, options, question, reply, startScripted } from "./scripted.js";

const stage = { browser: undefined, server: { origin: "", output: () => "" }, element: open };
before(async () => {
  stage.browser = await launchBrowser();
});
after(() => stage.browser?.close());

async function start(t, { answer = () => "default", items = [], extra = "", ...rest } = {}) {
  const server = await startScripted(answer);
  t.after(() => server.stop());
  server.items = items;
  const path = items.length ? "/?thread=thr_1" : "/";
  const chat = await openChat(t, stage, { origin: server.origin, path, bare: `{ history: { enabled: false }, threadItemActions: { retry: true }, ${extra} }`, ...rest });
  if (items.length) await chat.happened("thread.load.end");
  return { chat, server };
}

const PARAGRAPHS = Array.from({ length: 12 }, (_, index) => `Paragraph ${index} with a few words that fill a line of the answer.`).join("\n\n");
const exchange = (number) => [question(`Question ${number}`, `msg_q${number}`), reply(`Answer ${number}. ${PARAGRAPHS}`, `msg_a${number}`)];
const conversation = (length) => Array.from({ length }, (_, index) => exchange(index)).flat();

/** Where the view is: the distance to the end, and that of the last question to the top. */
const place = (chat) =>
  chat.page.evaluate(() => {
    const box = document.querySelector("openai-chatkit").shadowRoot.querySelector(".scroller");
    const question = [...box.querySelectorAll("[data-type=user_message]")].at(-1);
    return {
      fromEnd: Math.round(box.scrollHeight - box.clientHeight - box.scrollTop),
      questionTop: Math.round(question.getBoundingClientRect().top - box.getBoundingClientRect().top),
      turns: box.querySelectorAll("ck-turn").length,
    };
  });
const atEnd = (chat) => chat.until(async () => (await place(chat)).fromEnd <= 1, "the end of the thread in view");
/** The place once the view has moved: it follows a message by a frame or more. */
const settled = (chat) =>
  chat.until(async () => {
    const before = await place(chat);
    await chat.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    const after = await place(chat);
    return after.questionTop === before.questionTop && after.questionTop < 60 && after;
  }, "the question at the top");
const jump = (chat) => chat.root.getByRole("button", { name: "Jump to latest" });

describe("scrolling", { concurrency: 3 }, () => {
  test("a long thread opens at its end, and the older turns follow without moving the view", async (t) => {
    const { chat } = await start(t, { items: conversation(200) });
    await atEnd(chat);
    await chat.until(async () => (await place(chat)).turns === 200, "all turns");
    assert.ok((await place(chat)).fromEnd <= 1);
    assert.equal(await chat.answers.count(), 200);
    assert.equal(await jump(chat).count(), 0);
  });

  test("the view of a user who has scrolled up stays while older turns are added above", async (t) => {
    const { chat } = await start(t, { items: conversation(300) });
    await atEnd(chat);
    await chat.root.locator(".scroller").hover();
    await chat.page.mouse.wheel(0, -900);
    await jump(chat).waitFor();
    const topOf = () => chat.root.locator('[data-id="msg_q298"]').evaluate((item) => Math.round(item.getBoundingClientRect().top));
    let last;
    await chat.until(async () => {
      const top = await topOf();
      const isSteady = top === last && top > -2_000 && top < 760; // the wheel has taken effect
      last = top;
      return isSteady;
    }, "the end of scrolling");
    await chat.until(async () => (await place(chat)).turns === 300, "all turns");
    assert.ok(Math.abs((await topOf()) - last) <= 2, `${await topOf()} is where it was: ${last}`);
    await jump(chat).click();
    await atEnd(chat);
    await jump(chat).waitFor({ state: "detached" });
  });

  test("a short thread that is longer than the view offers the way back to its end", async (t) => {
    const { chat } = await start(t, { items: conversation(3) });
    await atEnd(chat);
    await chat.root.locator(".scroller").hover();
    await chat.page.mouse.wheel(0, -900);
    await jump(chat).click();
    await atEnd(chat);
  });

  for (const autoScroll of [false, true]) {
    test(`a sent message moves to the top; ${autoScroll ? "the end is followed" : "the view stays"} while the answer grows`, async (t) => {
      let stream;
      const answer = (post) => {
        if (!post.params.input) return "default";
        stream = post.reply.events(...accepted(post, "msg_new"), added(reply("", "msg_answer")), delta("msg_answer", "Short. "));
      };
      const { chat } = await start(t, { items: conversation(8), answer, extra: `thread: { autoScroll: ${autoScroll} }` });
      await atEnd(chat);
      await chat.send("New question");
      await chat.until(() => stream, "the request");
      await chat.until(async () => (await chat.answerText()) === "Short.", "the first words");
      const { questionTop } = await settled(chat);
      assert.ok(questionTop >= 0, `the question is ${-questionTop} px above the view`);
      for (let times = 0; times < 4; times++) stream.events(delta("msg_answer", `${PARAGRAPHS}\n\n`));
      stream.events(delta("msg_answer", "The end."));
      await chat.until(async () => (await chat.answerText()).endsWith("The end."), "the last words");
      if (autoScroll) await atEnd(chat);
      else assert.equal((await place(chat)).questionTop, questionTop);
      if (!autoScroll) await jump(chat).waitFor();
      stream.events(done(reply(`${PARAGRAPHS} The end.`, "msg_answer"))).end();
      await chat.ended();
      if (!autoScroll) assert.equal((await place(chat)).questionTop, questionTop);
    });
  }

  test("a user who scrolls up is not pulled down by the answer", async (t) => {
    let stream;
    const answer = (post) => {
      if (!post.params.input) return "default";
      stream = post.reply.events(...accepted(post, "msg_new"), added(reply("", "msg_answer")), delta("msg_answer", `${PARAGRAPHS}\n\n${PARAGRAPHS}\n\n`));
    };
    const { chat } = await start(t, { items: conversation(8), answer, extra: "thread: { autoScroll: true }" });
    await chat.send("New question");
    await chat.grown(500);
    await atEnd(chat);
    await chat.root.locator(".scroller").hover();
    await chat.page.mouse.wheel(0, -600);
    await jump(chat).waitFor();
    const before = await place(chat);
    stream.events(delta("msg_answer", `${PARAGRAPHS} The end.`));
    await chat.until(async () => (await chat.answerText()).endsWith("The end."), "the last words");
    assert.ok((await place(chat)).fromEnd > before.fromEnd);
  });
});

describe("an answer", { concurrency: 3 }, () => {
  test("can be copied and rated; a rating that fails is taken back", async (t) => {
    let status = 200;
    const answer = (post) => (post.type === "items.feedback" ? post.reply.json(status, status === 200 ? {} : { message: "Not saved" }) : "default");
    const { chat, server } = await start(t, { items: exchange(1), answer, permissions: ["clipboard-read", "clipboard-write"] });
    await chat.root.getByRole("button", { name: "Copy answer" }).click();
    await chat.root.getByRole("button", { name: "Copied" }).waitFor();
    assert.match(await chat.page.evaluate(() => navigator.clipboard.readText()), /^Answer 1\. Paragraph 0/);
    const pressed = (name, value) => chat.root.locator(`button[aria-label="${name}"][aria-pressed=${value}]`).waitFor();
    await chat.rate("good");
    await pressed("Good answer", true);
    assert.deepEqual(server.posts.at(-1).params, { thread_id: "thr_1", item_ids: ["msg_a1"], kind: "positive" });
    status = 500;
    await chat.rate("bad");
    await chat.root.locator("ck-toasts").getByText("Not saved").waitFor();
    await pressed("Good answer", true);
    await pressed("Bad answer", false);
  });

  test("has no buttons that the page has switched off", async (t) => {
    const { chat } = await start(t, { items: exchange(1), extra: "threadItemActions: { feedback: false, retry: false }" });
    await chat.root.getByRole("button", { name: "Copy answer" }).waitFor();
    for (const name of ["Good answer", "Bad answer", "Try again"]) assert.equal(await chat.root.getByRole("button", { name }).count(), 0);
  });

  test("can be quoted in the next message", async (t) => {
    const answer = (post) => (post.params.input ? post.reply.events(...accepted(post, "msg_new"), done(reply("Fine", "msg_answer"))).end() : "default");
    const { chat, server } = await start(t, { items: [question("Hello"), reply("First words. Other words.")], answer });
    const box = await chat.answers.first().locator("ck-markdown").evaluate((element) => {
      const text = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      while (text.nextNode() && !text.currentNode.data.trim());
      const range = document.createRange();
      range.setStart(text.currentNode, 0);
      range.setEnd(text.currentNode, 12);
      const { left, right, top, bottom } = range.getBoundingClientRect();
      return { left, right, middle: (top + bottom) / 2 };
    });
    await chat.page.mouse.move(box.left + 1, box.middle);
    await chat.page.mouse.down();
    await chat.page.mouse.move(box.right, box.middle, { steps: 5 });
    await chat.page.mouse.up();
    await chat.root.getByRole("button", { name: "Quote reply" }).click();
    await chat.say("What is that?");
    assert.match(server.posts.find(({ params }) => params.input).params.input.quoted_text, /^First words/);
  });

  test("is read out once, when it is complete", async (t) => {
    let stream;
    const answer = (post) => {
      if (!post.params.input) return "default";
      stream = post.reply.events(...accepted(post), added(reply("")), delta("msg_answer", "One "));
    };
    const { chat } = await start(t, { answer });
    await chat.send("Hello");
    await chat.grown(2);
    const live = chat.root.locator("ck-thread [aria-live=polite]");
    assert.equal(await live.textContent(), "");
    stream.events(delta("msg_answer", "two"), done(reply("One two"))).end();
    await chat.ended();
    await chat.until(async () => (await live.textContent()) === "Answer: One two", "the announcement");
    await chat.newChat();
    await live.waitFor({ state: "detached" });
  });
});

test("every kind of item is shown, and is accessible in both schemes", async (t) => {
  const base = { thread_id: "thr_1", created_at: "2026-01-01T00:00:00Z" };
  const pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mNk+M9Qz0AEYBxVSF+FABJADveWkH6oAAAAAElFTkSuQmCC";
  const url = (title, address) => ({ type: "annotation", source: { type: "url", title, url: address } });
  const items = [
    {
      ...question("", "msg_1"),
      quoted_text: "Revenue grew by 12 %.",
      content: [{ type: "input_text", text: "What does " }, { type: "input_tag", id: "e1", text: "Claim 7", interactive: true }, { type: "input_text", text: " say?" }],
      attachments: [{ type: "image", id: "a1", name: "chart.png", mime_type: "image/png", preview_url: pixel }, { type: "file", id: "a2", name: "report.pdf", mime_type: "application/pdf" }],
    },
    {
      ...base,
      id: "w1",
      type: "workflow",
      workflow: {
        type: "reasoning",
        summary: { duration: 72 },
        tasks: [
          { type: "thought", title: "Reading the claim", content: "It is about a car." },
          { type: "web_search", title_query: "Revenue", queries: ["revenue 2026"], sources: [{ type: "url", title: "Report", url: "https://www.example.com/report" }, { type: "url", title: "Trap", url: "javascript:alert(1)" }] },
          { type: "file", sources: [{ type: "file", title: "Numbers", filename: "numbers.xlsx" }] },
          { type: "custom", icon: "globe", title: "Asked the archive", content: "Nothing was found." },
          { type: "image", title: "Drew a chart" },
        ],
      },
    },
    { ...reply("The claim is about a car.", "msg_2"), content: [{ type: "output_text", text: "The claim is about a car.", annotations: [url("Example", "https://www.example.com/a"), url("Example", "https://www.example.com/a"), url("Other", "https://other.example/b")] }] },
    question(`${"A very long text. ".repeat(200)}Its end.`, "msg_3"),
    { ...base, id: "t1", type: "task", task: { type: "custom", title: "Looked it up", content: "Twice." } },
    { ...base, id: "i1", type: "generated_image", image: { id: "x", url: pixel } },
    { ...base, id: "i2", type: "generated_image", image: null },
    { ...base, id: "e1", type: "end_of_turn" },
  ];
  const { chat } = await start(t, { items, extra: `entities: { onClick(entity) { window.clicked = entity; } }` });
  const { root } = chat;
  await root.getByText("Revenue grew by 12 %.").waitFor();
  await root.getByRole("button", { name: "Claim 7" }).click();
  assert.deepEqual(await chat.page.evaluate(() => [window.clicked.id, window.clicked.title]), ["e1", "Claim 7"]);
  assert.equal(await root.getByRole("img", { name: "chart.png" }).count(), 1);
  await root.getByRole("button", { name: /^Thought for 1 minute 12 seconds/ }).click();
  assert.equal(await root.getByRole("link", { name: /^Report/ }).getAttribute("href"), "https://www.example.com/report");
  assert.equal(await root.getByRole("link", { name: /Trap/ }).count(), 0);
  for (const text of ["Reading the claim", "Nothing was found.", "Drew a chart", "numbers", "Twice."]) await root.getByText(text, { exact: false }).first().waitFor();
  await root.getByText("2 sources").click();
  await root.getByRole("link", { name: /^Other/ }).waitFor();
  assert.equal(await root.getByText("Its end.").count(), 0);
  await root.getByRole("button", { name: "Show more" }).click();
  await root.getByText("Its end.").waitFor();
  assert.equal(await root.getByRole("img", { name: "Generated image" }).count(), 2);
  await root.getByText("The image was not created.").waitFor();
  assert.equal(await root.getByRole("article", { name: "You said" }).count(), 2);
  assert.equal(await root.getByRole("article", { name: "Answer" }).count(), 1);
  assert.deepEqual(chat.strays, []); // no icons of the cited sites
  for (const colorScheme of ["light", "dark"]) {
    await chat.page.evaluate((colorScheme) => {
      const element = document.querySelector("openai-chatkit");
      element.setOptions({ ...element.options, theme: { colorScheme } });
    }, colorScheme);
    await chat.screenshot(`items-${colorScheme}`);
    await assertAccessible(chat.page, `items, ${colorScheme}`);
  }
});
