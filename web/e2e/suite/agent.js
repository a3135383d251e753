/** What an agent shows and asks besides text. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openChat } from "../chat.js";
import { makeGate } from "../gate.js";

/** The tests of one element, on the suite's stage. */
export function agent({ element, stage }) {
  describe("agent", { concurrency: 4 }, () => {
    test("a form is filled in and sent, and becomes what was ordered", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say("call show_form {}");
      const form = chat.widgets.last();
      await form.getByRole("textbox", { name: "Your name" }).fill("Ada");
      await form.getByRole("radio", { name: "Large" }).click();
      await form.getByRole("checkbox", { name: "Wrap it" }).click();
      await chat.screenshot("form");
      await form.getByRole("button", { name: "Order" }).click();
      await form.getByText("Ordered: l for Ada, as a gift").waitFor();
      const [{ params }] = chat.posts("threads.custom_action").filter(({ params }) => params.action.type === "shirt.order");
      assert.deepEqual(params.action.payload, { name: "Ada", size: "l", gift: true });
      await chat.reload();
      await chat.widgets.last().getByText("Ordered: l for Ada, as a gift").waitFor();
    });

    test("a widget grows while the agent writes it", async (t) => {
      const chat = await openChat(t, stage);
      const gate = await makeGate(t);
      await chat.send(`call write_live {"gate": ${gate.port}}`);
      const body = chat.widgets.getByText(/It is calm. The clouds$/);
      await body.waitFor();
      gate.open();
      await chat.widgets.getByText("It is calm. The clouds come late.", { exact: true }).waitFor();
      await chat.ended();
      assert.equal(await chat.widgets.count(), 1);
    });

    test("a progress line shows what the agent does, and a list of steps stays", async (t) => {
      const chat = await openChat(t, stage);
      const gate = await makeGate(t);
      await chat.send(`call look_up {"gate": ${gate.port}}`);
      const progress = chat.root.getByText("Looking on the shelves");
      await progress.waitFor();
      await chat.screenshot("progress");
      gate.open();
      await chat.ended();
      assert.equal(await progress.count(), 0);
      await chat.root.getByText("Read one shelf").waitFor();
    });

    test("a tool of the page runs, and the agent answers with its result", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say('call read_page {"section": "root"}');
      await chat.answers.filter({ hasText: /The tool `?read_page`? answered/ }).waitFor();
      const outputs = chat.posts("threads.add_client_tool_output");
      assert.equal(outputs.length, 1);
      assert.match(outputs[0].params.result.text, /demo/); // the page names the model
      await chat.ended();
    });

    test("an effect of the agent changes the theme of the page and of the element", async (t) => {
      const chat = await openChat(t, stage, { colorScheme: "light" });
      const background = () => chat.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const before = await background();
      await chat.say('call switch_theme {"theme": "dark"}');
      await chat.until(async () => (await background()) !== before, "another background");
      const [effect] = await chat.events("effect");
      assert.deepEqual(effect.detail, { name: "switch_theme", data: { theme: "dark" } });
    });

    test("questions replace the composer, and the agent goes on with the answers", async (t) => {
      const chat = await openChat(t, stage);
      const questions = [
        { question: "Which size?", options: ["S", "L"], multiple: false },
        { question: "For whom?", options: [], multiple: false },
      ];
      await chat.say(`call ask_user ${JSON.stringify({ questions })}`);
      await element.choice(chat.root, "L").waitFor();
      await chat.screenshot("question");
      await chat.reload(); // it still waits
      await chat.answerQuestions([{ choice: "L" }, { text: "Ada" }]);
      await chat.answers.filter({ hasText: /The tool `?ask_user`? answered/ }).waitFor();
      const [{ params }] = chat.posts("threads.add_structured_input");
      assert.equal(params.input.status, "answered");
      assert.deepEqual(Object.values(params.input.answers), [
        { values: ["L"], skipped: false },
        { values: ["Ada"], skipped: false },
      ]);
      await chat.ended();
    });

    test("a call waits for an approval, and runs after it", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say('call delete_order {"number": 17}');
      const card = chat.widgets.last();
      await card.getByRole("button", { name: "Approve" }).waitFor();
      await chat.screenshot("approval");
      await chat.reload();
      await card.getByRole("button", { name: "Approve" }).click();
      await chat.answers.filter({ hasText: "Order 17 is deleted." }).waitFor();
      const rows = await stage.server.sql("SELECT tool, decision FROM approvals WHERE thread_id = ?", chat.thread);
      assert.deepEqual(rows, [{ tool: "delete_order", decision: "approved" }]);
      assert.equal(await card.getByRole("button", { name: "Approve" }).count(), 0);
      await chat.ended();
    });

    test("a rejected call does not run", async (t) => {
      const chat = await openChat(t, stage);
      await chat.say('call delete_order {"number": 18}');
      await chat.widgets.last().getByRole("button", { name: "Reject" }).click();
      await chat.answers.last().filter({ hasText: /The tool `?delete_order`? answered/ }).waitFor();
      assert.equal(await chat.answers.filter({ hasText: "is deleted" }).count(), 0);
      const rows = await stage.server.sql("SELECT decision FROM approvals WHERE thread_id = ?", chat.thread);
      assert.deepEqual(rows, [{ decision: "rejected" }]);
      await chat.ended();
    });
  });
}
