/** The page chooses its element (CHATKIT_WIDGET), and takes the open one where OpenAI's does not work. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { assertAccessible } from "./axe.js";
import { open as openElement } from "./elements/open.js";
import { setStage } from "./stage.js";
import { screenshot, visitor } from "./visit.js";

const openRoot = (page) => openElement.root(page);
const composer = (page) => openElement.composer(openRoot(page));
const answers = (page) => openElement.answers(openRoot(page));
const implementation = (page) => page.evaluate(() => document.querySelector(".chat")?.implementation ?? "stock");

/** Opens a browser context; `console` collects what the page says. */
async function visit(t, stage, cdn, options) {
  const visit = await visitor(stage.browser, cdn, options);
  t.after(() => visit.context.close());
  const said = [];
  visit.page.on("console", (message) => said.push(message.text()));
  return { ...visit, said };
}

async function say(page, text) {
  await composer(page).fill(text);
  await openElement.send(openRoot(page)).click();
  await answers(page).filter({ hasText: "demo model" }).first().waitFor();
}

const reasons = (said) => said.filter((text) => text.includes("CHATKIT_WIDGET"));

const stockStage = setStage({ CHATKIT_WIDGET: "stock" });

describe("auto", () => {
  const stage = setStage();

  for (const [cdn, cause] of [["blocked", "could not be loaded"], ["foreign", "something else was delivered"], ["hangs", "within 4 seconds"]]) {
    test(`takes the open element where the script is ${cdn}, and says so once in the console`, async (t) => {
      const { page, said, exceptions } = await visit(t, stage, cdn);
      await page.clock.install();
      const asked = page.waitForEvent("request", (request) => request.url().endsWith("/chatkit.js"));
      await page.goto(stage.server.origin);
      await page.locator(".model", { hasText: "demo" }).waitFor(); // the page does not wait for the script
      await asked;
      // The others answer; moved forward, the clock would overtake their answer.
      if (cdn === "hangs") await page.clock.fastForward(4_000);
      await openRoot(page).waitFor();
      await say(page, "Hello");
      assert.equal(await implementation(page), "open");
      assert.equal(await page.getByRole("alert").count(), 0);
      assert.equal(reasons(said).length, 1);
      assert.ok(reasons(said)[0].includes(cause), reasons(said)[0]);
      assert.deepEqual(exceptions, []);
      if (cdn === "blocked") await screenshot(page, "auto-open");
    });
  }

  test("a script of OpenAI that arrives late does not disturb the open element", async (t) => {
    const { page, context, said } = await visit(t, stage, "hangs");
    let deliver;
    await context.route("https://cdn.platform.openai.com/**", (route) => (deliver = () => route.fulfill({ body: "window.isLate = true; customElements.define('openai-chatkit', class extends HTMLElement {})", contentType: "text/javascript" })));
    await page.goto(stage.server.origin);
    await composer(page).waitFor();
    await composer(page).fill("Not sent yet");
    await deliver();
    await say(page, "Still here");
    assert.equal(await implementation(page), "open");
    assert.equal(reasons(said).length, 1);
  });

  for (const [cdn, cause] of [["mute", "did not start"], ["gone", "removed itself"]]) {
    test(`takes the open element, under its own name, where OpenAI's is ${cdn}; thread and text stay`, async (t) => {
      const first = await visit(t, stage, "blocked");
      await first.page.goto(stage.server.origin);
      await say(first.page, "Remember me");
      const address = first.page.url();
      assert.match(address, /thread=thr_/);

      const { page, said } = first;
      await page.evaluate(() => sessionStorage.clear());
      first.pretend.cdn = cdn;
      await page.reload();
      if (cdn === "mute") {
        const waiting = page.getByPlaceholder("You can write already");
        await waiting.fill("Typed while waiting");
      }
      await page.locator("open-chatkit").waitFor();
      await openElement.userMessages(openRoot(page).last()).filter({ hasText: "Remember me" }).waitFor();
      assert.equal(page.url(), address);
      if (cdn === "mute") await page.waitForFunction(() => document.querySelector("open-chatkit").shadowRoot.querySelector("[data-input]").value === "Typed while waiting");
      assert.ok(reasons(said).at(-1).includes(cause), reasons(said).at(-1));
    });
  }

  test("shows OpenAI's element where it loads", async (t) => {
    const { page, said } = await visit(t, stage, "stand-in");
    await page.goto(stage.server.origin);
    await page.locator(".activity", { hasText: "Ready" }).waitFor();
    assert.equal(await implementation(page), "stock");
    assert.deepEqual(reasons(said), []);
    assert.equal(await page.evaluate(() => performance.getEntriesByType("resource").some(({ name }) => name.endsWith("/element.js"))), false);
  });

  test("a reload in the same tab does not wait for the missing script again", async (t) => {
    const { page, context } = await visit(t, stage, "blocked");
    await page.goto(stage.server.origin);
    await composer(page).waitFor();
    let asked = 0;
    context.on("request", (request) => (asked += Number(request.url().startsWith("https://cdn.platform.openai.com"))));
    await page.reload();
    await composer(page).waitFor();
    assert.equal(asked, 0);
  });

  test("works on plain HTTP on a host other than localhost", async (t) => {
    const { page, said, strays } = await visit(t, stage, "stand-in");
    await page.goto(`http://insecure.example:${stage.server.port}/`);
    await say(page, "Hello");
    assert.ok(reasons(said)[0].includes("neither HTTPS nor localhost"));
    assert.deepEqual(strays, []);
  });

  test("what is typed before the chat has started moves into it, with the focus", async (t) => {
    const { page, context } = await visit(t, stage, "hangs");
    let fail;
    await context.route("https://cdn.platform.openai.com/**", (route) => (fail = () => route.abort("failed")));
    await page.goto(stage.server.origin);
    const waiting = page.getByPlaceholder("You can write already");
    await waiting.click();
    await waiting.pressSequentially("Hello from");
    await screenshot(page, "waiting");
    await fail();
    await waiting.waitFor({ state: "detached" });
    await page.waitForFunction(() => document.querySelector("openai-chatkit").shadowRoot.activeElement?.matches("[data-input]"));
    await page.keyboard.type(" the start");
    await openElement.send(openRoot(page)).click();
    await openElement.userMessages(openRoot(page)).filter({ hasText: "Hello from the start" }).waitFor();
  });
});

