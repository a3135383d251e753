/** Answers: how they arrive, and what happens when something interrupts them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openChat } from "../chat.js";
import { elements } from "../elements/index.js";
import { setStage } from "../stage.js";

for (const element of elements) {
  describe(`answers, ${element.name} element`, { concurrency: 4 }, () => {
    const stage = setStage({ CHATKIT_DEMO_TOKENS_PER_SECOND: "80" }, element);

    test("the first message of a thread streams in, token by token", async (t) => {
      const chat = await openChat(t, stage);
      const early = await chat.ask("Hello");
      assert.match(await chat.userMessages.innerText(), /Hello/);
      await chat.ended();
      const late = await chat.answerText();
      assert.ok(late.startsWith(early) && late.length > early.length, `${late} continues ${early}`);
      assert.match(chat.thread, /^thr_/);
      assert.equal(await chat.answers.count(), 1);
      assert.deepEqual(chat.strays, []);
    });
  });
}
