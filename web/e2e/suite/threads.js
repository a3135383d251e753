/** Threads: the history panel, other tabs, long threads, ratings. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openChat, plain } from "../chat.js";
import { makeGate } from "../gate.js";

/** The tests of one element, on the suite's stage. */
export function threads({ element, stage }) {
  describe("threads", { concurrency: 3 }, () => {
    /** Opens a chat with three threads and the history panel. */
    async function openThreads(t) {
      const chat = await openChat(t, stage);
      for (const text of ["Apples from Kent", "Bananas from Ghana", "Cherries from Kent"]) {
        await chat.newChat();
        await chat.say(text);
      }
      await chat.openHistory();
      return chat;
    }

    test("a thread of the history opens with its messages, and its address survives a reload", async (t) => {
      const chat = await openThreads(t);
      await chat.openThread("Bananas from Ghana");
      await chat.userMessages.filter({ hasText: "Bananas from Ghana" }).waitFor();
      const { thread } = chat;
      await chat.reload();
      await chat.userMessages.filter({ hasText: "Bananas from Ghana" }).waitFor();
      assert.equal(chat.thread, thread);
      await chat.newChat();
      await chat.userMessages.waitFor({ state: "detached" });
      assert.equal(chat.thread, null);
    });

    test("a search in the history finds threads by their titles", async (t) => {
      const chat = await openThreads(t);
      assert.equal(await chat.threads.count(), 3);
      await chat.searchHistory("kent");
      await chat.threadEntry("Bananas").waitFor({ state: "detached" });
      assert.equal(await chat.threads.count(), 2);
      await chat.searchHistory("");
      await chat.threadEntry("Bananas").waitFor();
    });

    test("a renamed thread keeps its title", async (t) => {
      const chat = await openThreads(t);
      await chat.renameThread("Bananas from Ghana", "Fruit of the year");
      await chat.threadEntry("Fruit of the year").waitFor();
      const rows = await chat.until(async () => {
        const rows = await stage.server.sql("SELECT id FROM threads WHERE title = 'Fruit of the year'");
        return rows.length && rows;
      });
      assert.equal(rows.length, 1);
      await chat.reload();
      await chat.openHistory();
      await chat.threadEntry("Fruit of the year").waitFor();
      assert.equal(await chat.threadEntry("Bananas").count(), 0);
    });

    test("a deleted thread is gone, here and in the database", async (t) => {
      const chat = await openThreads(t);
      await chat.openThread("Bananas from Ghana");
      await chat.userMessages.filter({ hasText: "Bananas" }).waitFor();
      const { thread } = chat;
      await chat.openHistory();
      await chat.deleteThread("Bananas from Ghana");
      await chat.threadEntry("Bananas").waitFor({ state: "detached" });
      await chat.until(async () => (await stage.server.sql("SELECT 1 FROM threads WHERE id = ?", thread)).length === 0, "the deletion");
      await chat.until(() => chat.thread === null, "a new thread");
      await chat.reload();
      assert.equal(await chat.userMessages.count(), 0);
    });

    test("a rating becomes a row", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("Hello");
      await chat.rate("good");
      const rows = await chat.until(async () => {
        const rows = await stage.server.sql("SELECT f.kind, i.type FROM feedback f JOIN thread_items i ON i.id = f.item_id WHERE f.thread_id = ?", chat.thread);
        return rows.length && rows;
      });
      assert.deepEqual(rows, [{ kind: "positive", type: "assistant_message" }]);
      await chat.rate("bad");
      await chat.until(async () => (await stage.server.sql("SELECT 1 FROM feedback WHERE thread_id = ? AND kind = 'negative'", chat.thread)).length, "the other rating");
    });

    test("a second tab shows what the first one sent as soon as the user returns to it", async (t) => {
      const first = await openChat(t, stage);
      await first.say("Hello from the first tab");
      const second = await first.secondTab();
      await second.answers.waitFor();
      await first.page.bringToFront();
      await first.say("Another one");
      await second.page.bringToFront();
      await second.page.evaluate(() => window.dispatchEvent(new Event("focus"))); // headless tabs never lose it
      await second.userMessages.filter({ hasText: "Another one" }).waitFor();
      await second.answers.nth(1).waitFor();
      assert.equal(await second.userMessages.count(), 2);
      assert.equal(second.thread, first.thread);
    });

    test("two tabs show the same answer while it streams, and both see it stop", async (t) => {
      const first = await openChat(t, stage);
      await first.say("Hello");
      const gate = await makeGate(t);
      await first.send(`call look_up {"gate": ${gate.port}}`);
      await first.root.getByText("Looking on the shelves").waitFor();
      const second = await first.secondTab();
      await second.stopButton.waitFor();
      await second.stop();
      await Promise.all([first.ended(), second.ended()]);
      const turns = await stage.server.sql("SELECT status, stop_reason FROM turns WHERE thread_id = ? ORDER BY started_at", first.thread);
      assert.deepEqual(turns.at(-1), { status: "stopped", stop_reason: "user" });
    });

    test("another browser sees neither the thread nor the history", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("A secret");
      const stranger = await openChat(t, stage, { path: `/?thread=${chat.thread}` });
      await stranger.happened("error");
      assert.equal(await stranger.root.getByText("A secret").count(), 0);
      assert.deepEqual(await stage.server.sql("SELECT COUNT(DISTINCT user_id) AS users FROM threads WHERE id = ?", chat.thread), [{ users: 1 }]);
    });

    test("a thread of 300 messages, more than one page, opens at its end", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say('call write_many {"count": 300}');
      await chat.reload();
      await chat.happened("thread.load.end");
      const last = chat.root.getByText(/The tool .* answered: They are written/);
      await last.waitFor();
      await chat.until(() => last.evaluate((text) => text.getBoundingClientRect().top < window.innerHeight), "the end of the thread");
      assert.equal(await chat.answers.count(), 301);
      assert.ok(chat.posts("items.list").length >= 1, "it was loaded in pages");
      const texts = await chat.answers.evaluateAll((answers) => answers.map(({ textContent }) => textContent.match(/Message (\d+)\./)?.[1]));
      assert.deepEqual(texts.slice(0, 300), Array.from({ length: 300 }, (_, index) => String(index + 1)));
      assert.equal(plain(await chat.userMessages.innerText()).includes("write_many"), true);
    });
  });
}
