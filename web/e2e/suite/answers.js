/** Answers: how they arrive, and what happens when something interrupts them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openChat, plain } from "../chat.js";
import { askAndHold } from "../gate.js";
import { startProxy } from "../proxy.js";

const THE_END = /runs on this machine/; // of every answer of the demo model

/** The tests of one element, on the suite's stage. */
export function answers({ element, stage }) {
  // Concurrent: the tests mostly wait for the answers.
  describe("answers", { concurrency: 4 }, () => {
    test("the first message of a thread streams in, token by token", async (t) => {
      const chat = await openChat(t, stage);
      const { gate, early } = await askAndHold(t, chat);
      assert.match(await chat.userMessages.innerText(), /Hello/);
      gate.open();
      await expectComplete(chat);
      const late = await chat.answerText();
      assert.ok(late.startsWith(early), `${late} continues ${early}`);
      assert.match(chat.thread, /^thr_/);
      const [{ params, headers }] = chat.posts("threads.create");
      assert.deepEqual(params.input.content, [{ type: "input_text", text: `Hello, hold ${gate.port}` }]);
      assert.match(headers["chatkit-frame-instance-id"], /^[0-9a-f-]{36}$/);
      assert.deepEqual(chat.strays, []);
    });

    test("after a reload in the middle, the answer is shown so far and continues live", async (t) => {
      const chat = await openChat(t, stage);
      const { gate, early } = await askAndHold(t, chat);
      await chat.reload();
      await chat.stopButton.waitFor();
      assert.equal(await chat.grown(early.length - 1), early);
      gate.open();
      await expectComplete(chat);
      assert.equal(await chat.userMessages.count(), 1);
    });

    test("Stop keeps the text, and the server knows who stopped it", async (t) => {
      const chat = await openChat(t, stage);
      const { early } = await askAndHold(t, chat);
      await chat.stop();
      await chat.ended();
      assert.equal(await chat.answerText(), early);
      await chat.until(async () => (await lastTurn(chat)).status !== "running", "the end of the turn");
      assert.deepEqual(await lastTurn(chat), { status: "stopped", stop_reason: "user" });
      await chat.reload();
      assert.equal(await chat.grown(early.length - 1), early);
      await chat.say("Hello again"); // the thread goes on
      assert.equal(await chat.answers.count(), 2);
    });

    test("Stop ends an answer that is shown again after a reload", async (t) => {
      const chat = await openChat(t, stage);
      await askAndHold(t, chat);
      await chat.reload();
      await chat.stop();
      await chat.ended();
      await chat.until(async () => (await lastTurn(chat)).status === "stopped", "the end of the turn");
    });

    test("after a lost connection, the answer continues without lost or repeated text", async (t) => {
      const { chat, proxy } = await openThroughProxy(t, stage);
      const { gate } = await askAndHold(t, chat);
      proxy.cut();
      await chat.until(() => attaches(chat) >= 1, "a new connection");
      gate.open();
      await expectComplete(chat);
      assert.equal(await chat.error.count(), 0);
    });

    test("an offline browser shows the rest of the answer once it is online again", async (t) => {
      const { chat, proxy } = await openThroughProxy(t, stage);
      const { gate } = await askAndHold(t, chat);
      await chat.context.setOffline(true);
      proxy.cut();
      gate.open();
      await chat.until(async () => (await lastTurn(chat)).status === "completed", "the end of the turn");
      await chat.context.setOffline(false);
      await expectComplete(chat);
      assert.equal(await chat.error.count(), 0);
    });

    test("a message that is sent during an outage arrives when the server is back", async (t) => {
      const { chat, proxy } = await openThroughProxy(t, stage);
      await chat.say("Hello");
      proxy.isDown = true;
      proxy.cut();
      await chat.send("Are you there?");
      await chat.until(() => proxy.refused > 0, "an attempt");
      proxy.isDown = false;
      await expectComplete(chat, 2);
      assert.equal(await chat.userMessages.count(), 2);
    });

    test("an answer goes on while another thread is shown, and is live when the user returns", async (t) => {
      const chat = await openChat(t, stage);
      const { gate, early } = await askAndHold(t, chat);
      const { thread } = chat;
      await chat.newChat();
      await chat.say("Another thread");
      assert.notEqual(chat.thread, thread);
      await chat.openHistory();
      await chat.openThread(`Hello, hold ${gate.port}`);
      await chat.stopButton.waitFor();
      assert.equal(await chat.grown(early.length - 1), early);
      gate.open();
      await expectComplete(chat);
      assert.equal(chat.thread, thread);
    });

    test("an error is shown where the answer would be, and Retry asks again", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("Please show an error 500");
      await chat.error.waitFor();
      assert.equal(await chat.userMessages.count(), 1);
      const ends = await chat.count("response.end");
      await chat.retry();
      await chat.happened("response.end", ends + 1);
      await chat.error.waitFor(); // the demo model fails again
      assert.equal(await chat.userMessages.count(), 1);
      assert.equal(chat.posts("threads.retry_after_item").length, 1);
    });

    test("after a reload, a failed answer still says why, and its Retry works", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("error, please");
      await chat.error.waitFor();
      await chat.reload();
      const card = chat.widgets.last();
      await card.getByRole("button", { name: "Retry" }).waitFor();
      const ends = await chat.count("response.end");
      await card.getByRole("button", { name: "Retry" }).click();
      await chat.happened("response.end", ends + 1);
      await chat.error.waitFor();
      assert.equal(await chat.widgets.count(), 0);
      assert.equal(await chat.answers.count(), 1);
      assert.equal(await chat.userMessages.count(), 1);
    });

    test("another answer replaces the last one", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("Hello");
      const ends = await chat.count("response.end");
      await chat.regenerate();
      await chat.happened("response.end", ends + 1);
      await expectComplete(chat);
      assert.equal(await chat.userMessages.count(), 1);
      const turns = await stage.server.sql("SELECT kind FROM turns WHERE thread_id = ?", chat.thread);
      assert.equal(turns.length, 2);
    });
  });
}

/** How often the shown answer was asked for again. */
const attaches = (chat) => chat.posts("threads.custom_action").filter(({ params }) => params.action.type === "turn.attach").length;

async function lastTurn(chat) {
  const turns = await chat.stage.server.sql("SELECT status, stop_reason FROM turns WHERE thread_id = ? ORDER BY started_at", chat.thread);
  return turns.at(-1);
}

async function openThroughProxy(t, stage) {
  const proxy = await startProxy(stage.server.port);
  t.after(() => proxy.stop());
  return { proxy, chat: await openChat(t, stage, { origin: proxy.origin }) };
}

/** Checks that the last answer has ended, is complete, and is shown once. */
async function expectComplete(chat, answers = 1) {
  await chat.answers.nth(answers - 1).filter({ hasText: THE_END }).waitFor();
  await chat.ended();
  assert.equal(await chat.answers.count(), answers);
  const text = await chat.answerText();
  assert.equal(text.split("To get a real model").length, 2, text);
  const rows = await chat.stage.server.sql("SELECT text FROM thread_items WHERE thread_id = ? AND type = 'assistant_message' ORDER BY position", chat.thread);
  const words = (text) => plain(text.replace(/[^\p{L}\s]/gu, " ")); // without markdown
  assert.equal(words(text), words(rows.at(-1).text));
}
