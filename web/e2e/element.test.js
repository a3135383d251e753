/** What only the open element does, and what no real server answers: outages, refusals, faulty streams, life cycle. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { launchBrowser } from "./browser.js";
import { openChat } from "./chat.js";
import { open } from "./elements/open.js";
import { accepted, added, call, delta, done, options, question, reply, startScripted } from "./scripted.js";

const stage = { browser: undefined, server: { origin: "", output: () => "" }, element: open };
before(async () => {
  stage.browser = await launchBrowser();
});
after(() => stage.browser?.close());

/** Opens a bare page on a server that answers with `answer`; `items` are those of any thread. */
async function start(t, answer, { items = [], extra = "", ...rest } = {}) {
  const server = await startScripted(answer);
  t.after(() => server.stop());
  server.items = items;
  const chat = await openChat(t, stage, { origin: server.origin, bare: `{ history: { enabled: false }, threadItemActions: { retry: true }, ${extra} }`, ...rest });
  return { chat, server };
}

const messages = (server) => server.posts.filter(({ params }) => params.input);
const attaches = (server) => server.posts.filter(({ params }) => params.action?.type === "turn.attach");
const isAttach = ({ params }) => params.action?.type === "turn.attach";
const names = async (chat) => (await chat.events()).map(({ name }) => name).filter((name) => name !== "log" && name !== "ready");

async function write(chat, text) {
  await chat.composer.fill(text);
  await chat.sendButton.click();
}

/** Ends every wait before the next attempt. */
const hurry = (chat) => chat.page.evaluate(() => window.dispatchEvent(new Event("online")));

const toast = (chat, text) => chat.root.locator("ck-toasts").getByText(text).first().waitFor();
const composed = (chat, text) => chat.until(async () => (await chat.composer.inputValue()) === text, `“${text}” in the composer`);
const inPage = (chat, work, argument) => chat.page.evaluate(work, argument);

describe("a message that is not accepted", { concurrency: 3 }, () => {
  test("is posted six times with the same bytes while the server fails, and returns to the composer", async (t) => {
    const { chat, server } = await start(t, (post) => (post.params.input ? post.reply.json(503, { message: "Restarting", code: "stopping" }) : "default"));
    await write(chat, "Hello");
    await chat.stopButton.or(chat.sendButton).first().waitFor();
    await chat.until(async () => {
      await hurry(chat);
      return messages(server).length === 6 && (await chat.composer.inputValue()) === "Hello";
    }, "six posts");
    assert.equal(new Set(messages(server).map(({ text }) => text)).size, 1);
    assert.equal(new Set(messages(server).map(({ headers }) => headers["chatkit-frame-instance-id"])).size, 1);
    await toast(chat, /back in the composer/);
    assert.equal(await chat.userMessages.count(), 0);
    assert.deepEqual(await names(chat), ["response.start", "error", "response.end"]);
  });

  test("is posted once where the server says that there are too many requests", async (t) => {
    const { chat, server } = await start(t, (post) => (post.params.input ? post.reply.json(429, { message: "Slow down", code: "rate_limit" }) : "default"));
    await write(chat, "Hello");
    await toast(chat, /Too many requests/);
    await composed(chat, "Hello");
    assert.equal(messages(server).length, 1);
  });

  test("returns when the stream begins with an error, with the server's reason", async (t) => {
    const { chat, server } = await start(t, (post) => (post.params.input ? post.reply.events({ type: "error", code: "locked", message: "This thread is locked.", allow_retry: false }).end() : "default"));
    await write(chat, "Hello");
    await toast(chat, /This thread is locked/);
    await composed(chat, "Hello");
    assert.equal(messages(server).length, 1);
    assert.equal(await chat.error.count(), 0);
    const isError = await inPage(chat, () =>
      new Promise((resolve) => {
        const element = document.querySelector("openai-chatkit");
        element.addEventListener("chatkit.error", ({ detail }) => resolve([detail.error instanceof Error, detail.error.name]), { once: true });
        void element.sendUserMessage({ text: "Again" });
      }),
    );
    assert.deepEqual(isError, [true, "StreamError"]);
  });

  test("returns after an empty stream", async (t) => {
    const { chat } = await start(t, (post) => (post.params.input ? post.reply.raw(": ping\n\n").end() : "default"));
    await write(chat, "Hello");
    await composed(chat, "Hello");
    await toast(chat, /did not answer/);
  });

  test("waits in its own thread if the user has opened another one", async (t) => {
    let refuse = () => {};
    const { chat } = await start(t, (post) => {
      if (!post.params.input) return "default";
      refuse = () => post.reply.json(403, { message: "No", code: "forbidden" });
    }, { items: [question("Old"), reply("Answer")], path: "/?thread=thr_1" });
    await chat.answers.first().waitFor();
    await write(chat, "For this thread");
    await chat.userMessages.nth(1).waitFor();
    await chat.newChat();
    refuse();
    await toast(chat, /back in the composer/);
    assert.equal(await chat.composer.inputValue(), "");
    await inPage(chat, () => document.querySelector("openai-chatkit").setThreadId("thr_1"));
    await composed(chat, "For this thread");
  });

  test("is not lost if the user has begun another new chat, and another text", async (t) => {
    let refuse;
    const { chat } = await start(t, (post) => {
      if (!post.params.input) return "default";
      refuse = () => post.reply.json(403, { message: "No", code: "forbidden" });
    });
    await write(chat, "First");
    await chat.userMessages.first().waitFor();
    await chat.newChat();
    await chat.composer.fill("Second");
    refuse();
    await composed(chat, "First\nSecond");
  });

  test("is posted again when the connection breaks before the first event", async (t) => {
    let times = 0;
    const { chat, server } = await start(t, (post) => {
      if (!post.params.input) return "default";
      if (++times === 1) return post.reply.raw(": ping\n\n") && setTimeout(() => post.reply.cut(), 50);
      post.reply.events(...accepted(post), done(reply("Here I am."))).end();
    });
    await write(chat, "Hello");
    await chat.until(async () => (await hurry(chat), await chat.answers.count()), "an answer");
    assert.equal(messages(server).length, 2);
    assert.equal(messages(server)[0].text, messages(server)[1].text);
    assert.equal(await chat.userMessages.count(), 1);
  });
});

