/** The options in the server's settings reach the widget. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { setStage } from "./stage.js";
import { visitor } from "./visit.js";

const stage = setStage({
  CHATKIT_MODELS: '["demo", {"id": "demo-2", "label": "Another", "description": "The same script"}]',
  CHATKIT_TOOLS: '[{"id": "current_time", "label": "Clock", "icon": "clock"}]',
  CHATKIT_TRANSCRIPTION_MODEL: "never-called",
  CHATKIT_TRANSCRIPTION_BASE_URL: "http://127.0.0.1:9/v1",
  CHATKIT_PROMPTS: '[{"label": "Hi", "prompt": "Hello there"}]',
});

test("the widget offers the options of the settings", async (t) => {
  const { context, page, strays } = await visitor(stage.browser, "stand-in");
  t.after(() => context.close());
  await page.goto(stage.server.origin);
  await page.locator(".activity", { hasText: "Ready" }).waitFor();
  const { api, composer, startScreen } = await page.evaluate(() => JSON.parse(JSON.stringify(window.standIn.options.at(-1))));
  assert.deepEqual(composer.models, [
    { id: "demo", label: "demo", default: true },
    { id: "demo-2", label: "Another", description: "The same script", default: false },
  ]);
  assert.deepEqual(composer.tools, [{ id: "current_time", label: "Clock", icon: "clock", pinned: false, persistent: false }]);
  assert.deepEqual(composer.attachments, { enabled: true, maxSize: 20 * 1024 ** 2, maxCount: 10 });
  assert.deepEqual(api.uploadStrategy, { type: "two_phase" });
  assert.deepEqual(composer.dictation, { enabled: true });
  assert.deepEqual(startScreen.prompts, [{ label: "Hi", prompt: "Hello there", icon: "sparkle" }]);
  assert.deepEqual(strays, []);
});
