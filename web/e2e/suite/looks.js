/** How the chat looks, and whether everybody can use it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { violationsIn } from "../axe.js";
import { openChat } from "../chat.js";

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

/** Checks the whole page; the stock element is a page of its own, in a frame. */
async function check(chat, name) {
  assert.deepEqual(await violationsIn(chat.element.frame(chat.page)), [], `axe, ${name}`);
}

/** The tests of one element, on the suite's stage. */
export function looks({ element, stage }) {
  describe("looks", { concurrency: 3 }, () => {
    for (const [state, reach] of Object.entries(STATES)) {
      test(`axe finds nothing in ${state}, light and dark`, async (t) => {
        const chat = await openChat(t, stage, { colorScheme: "light", reducedMotion: "reduce" });
        await reach(chat);
        await check(chat, `${state}, light`);
        await chat.screenshot(`${state.replaceAll(" ", "-")}-light`);
        await chat.page.emulateMedia({ colorScheme: "dark" });
        await chat.until(() => isDark(chat), "the dark theme");
        await chat.screenshot(`${state.replaceAll(" ", "-")}-dark`);
        await check(chat, `${state}, dark`);
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
      await check(chat, "the history on a phone");
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