describe("open", () => {
  const stage = setStage({ CHATKIT_WIDGET: "open", CHATKIT_AGENT: "examples.orders:agent", CHATKIT_DEMO_TOKENS_PER_SECOND: "60" });
  const ready = (page) => page.locator(".activity", { hasText: "Ready" }).waitFor();

  test("asks no other host, and greets with the agent's name", async (t) => {
    const { page, strays, context } = await visit(t, stage, "stand-in");
    const asked = [];
    context.on("request", (request) => asked.push(new URL(request.url()).hostname));
    await page.goto(stage.server.origin);
    await page.getByText(/What can .+ do for you\?/).waitFor();
    await ready(page);
    assert.notEqual(await page.title(), "Chat");
    assert.deepEqual(new Set(asked), new Set(["127.0.0.1"]));
    assert.deepEqual(strays, []);
  });

  test("loads the element again where the server did not deliver it", async (t) => {
    const { page, exceptions } = await visit(t, stage, "blocked");
    await page.clock.install();
    let requests = 0;
    await page.route("**/element.js", (route) => (++requests < 3 ? route.abort() : route.continue()));
    for (let failures = 0; failures < 2; failures++) {
      const failed = page.waitForEvent("console", (message) => message.text().includes("element.js could not be loaded"));
      await (failures ? page.clock.fastForward(3_000) : page.goto(stage.server.origin));
      await failed;
    }
    await page.clock.fastForward(3_000);
    await ready(page);
    assert.equal(requests, 3);
    assert.deepEqual(exceptions, []);
  });

  test("files go past the page's own fetch, so that their progress shows", async (t) => {
    const { page } = await visit(t, stage, "blocked");
    await page.goto(stage.server.origin);
    await ready(page);
    const upload = page.waitForRequest((request) => request.method() === "PUT");
    await openRoot(page).locator("input[type=file]").setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("Some notes") });
    assert.equal((await upload).resourceType(), "xhr");
    await openElement.attachments(openRoot(page)).getByText("10 byte").waitFor();
  });

  test("works below a path prefix of a proxy", async (t) => {
    const { page, exceptions } = await visit(t, stage, "blocked");
    const outside = [];
    await page.route(`${stage.server.origin}/**`, (route) => {
      const url = new URL(route.request().url());
      if (!url.pathname.startsWith("/assistant/")) outside.push(url.pathname);
      return route.continue({ url: url.origin + url.pathname.replace("/assistant/", "/") + url.search });
    });
    await page.goto(`${stage.server.origin}/assistant/`);
    await say(page, "Hello");
    await page.reload();
    await openElement.userMessages(openRoot(page)).filter({ hasText: "Hello" }).waitFor();
    assert.deepEqual(outside, []);
    assert.deepEqual(exceptions, []);
  });

  test("the status line shows the speed while an answer streams, and Details the last one's", async (t) => {
    const { page } = await visit(t, stage, "blocked");
    await page.goto(stage.server.origin);
    await ready(page);
    assert.equal(await page.locator(".figures").count(), 0);
    await composer(page).fill("Show me something long");
    await openElement.send(openRoot(page)).click();
    await page.locator(".figures").getByText(/^\d+\.\ds to first token$/).waitFor();
    await page.locator(".figures").getByText(/^\d+ tokens\/s$/).waitFor();
    await openElement.stop(openRoot(page)).click();
    await ready(page);
    assert.equal(await page.locator(".figures").count(), 0);
    await page.getByRole("button", { name: "Details" }).click();
    await page.getByText(/to first token · \d+ tokens\/s/).waitFor();
  });

  for (const [locale, ready, direction] of [["de-DE", "Bereit", "ltr"], ["ar", "جاهز", "rtl"], ["it-IT", "Ready", "ltr"]]) {
    test(`speaks the language of the browser: ${locale}`, async (t) => {
      const { page } = await visit(t, stage, "blocked", { locale });
      await page.goto(stage.server.origin);
      await page.locator(".activity", { hasText: ready }).waitFor();
      assert.equal(await page.evaluate(() => getComputedStyle(document.body).direction), direction);
    });
  }

  for (const [name, options] of [["desktop", {}], ["phone, dark", { viewport: { width: 360, height: 640 }, colorScheme: "dark" }]]) {
    test(`every state of the page is accessible and fits: ${name}`, async (t) => {
      const { page, context } = await visit(t, stage, "blocked", options);
      const check = async (state) => {
        await assertAccessible(page, state, "html");
        const [wider, higher] = await page.evaluate(() => [document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]);
        assert.deepEqual([wider, higher], [0, 0], state);
      };
      let load;
      await page.route("**/element.js", (route) => (load = () => route.continue()));
      await page.goto(stage.server.origin);
      await page.getByPlaceholder("You can write already").waitFor();
      await check("loading");
      await load();
      await ready(page);
      await check("start");
      await composer(page).fill("Show me something long");
      await openElement.send(openRoot(page)).click();
      await page.locator(".figures").waitFor();
      await check("streaming");
      await openElement.stop(openRoot(page)).click();
      await ready(page);
      await page.getByRole("button", { name: "Details" }).click();
      await check("details");
      await page.keyboard.press("Escape");
      await context.setOffline(true);
      await page.evaluate(() => window.dispatchEvent(new Event("online"))); // checks at once
      await page.getByRole("alert").getByText("The server cannot be reached").waitFor();
      await check("offline");
    });
  }
});

test("with OpenAI's element chosen and missing, the page is accessible", async (t) => {
  const { page } = await visit(t, stockStage, "blocked");
  await page.goto(stockStage.server.origin);
  await page.getByRole("heading", { name: "The chat could not be loaded" }).waitFor();
  await assertAccessible(page, "stock", "html");
});