describe("an answer whose connection is lost", { concurrency: 3 }, () => {
  test("goes on without an error, an end, or repeated words", async (t) => {
    let first;
    let attached;
    const { chat, server } = await start(t, (post) => {
      if (post.params.input) first = post.reply.events(...accepted(post), added(reply("")), delta("msg_answer", "One two "));
      else if (isAttach(post) && attaches(server).length < 3) post.reply.json(502, {});
      else if (isAttach(post)) attached = post.reply.events(options(), done(question("Hello")), added(reply("One two three ")), delta("msg_answer", "four"));
      else return "default";
    });
    await write(chat, "Hello");
    await chat.grown(5);
    first.cut();
    await chat.until(async () => (await hurry(chat), attached), "an attached stream");
    await chat.until(async () => (await chat.answerText()) === "One two three four", "the rest");
    assert.ok(await chat.stopButton.isVisible());
    attached.events(done(reply("One two three four five"))).end();
    await chat.ended();
    assert.equal(await chat.answerText(), "One two three four five");
    assert.equal(await chat.answers.count(), 1);
    assert.equal(await chat.userMessages.count(), 1);
    assert.deepEqual(await names(chat), ["response.start", "thread.change", "response.end"]);
  });

  test("is attached again where a proxy ends the stream in the middle", async (t) => {
    const { chat, server } = await start(t, (post) => {
      if (post.params.input) post.reply.events(...accepted(post), added(reply("")), delta("msg_answer", "One ")).end();
      else if (isAttach(post)) post.reply.events(options(), done(reply("One two"))).end();
      else return "default";
    });
    await write(chat, "Hello");
    await chat.until(async () => (await hurry(chat), (await chat.answers.count()) && (await chat.answerText()) === "One two"), "the rest");
    await chat.ended();
    assert.equal(attaches(server).length, 1);
  });

  test("shows an error with Retry where the server does not know how to attach; Retry asks again", async (t) => {
    let first;
    const { chat, server } = await start(t, (post) => {
      if (post.params.input) first = post.reply.events(...accepted(post), added(reply("")), delta("msg_answer", "One "));
      else if (isAttach(post)) post.reply.events({ type: "error", code: "custom", message: "Unknown action" }).end();
      else if (post.type === "threads.retry_after_item") post.reply.events(options(), done(reply("Again", "msg_2"))).end();
      else return "default";
    });
    await write(chat, "Hello");
    await chat.grown(2);
    first.cut();
    await chat.until(async () => (await hurry(chat), await chat.error.count()), "an error");
    assert.match(await chat.error.innerText(), /connection was lost/i);
    assert.equal(await chat.answerText(), "One");
    await chat.retry();
    await chat.until(async () => (await chat.answerText()) === "Again", "another answer");
    assert.equal(await chat.error.count(), 0);
    assert.equal(server.posts.at(-1).params.item_id, "msg_user");
  });

  test("is no concern of a server without re-attach when a thread is opened", async (t) => {
    for (const refuse of [(reply) => reply.json(500, {}), (reply) => reply.events({ type: "error", code: "custom", message: "Unknown action" }).end()]) {
      const { chat, server } = await start(t, (post) => (isAttach(post) ? refuse(post.reply) : "default"), { items: [question("Old"), reply("Answer")], path: "/?thread=thr_1" });
      await chat.happened("thread.load.end");
      await chat.until(() => attaches(server).length, "an attach");
      await write(chat, "Hello"); // the next request: the attach has ended, or ends now
      await toast(chat, /Not in this script/);
      assert.equal(attaches(server).length, 1);
      assert.equal(await chat.error.count(), 0);
      assert.equal(await chat.count("error"), 1); // of the message
    }
  });
});

