/** The server dies in the middle of an answer. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openChat } from "../chat.js";
import { askAndHold } from "../gate.js";
import { setStage } from "../stage.js";

/** The tests of one element, which kill a server of their own. */
export function crash(element) {
  describe("a crash", () => {
    const stage = setStage({ CHATKIT_AGENT: "showcase:agent" }, element);

    test("when the server is killed and starts again, the text stays and the chat says that the answer is incomplete", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("Hello"); // the thread that survives
      const { early } = await askAndHold(t, chat);
      const isWritten = async () => (await stage.server.sql("SELECT 1 FROM turn_events WHERE payload LIKE '%show:%'")).length;
      await chat.until(isWritten, "the journal, which is written every 250 ms");
      await stage.server.kill();
      await stage.server.start();
      const retry = element.retryError(chat.root);
      await retry.waitFor();
      assert.equal(await chat.answerText(), early);
      await chat.screenshot("crash");

      await chat.reload();
      await retry.waitFor();
      assert.equal(await chat.answerText(), early);
      await retry.click(); // the new answer waits at the same gate
      await chat.stopButton.waitFor();
      await chat.stop();
      await chat.ended();
      assert.equal(await chat.userMessages.count(), 2);
      assert.equal(await chat.answers.count(), 2);
    });
  });
}
