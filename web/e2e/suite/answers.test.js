/** Answers: how they arrive, and what happens when something interrupts them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openChat, plain } from "../chat.js";
import { elements } from "../elements/index.js";
import { startProxy } from "../proxy.js";
import { setStage } from "../stage.js";

const PACE = { CHATKIT_DEMO_TOKENS_PER_SECOND: "100" }; // an answer takes two seconds, a long one about seven
const THE_END = /runs on this machine/; // of every answer of the demo model

for (const element of elements) {
  // Concurrent: the tests mostly wait for the answers.
  describe(`answers, ${element.name} element`, { concurrency: 4 }, () => {
    const stage = setStage(PACE, element);

    test("the first message of a thread streams in, token by token", async (t) => {
      const chat = await openChat(t, stage);
      const early = await chat.ask("Hello");
      assert.match(await chat.userMessages.innerText(), /Hello/);
      await chat.ended();
      const late = await chat.answerText();
      assert.ok(late.startsWith(early), `${late} continues ${early}`);
      assert.match(late, THE_END);
      assert.match(chat.thread, /^thr_/);
      assert.equal(await chat.answers.count(), 1);
      const [{ params, headers }] = chat.posts("threads.create");
      assert.deepEqual(params.input.content, [{ type: "input_text", text: "Hello" }]);
      assert.match(headers["chatkit-frame-instance-id"], /^[0-9a-f-]{36}$/);
      assert.deepEqual(chat.strays, []);
    });

    test("after a reload in the middle, the answer is shown so far and continues live", async (t) => {
      const chat = await openChat(t, stage);
      const before = await chat.ask("Show me something long");
      await chat.reload();
      const again = await chat.grown(0);
      assert.ok(again.startsWith(before.slice(0, again.length)) && again.length >= before.length, `${again} contains ${before}`);
      await chat.stopButton.waitFor();
      await expectComplete(chat);
      assert.equal(await chat.userMessages.count(), 1);
    });

    test("Stop keeps the text, and the server knows who stopped it", async (t) => {
      const chat = await openChat(t, stage);
      await chat.ask("Show me something long");
      await chat.stop();
      await chat.ended();
      const [turn] = await chat.until(async () => {
        const turns = await stage.server.sql("SELECT status, stop_reason FROM turns WHERE thread_id = ?", chat.thread);
        return turns[0].status !== "running" && turns;
      });
      assert.deepEqual(turn, { status: "stopped", stop_reason: "user" });
      const shown = await chat.answerText();
      assert.doesNotMatch(shown, THE_END);
      await chat.reload();
      await chat.grown(0);
      assert.ok((await chat.answerText()).startsWith(shown));
      await chat.say("Hello again"); // the thread goes on
      assert.equal(await chat.answers.count(), 2);
    });

    test("after a lost connection, the answer continues without lost or repeated text", async (t) => {
      const { chat, proxy } = await openThroughProxy(t, stage);
      await chat.ask("Hello");
      proxy.cut();
      await expectComplete(chat);
      assert.equal(await chat.error.count(), 0);
    });

    test("an offline browser shows the rest of the answer once it is online again", async (t) => {
      const { chat, proxy } = await openThroughProxy(t, stage);
      await chat.ask("Hello");
      await chat.context.setOffline(true);
      proxy.cut();
      const [{ id }] = await stage.server.sql("SELECT id FROM turns WHERE thread_id = ?", chat.thread);
      await chat.until(async () => (await stage.server.sql("SELECT 1 FROM turns WHERE id = ? AND status = 'completed'", id)).length, "the end of the turn");
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
      await chat.ask("Show me something long");
      const { thread } = chat;
      await chat.newChat();
      await chat.say("Hello");
      assert.notEqual(chat.thread, thread);
      await chat.openHistory();
      await chat.openThread("Show me something long");
      await chat.stopButton.waitFor();
      const { length } = await chat.grown(0);
      await chat.grown(length);
      assert.equal(chat.thread, thread);
      await chat.stop();
      await chat.ended();
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
      assert.equal(await chat.answers.count(), 1);
      assert.equal(await chat.userMessages.count(), 1);
      await expectComplete(chat);
      const turns = await stage.server.sql("SELECT kind FROM turns WHERE thread_id = ? ORDER BY started_at", chat.thread);
      assert.equal(turns.length, 2);
    });
  });

  describe(`a crash, ${element.name} element`, () => {
    const stage = setStage(PACE, element);

    test("when the server is killed and starts again, the text stays and the chat says that the answer is incomplete", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("Hello"); // the thread that survives
      const before = await chat.ask("Show me something long", 400);
      await stage.server.kill();
      await stage.server.start();
      const retry = element.retryError(chat.root);
      await retry.waitFor();
      const shown = await chat.answerText();
      assert.ok(shown.startsWith(before.slice(0, 300)), `${shown} begins like ${before}`);
      await chat.screenshot("crash");

      await chat.reload();
      await retry.waitFor();
      assert.equal(await chat.answers.count(), 2);
      await retry.click();
      await chat.stopButton.waitFor();
      await chat.stop();
      await chat.ended();
      assert.equal(await chat.userMessages.count(), 2);
      assert.equal(await chat.answers.count(), 2);
    });
  });
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