describe("Stop", { concurrency: 3 }, () => {
  test("ends the answer at once where the server is away, without an error, and tells the server later", async (t) => {
    const { chat, server } = await start(t, (post) => (post.params.input ? post.reply.events(...accepted(post), added(reply("")), delta("msg_answer", "One ")) : "default"));
    await write(chat, "Hello");
    await chat.grown(2);
    let isAway = true;
    server.items = [question("Hello"), reply("One")];
    await chat.page.route("**/stop", (route) => (isAway ? route.abort() : route.continue()));
    await chat.stop();
    await chat.ended();
    isAway = false;
    await chat.until(async () => (await hurry(chat), server.others.length), "the stop");
    assert.deepEqual(server.others, ["/api/threads/thr_1/stop"]);
    assert.deepEqual(await names(chat), ["response.start", "thread.change", "response.stop", "response.end"]);
    assert.equal(await chat.error.count(), 0);
    assert.equal(await chat.answerText(), "One");
  });

  test("ends an answer that was attached after a reload", async (t) => {
    const { chat, server } = await start(t, (post) => (isAttach(post) ? post.reply.events(options(), added(reply("One "))) : "default"), { items: [question("Hello"), reply("One ")], path: "/?thread=thr_1" });
    await chat.stop();
    await chat.until(() => server.others.length, "the stop");
    attaches(server)[0].reply.events(done(reply("One."))).end();
    await chat.ended();
    assert.equal(await chat.answerText(), "One.");
    assert.deepEqual(await names(chat), ["thread.load.start", "thread.change", "thread.load.end", "response.start", "response.stop", "response.end"]);
    assert.equal(await chat.error.count(), 0);
  });

  test("waits for the thread's id, and stops then", async (t) => {
    let post;
    const { chat, server } = await start(t, (request) => {
      if (!request.params.input) return "default";
      post = request;
      post.reply.events(options());
    });
    await write(chat, "Hello");
    await chat.stop();
    post.reply.events(...accepted(post));
    await chat.until(() => server.others.length, "the stop");
    post.reply.end();
    await chat.ended();
    assert.deepEqual(server.others, ["/api/threads/thr_1/stop"]);
  });
});

