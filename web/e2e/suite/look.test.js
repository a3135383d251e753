/** How the chat looks, and whether everybody can use it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { violationsIn } from "../axe.js";
import { openChat } from "../chat.js";
import { elements, open } from "../elements/index.js";
import { setStage } from "../stage.js";

const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2, reducedMotion: "reduce" };
const STATES = {
  "a new chat": async () => {},
  "a conversation with markdown": (chat) => chat.say("Show me markdown"),
  "a failed answer": async (chat) => {
    await chat.say("Please show an error 500");
    await chat.error.waitFor();
  },
  "a form": async (chat) => {
    await chat.say("call show_form {}");
    await chat.widgets.getByRole("button", { name: "Order" }).waitFor();
  },
  "an approval": async (chat) => {
    await chat.say('call delete_order {"number": 17}');
    await chat.widgets.getByRole("button", { name: "Approve" }).waitFor();
  },
  "a question": async (chat) => {
    await chat.say('call ask_user {"questions": [{"question": "Which size?", "options": ["S", "L"], "multiple": false}]}');
    await chat.element.choice(chat.root, "L").waitFor();
  },
  "the history": async (chat) => {
    await chat.say("Hello");
    await chat.openHistory();
  },
};

/** Returns what axe finds in the page, or in the frame of OpenAI's element. */
async function violations({ element, page }) {
  const main = page.mainFrame();
  return violationsIn(element === open ? main : page.frames().find((frame) => frame !== main));
}

for (const element of elements) {
  describe(`looks, ${element.name} element`, { concurrency: 3 }, () => {
    const stage = setStage({ CHATKIT_AGENT: "showcase:agent", CHATKIT_DEMO_TOKENS_PER_SECOND: "1000" }, element);

    for (const [state, reach] of Object.entries(STATES)) {
      test(`axe finds nothing in ${state}, light and dark`, async (t) => {
        const chat = await openChat(t, stage, { colorScheme: "light", reducedMotion: "reduce" });
        await reach(chat);
        const light = await violations(chat);
        await chat.screenshot(`${state.replaceAll(" ", "-")}-light`);
        await chat.page.emulateMedia({ colorScheme: "dark" });
        await chat.until(() => isDark(chat), "the dark theme");
        const dark = await violations(chat);
        await chat.screenshot(`${state.replaceAll(" ", "-")}-dark`);
        assert.deepEqual({ light, dark }, { light: [], dark: [] });
      });
    }

    test("the chat fits a phone, without scrolling sideways", async (t) => {
      const chat = await openChat(t, stage, PHONE);
      await chat.say("Show me markdown");
      await chat.answers.getByText("A quotation.").waitFor();
      const overflow = () => chat.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(await overflow(), 0);
      await chat.screenshot("phone");
      const box = await chat.composer.boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.y + box.height <= 640, "the composer is on the screen");
      await chat.openHistory();
      assert.equal(await overflow(), 0);
      await chat.screenshot("phone-history");
      assert.deepEqual(await violations(chat), []);
    });

    test("a message is written, sent, stopped and rated with the keyboard alone", async (t) => {
      const chat = await openChat(t, stage);
      await chat.composer.focus();
      await chat.page.keyboard.type("One line");
      await chat.page.keyboard.press("Shift+Enter");
      await chat.page.keyboard.type("and another");
      await chat.page.keyboard.press("Enter");
      await chat.happened("response.end");
      const [{ params }] = chat.posts("threads.create");
      assert.equal(params.input.content[0].text, "One line\nand another");
      await chat.answers.waitFor();
      const good = element.goodAnswer(chat.root);
      for (let presses = 0; presses < 40 && !(await isFocused(good)); presses++) await chat.page.keyboard.press("Tab");
      assert.ok(await isFocused(good), "Tab reaches the rating");
      await chat.page.keyboard.press("Enter");
      await chat.posted("items.feedback");
    });
  });
}

const isFocused = (locator) => locator.evaluate((button) => button.matches(":focus")).catch(() => false);

/** Whether the page's background is dark. */
async function isDark({ page }) {
  const color = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const [red, green, blue] = color.match(/\d+(\.\d+)?/g).map(Number);
  return red + green + blue < 300;
}
