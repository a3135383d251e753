/** The page without a login, and behind the cookie of a website that it is mounted in. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { assertAccessible } from "./axe.js";
import { openVisit } from "./chat.js";
import { open as openElement } from "./elements/open.js";
import { setStage } from "./stage.js";
import { screenshot } from "./visit.js";

describe("a website with its own login, and our page mounted at /chat", () => {
  const stage = setStage({ CHATKIT_E2E_APP: "website:app" }, openElement);

  test("without a login the page says so, and works after it", async (t) => {
    const { page, context, chat } = await openVisit(t, stage);
    await page.goto(`${stage.server.origin}/chat/`);
    await page.getByRole("alert").getByRole("heading", { name: "Please log in." }).waitFor();
    await page.getByText("CHATKIT_AUTH=none").waitFor(); // for those who develop
    assert.equal(await page.locator(".activity").innerText(), "Error");
    await assertAccessible(page, "login", "main");
    await screenshot(page, "login");

    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "Please log in." }).waitFor();
    const other = await context.newPage();
    await other.goto(stage.server.origin);
    await other.getByLabel("Name").fill("ada");
    await other.getByLabel("Password").fill("lovelace");
    await other.getByRole("button", { name: "Log in" }).click();
    await other.waitForURL(`${stage.server.origin}/chat/`);
    await openElement.composer(openElement.root(other)).waitFor();

    await page.getByRole("button", { name: "Try again" }).click();
    await chat.happened("ready");
    await chat.say("Hello");
    await page.reload();
    await chat.userMessages.filter({ hasText: "Hello" }).waitFor();
  });

  test("the notice speaks the user's language, and fits a phone", async (t) => {
    for (const [locale, text] of [["de-DE", "Bitte melden Sie sich an."], ["ar-EG", "يُرجى تسجيل الدخول."]]) {
      const { page } = await openVisit(t, stage, { locale, viewport: { width: 360, height: 640 } });
      await page.goto(`${stage.server.origin}/chat/`);
      await page.getByRole("alert").getByRole("heading", { name: text }).waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
      await screenshot(page, `login-${locale}`);
    }
  });
});