describe("the page", { concurrency: 3 }, () => {
  test("runs a client tool once, and a handler that throws answers with an error", async (t) => {
    const { chat, server } = await start(t, (post) => {
      if (post.params.input) post.reply.events(...accepted(post), done(call("fail", { x: 1 })), done(call("fail", { x: 1 }))).end();
      else if (post.type === "threads.add_client_tool_output" && post.params.result.error) post.reply.events(options(), done(call("work", {}, "call_2"))).end();
      else if (post.type === "threads.add_client_tool_output") post.reply.events(options(), done(reply("Thank you"))).end();
      else return "default";
    }, { extra: `onClientTool({ name, params }) { if (name === "fail") throw new Error("No " + params.x); return { fine: true }; }` });
    await write(chat, "Hello");
    await chat.until(async () => (await chat.answers.count()) && (await chat.answerText()) === "Thank you", "the answer");
    const outputs = server.posts.filter(({ type }) => type === "threads.add_client_tool_output").map(({ params }) => params.result);
    assert.deepEqual(outputs, [{ error: "Error: No 1" }, { fine: true }]);
  });

  test("leaves a running thread with response.end, and finds it live", async (t) => {
    let stream;
    const { chat } = await start(t, (post) => {
      if (!post.params.input) return "default";
      if (post.params.input.content[0].text === "Other") return post.reply.json(403, { message: "No" });
      stream = post.reply.events(...accepted(post), added(reply("")), delta("msg_answer", "One "));
    });
    await write(chat, "Hello");
    await chat.grown(2);
    await chat.newChat();
    stream.events(delta("msg_answer", "two "));
    await inPage(chat, () => document.querySelector("openai-chatkit").setThreadId("thr_1"));
    await chat.until(async () => (await chat.answerText()) === "One two", "the words of the meantime");
    stream.events(delta("msg_answer", "three"), done(reply("One two three"))).end();
    await chat.ended();
    assert.equal(await chat.answerText(), "One two three");
    assert.deepEqual(await names(chat), ["response.start", "thread.change", "response.end", "thread.change", "thread.change", "response.start", "response.end"]);
  });

  test("may move the element, and may take it out and put it back", async (t) => {
    let stream;
    const { chat, server } = await start(t, (post) => {
      if (post.params.input) stream = post.reply.events(...accepted(post), added(reply("")), delta("msg_answer", "One "));
      else if (isAttach(post)) post.reply.events(options(), added(reply("One two "))), (stream = post.reply);
      else return "default";
    });
    await write(chat, "Hello");
    await chat.grown(2);
    await inPage(chat, () => document.body.append(Object.assign(document.createElement("main"), { id: "other", style: "height:100%" })));
    await inPage(chat, () => document.querySelector("#other").append(document.querySelector("openai-chatkit")));
    stream.events(delta("msg_answer", "two "));
    await chat.until(async () => (await chat.answerText()) === "One two", "the stream of a moved element");
    server.items = [question("Hello"), reply("One")];
    const before = stream;
    await inPage(chat, () => {
      window.kept = document.querySelector("openai-chatkit");
      window.kept.remove();
    });
    await chat.until(() => before.isClosed, "the end of the connection");
    assert.deepEqual(server.others, []); // the turn goes on
    await inPage(chat, () => document.querySelector("#other").append(window.kept));
    await chat.until(() => stream !== before, "another connection");
    stream.events(delta("msg_answer", "three"), done(reply("One two three"))).end();
    await chat.until(async () => (await chat.answerText()) === "One two three", "the rest");
    await chat.ended();
    assert.equal(await chat.answers.count(), 1);
  });

  test("begins anew with another server", async (t) => {
    const { chat, server } = await start(t, (post) => (post.params.input ? post.reply.events(...accepted(post), done(reply(`From ${post.url}`))).end() : "default"));
    await chat.say("Hello");
    await inPage(chat, () => document.querySelector("openai-chatkit").setOptions({ api: { url: "/chatkit?other", domainKey: "x" } }));
    await chat.answers.first().waitFor({ state: "detached" });
    await chat.say("Hello");
    assert.equal(await chat.answerText(), "From /chatkit?other");
    assert.deepEqual(messages(server).map(({ type }) => type), ["threads.create", "threads.create"]);
  });

  test("keeps a thread that cannot be loaded now, with Retry, and forgets one that is gone", async (t) => {
    let status = 503;
    const { chat } = await start(t, (post) => (post.type === "threads.get_by_id" && status ? post.reply.json(status, { message: "No such thread", code: "not_found" }) : "default"), {
      items: [question("Old"), reply("Answer")],
      path: "/?thread=thr_1",
    });
    await chat.until(async () => (await hurry(chat), await chat.error.count()), "an error");
    assert.equal(chat.thread, "thr_1");
    status = 0;
    await chat.retry();
    await chat.answers.first().waitFor();
    status = 404;
    // While the thread is still being attached, it is shown again without a request.
    await chat.until(async () => {
      await inPage(chat, () => document.querySelector("openai-chatkit").setThreadId("thr_1"));
      return chat.thread === null;
    }, "a new thread in place of the one that is gone");
    await toast(chat, /No such thread/);
    assert.equal(chat.thread, null);
  });

  test("is fetched again when the user returns, but not often, and not while an error offers Retry", async (t) => {
    const { chat, server } = await start(t, (post) => (post.params.input ? post.reply.events(...accepted(post, "msg_new"), { type: "error", code: "x", message: "Broken", allow_retry: true }).end() : "default"), {
      items: [question("Old"), reply("Answer")],
      path: "/?thread=thr_1",
    });
    await chat.answers.first().waitFor();
    await chat.until(() => attaches(server).length, "the first attach");
    const loads = () => server.posts.filter(({ type }) => type === "threads.get_by_id").length;
    server.items = [question("Old"), reply("Answer"), question("From the other tab", "msg_3"), reply("Its answer", "msg_4")];
    const comeBack = () => inPage(chat, () => ["focus", "focus", "online"].forEach((name) => window.dispatchEvent(new Event(name))));
    await comeBack();
    await chat.until(async () => (await chat.answers.count()) === 2, "the answer of the other tab");
    assert.equal(loads(), 2);
    await chat.until(() => attaches(server).length === 2, "an attach: that answer may be running");
    await chat.send("Hello");
    await chat.error.waitFor();
    await inPage(chat, () => (performance.now = ((now) => () => now() + 60_000)(performance.now.bind(performance)))); // later
    await comeBack();
    await chat.say("Again"); // whatever that has begun is over
    assert.equal(loads(), 2);
  });

  test("hears of effects, diagnostics and errors", async (t) => {
    const { chat } = await start(t, (post) => {
      if (!post.params.input) return "default";
      post.reply.events(...accepted(post), { type: "client_effect", name: "confetti", data: { count: 3 } }, { type: "client_effect", name: "bell" }, { type: "error", code: "x", message: "Broken", allow_retry: false }).end();
    });
    await chat.say("Hello");
    assert.deepEqual((await chat.events("effect")).map(({ detail }) => detail), [{ name: "confetti", data: { count: 3 } }, { name: "bell", data: {} }]);
    assert.deepEqual((await chat.events("log"))[0].detail, { name: "composer.submit", data: { type: "threads.create" } });
    await chat.error.filter({ hasText: "Broken" }).waitFor();
    assert.equal(await chat.error.getByRole("button").count(), 0); // no Retry
  });

  test("sees the old answer again if the server refuses to answer once more", async (t) => {
    const { chat } = await start(t, (post) => (post.type === "threads.retry_after_item" ? post.reply.events({ type: "error", code: "x", message: "Not now" }).end() : "default"), {
      items: [question("Old"), reply("Answer")],
      path: "/?thread=thr_1",
    });
    await chat.answers.first().waitFor();
    await chat.regenerate();
    await chat.error.filter({ hasText: "Not now" }).waitFor();
    assert.equal(await chat.answerText(), "Answer");
  });
});

