/** Client tools and effects: the unchanged examples, with the functions in web/src/client.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { setStage } from "./stage.js";
import { visitor } from "./visit.js";

const setStageFor = (example) => setStage({ CHATKIT_AGENT: `examples.${example}:agent` });

/** Makes the demo model call a tool in a new page, and waits for the answer. */
async function call(t, stage, toolCall) {
  const { context, page } = await visitor(stage.browser, "stand-in", { colorScheme: "light" });
  t.after(() => context.close());
  await page.goto(stage.server.origin);
  await page.locator(".activity", { hasText: "Ready" }).waitFor();
  await page.getByPlaceholder("Write a message").fill(`call ${toolCall}`);
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator("li[data-type=assistant_message]").waitFor();
  return page;
}

const toolResult = (page) => page.evaluate(() => window.standIn.requests.find(({ type }) => type === "threads.add_client_tool_output").params.result);

const run = (page, name) => page.evaluate((name) => window.standIn.options.at(-1).onClientTool({ name, params: {} }), name);

describe("examples/page.py", () => {
  const stage = setStageFor("page");

  test("the agent reads the page and answers with its text", async (t) => {
    const page = await call(t, stage, 'read_page {"section": "intro"}');
    const { text } = await toolResult(page);
    assert.match(text, /Model:\s+demo/);
    await page.locator("li[data-type=assistant_message]", { hasText: /Model:.*demo/s }).waitFor();

    await page.evaluate(() => getSelection().selectAllChildren(document.querySelector(".model .name")));
    assert.deepEqual(await run(page, "read_selection"), { text: "demo" });
    for (const name of ["nothing_like_it", "toString", "constructor"]) {
      assert.match((await run(page, name)).error, new RegExp(`no tool ${name}`)); // an answer, so that the agent does not wait
    }
  });
});

describe("examples/theme.py", () => {
  const stage = setStageFor("theme");

  test("the agent changes the theme of page and widget", async (t) => {
    const page = await call(t, stage, 'switch_theme {"theme": "dark"}');
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(33, 33, 33)");
    await page.waitForFunction(() => window.standIn.options.at(-1).theme.colorScheme === "dark");
  });
});
