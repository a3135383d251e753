/** What a user puts into a message besides text: files, the model, a tool, mentions, speech. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openChat } from "../chat.js";
import { setStage } from "../stage.js";
import { heard, SPOKEN, startTranscription } from "./transcription.js";

/** One red pixel. */
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC", "base64");
const PDF = Buffer.from("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n");

/** With a choice of models, the server's model replaces the agent's: so these have a server of their own. */
async function settings() {
  const transcription = await startTranscription();
  return {
    CHATKIT_MODELS: '["demo", {"id": "demo-2", "label": "Another model", "description": "The same script"}]',
    CHATKIT_TOOLS: '[{"id": "current_time", "label": "Clock", "icon": "clock"}]',
    CHATKIT_TRANSCRIPTION_MODEL: "ears",
    CHATKIT_TRANSCRIPTION_BASE_URL: `http://127.0.0.1:${transcription.address().port}/v1`,
  };
}

export function composer(element) {
  describe("composer", { concurrency: 3 }, () => {
    const stage = setStage(settings, element);

    test("an image and a PDF are uploaded, shown, and sent with the message", async (t) => {
      const chat = await openChat(t, stage);
      await chat.attach({ name: "red.png", mimeType: "image/png", buffer: PNG }, { name: "paper.pdf", mimeType: "application/pdf", buffer: PDF });
      await chat.root.getByText("paper.pdf").first().waitFor();
      await chat.until(async () => (await stage.server.sql("SELECT 1 FROM attachments WHERE status = 'stored'")).length === 2, "the uploads");
      await chat.screenshot("attachments");
      await chat.say("Look at these");
      await chat.answers.filter({ hasText: "You attached 2 files" }).waitFor();
      const [{ params }] = chat.posts("threads.create");
      assert.equal(params.input.attachments.length, 2);
      await chat.reload();
      await chat.root.getByText("paper.pdf").waitFor();
      const image = chat.root.getByRole("img", { name: "red.png" });
      await chat.until(() => image.first().evaluate((img) => img.complete && img.naturalWidth > 0), "the picture");
      const rows = await stage.server.sql("SELECT name, mime_type, status FROM attachments WHERE thread_id = ? ORDER BY name", chat.thread);
      assert.deepEqual(rows, [
        { name: "paper.pdf", mime_type: "application/pdf", status: "stored" },
        { name: "red.png", mime_type: "image/png", status: "stored" },
      ]);
    });

    test("the chosen model and tool go with the message", async (t) => {
      const chat = await openChat(t, stage);
      await chat.chooseModel("Another model");
      await chat.chooseTool("Clock");
      await chat.say("Hello");
      const [{ params }] = chat.posts("threads.create");
      assert.deepEqual(params.input.inference_options, { model: "demo-2", tool_choice: { id: "current_time" } });
      await chat.say("And now?"); // the model stays, a tool is for one message
      const [second] = chat.posts("threads.add_user_message");
      assert.deepEqual(second.params.input.inference_options, { model: "demo-2" });
    });

    test("speech becomes text in the composer", async (t) => {
      const chat = await openChat(t, stage, { permissions: ["microphone"] });
      await chat.dictate();
      const end = element.endDictation(chat.root);
      await end.waitFor();
      await chat.endDictation();
      await chat.until(async () => (await chat.composer.inputValue()).includes(SPOKEN), "the text");
      assert.ok(heard.at(-1) > 0);
      const [{ params }] = chat.posts("input.transcribe");
      assert.match(params.mime_type, /^audio\/(webm|mp4|ogg)/);
      await chat.sendButton.click();
      await chat.userMessages.filter({ hasText: SPOKEN }).waitFor();
    });
  });
}

export function mentions(element) {
  describe("mentions", () => {
    const stage = setStage({ CHATKIT_E2E_APP: "shop:app", CHATKIT_DEMO_TOKENS_PER_SECOND: "1000" }, element);

    test("an order is mentioned with @, and the model reads what it contains", async (t) => {
      const chat = await openChat(t, stage);
      await chat.composer.fill("When does it arrive: ");
      await chat.mention("1", "Order 17");
      await chat.sendButton.click();
      await chat.answers.filter({ hasText: "You wrote" }).waitFor();
      await chat.ended();
      const [{ params }] = chat.posts("threads.create");
      const tag = params.input.content.find(({ type }) => type === "input_tag");
      assert.deepEqual({ id: tag.id, text: tag.text, group: tag.group }, { id: "17", text: "Order 17", group: "Orders" });
      await chat.userMessages.filter({ hasText: "Order 17" }).waitFor();
      await chat.screenshot("mention");
      await chat.reload();
      await chat.userMessages.filter({ hasText: "When does it arrive" }).filter({ hasText: "Order 17" }).waitFor();
    });
  });
}