test("a faulty stream breaks neither the answer nor the page", async (t) => {
  const faults = [
    { type: "thread.item.added" },
    { type: "thread.item.added", item: null },
    { type: "thread.item.done", item: { id: "x1", type: "assistant_message" } },
    { type: "thread.item.done", item: { id: "x2", type: "workflow" } },
    { type: "thread.item.done", item: { id: "x3", type: "task", task: 5 } },
    { type: "thread.item.done", item: { id: "x4", type: "user_message", content: "text" } },
    { type: "thread.item.done", item: { id: "x5", type: "widget" } },
    { type: "thread.item.done", item: { id: "x6", type: "generated_image", image: { url: "javascript:alert(1)" } } },
    { type: "thread.item.done", item: { id: "x7", type: "hologram", content: [{}] } },
    { type: "thread.item.done", item: { id: "x8", type: "structured_input" } },
    { type: "thread.item.done", item: { id: 9, type: "assistant_message" } },
    { type: "thread.item.updated", item_id: "none" },
    { type: "thread.item.updated", item_id: "msg_answer", update: null },
    { type: "thread.item.updated", item_id: "msg_answer", update: { type: "assistant_message.content_part.done", content_index: 4e9, content: null } },
    { type: "thread.item.updated", item_id: "msg_answer", update: { type: "assistant_message.content_part.annotation_added", content_index: 0, annotation_index: -1, annotation: {} } },
    { type: "thread.item.updated", item_id: "x2", update: { type: "workflow.task.added", task_index: 1e9, task: null } },
    { type: "thread.item.replaced" },
    { type: "thread.updated" },
    { type: "stream_options" },
    { type: "progress_update", icon: 7, text: { a: 1 } },
    { type: "notice", level: "loud", message: null },
    { type: "client_effect" },
    { type: "from.the.future" },
    { type: 5 },
    [],
    null,
  ];
  const { chat } = await start(t, (post) => {
    if (!post.params.input) return "default";
    post.reply.events(...accepted(post), added(reply("")), delta("msg_answer", "Still "), ...faults);
    post.reply.raw("data: {not json\n\nid: 5\nretry: 1\nevent: x\n\n: comment\r\n\r\ndata: {\r\ndata: }\r\n\r\n");
    post.reply.events(delta("msg_answer", "here"), done(reply("Still here"))).end();
  });
  await chat.say("Hello");
  assert.equal(await chat.root.locator('[data-id="msg_answer"]').innerText(), "Still here");
  assert.ok((await chat.count("error")) >= 1);
  await chat.say("And again");
  assert.equal(await chat.root.locator('[data-id="msg_answer"]').count(), 1);
});
