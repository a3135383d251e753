/** The page with a stand-in for the widget: a user's conversation with the real server. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { setStage } from "./stage.js";
import { screenshot, visitor } from "./visit.js";

const stage = setStage();

async function open(t, options) {
  const visit = await visitor(stage.browser, "stand-in", options);
  t.after(() => visit.context.close());
  await visit.page.goto(stage.server.origin);
  await ready(visit.page);
  return visit;
}

const ready = (page) => page.locator(".activity", { hasText: "Ready" }).waitFor();
const message = (page, type) => page.locator(`li[data-type=${type}]`);
const requests = (page, type) => page.evaluate((type) => window.standIn.requests.filter((request) => request.type === type), type);
const threadInAddress = (page) => new URL(page.url()).searchParams.get("thread");

/** Sends a message and waits for the end of its answer. */
async function say(page, text) {
  const ends = await count(page, "response.end");
  await page.getByPlaceholder("Write a message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
  await happened(page, "response.end", ends);
}

const count = (page, name) => page.evaluate((name) => window.standIn.events.filter((event) => event.name === name).length, name);
const happened = (page, name, times = 0) =>
  page.waitForFunction(([name, times]) => window.standIn?.events.filter((event) => event.name === name).length > times, [name, times]);

test("the widget gets the options of this server", async (t) => {
  const { page, strays } = await open(t, { colorScheme: "dark" });
  const options = await page.evaluate(() => JSON.parse(JSON.stringify(window.standIn.options.at(-1))));
  assert.equal(await page.evaluate(() => typeof window.standIn.options.at(-1).api.fetch), "function");
  assert.deepEqual(options.api, { url: "/chatkit", domainKey: "domain_pk_localhost_dev", uploadStrategy: { type: "two_phase" } });
  assert.equal(options.initialThread, null);
  assert.equal(options.history.enabled, true);
  assert.deepEqual(options.threadItemActions, { feedback: true, retry: true });
  assert.equal(options.theme.colorScheme, "dark");
  assert.equal(options.composer.placeholder, "Write a message");
  assert.equal(options.startScreen.prompts.length, 4);
  assert.ok(options.startScreen.greeting);
  await page.emulateMedia({ colorScheme: "light" });
  await page.waitForFunction(() => window.standIn.options.at(-1).theme.colorScheme === "light");
  assert.deepEqual(strays, []);
});

test("a conversation streams, appears in the URL and the history, and survives a reload", async (t) => {
  const { page } = await open(t);
  await say(page, "Hello from the browser");
  await message(page, "assistant_message").filter({ hasText: "demo model" }).waitFor();

  const [request] = await requests(page, "threads.create");
  assert.deepEqual(request.params.input.content, [{ type: "input_text", text: "Hello from the browser" }]);
  assert.equal(request.headers.accept, "text/event-stream");
  assert.ok((await page.evaluate(() => window.standIn.deltas)) > 3, "the answer arrived in more than one piece");
  const { activities, events } = await page.evaluate(() => ({ activities: window.activities, events: window.standIn.events.map(({ name }) => name) }));
  assert.deepEqual(activities, ["Loading…", "Ready", "Answering…", "Ready"]);
  assert.ok(!events.includes("error"));
  const thread = threadInAddress(page);
  assert.match(thread, /^thr_/);
  await page.locator(`button[name=${thread}]`).waitFor(); // in the history
  await screenshot(page, "chat");

  const shown = await page.locator("li[data-id]").allInnerTexts();
  const ids = await page.locator("li[data-id]").evaluateAll((items) => items.map((item) => item.dataset.id));
  await page.reload();
  await message(page, "assistant_message").waitFor();
  assert.equal(threadInAddress(page), thread);
  assert.deepEqual((await requests(page, "threads.get_by_id")).map(({ params }) => params), [{ thread_id: thread }]);
  assert.deepEqual(await page.locator("li[data-id]").allInnerTexts(), shown);
  assert.deepEqual(await page.locator("li[data-id]").evaluateAll((items) => items.map((item) => item.dataset.id)), ids);
  await ready(page);

  await say(page, "And once more");
  assert.equal(await message(page, "user_message").count(), 2);
  assert.equal(await message(page, "assistant_message").count(), 2);
  assert.equal((await requests(page, "threads.add_user_message")).length, 1);
});

test("a start prompt calls a tool of the default agent", async (t) => {
  const { page } = await open(t);
  await page.getByRole("button", { name: "What time is it?" }).click();
  await message(page, "assistant_message").filter({ hasText: "in Europe/Paris (UTC+0" }).waitFor();
});

test("every start prompt gets an answer without an error", async (t) => {
  const { page } = await open(t);
  for (const name of ["What time is it?", "Set my preferences", "Show me markdown", "Think before you answer"]) {
    const ends = await count(page, "response.end");
    await page.getByRole("button", { name, exact: true }).click();
    await happened(page, "response.end", ends);
    await message(page, "assistant_message").waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
    await page.getByRole("button", { name: "New chat" }).click();
  }
  assert.equal(threadInAddress(page), null); // a new chat has no address yet
});

test("an error that the widget shows in the thread is not shown twice, and the message stays", async (t) => {
  const { page } = await open(t);
  await say(page, "Please show an error 500");
  await message(page, "error").waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
  assert.equal(await page.locator(".activity").innerText(), "Error");
  assert.equal(await message(page, "user_message").count(), 1);
  await screenshot(page, "error");
});

test("an error without a thread, which the widget shows only for seconds, stays in a notice until it is dismissed", async (t) => {
  const { page } = await open(t);
  const body = `data: ${JSON.stringify({ type: "error", code: "custom", message: "Please sign in.", allow_retry: false })}\n\n`;
  await page.route("**/chatkit", (route) => {
    const isMessage = route.request().postDataJSON().type === "threads.create";
    return isMessage ? route.fulfill({ body, contentType: "text/event-stream" }) : route.continue();
  });
  await say(page, "Hello");
  const notice = page.getByRole("alert");
  await notice.getByText("Please sign in.").waitFor();
  assert.equal(await page.getByPlaceholder("Write a message").inputValue(), "Hello");
  await notice.getByRole("button", { name: "Dismiss" }).click();
  await ready(page);
  assert.equal(await notice.count(), 0);
});

test("another browser sees neither the thread nor the history", async (t) => {
  const { page } = await open(t);
  await say(page, "A secret");
  const stranger = await visitor(stage.browser, "stand-in");
  t.after(() => stranger.context.close());
  await stranger.page.goto(page.url());
  await stranger.page.getByRole("alert").getByText("Conversation not found").waitFor();
  await happened(stranger.page, "thread.change");
  assert.equal(threadInAddress(stranger.page), null); // the server answered that it does not exist
  assert.equal(await stranger.page.getByText("A secret").count(), 0);
  assert.deepEqual(await stranger.page.locator("#history button").allInnerTexts(), []);
});

test("a failed load keeps the thread in the URL and shows the cause", async (t) => {
  const { page } = await open(t);
  await say(page, "Remember me");
  const address = page.url();
  let failing = true;
  await page.route("**/chatkit", (route) => {
    const load = route.request().postDataJSON().type === "threads.get_by_id";
    return failing && load ? route.fulfill({ status: 503, json: { message: "The database sleeps.", code: "unavailable" } }) : route.continue();
  });
  await page.reload();
  const notice = page.getByRole("alert");
  await notice.getByText("The database sleeps.").waitFor();
  await happened(page, "thread.change");
  assert.equal(page.url(), address);

  failing = false;
  await notice.getByRole("button", { name: "Try again" }).click();
  await message(page, "user_message").filter({ hasText: "Remember me" }).waitFor();
  assert.equal(page.url(), address);
  assert.equal(await notice.count(), 0);

  await page.getByRole("button", { name: "New chat" }).click();
  assert.equal(threadInAddress(page), null); // this time the user started a new chat
});

test("a message that the server rejects is in the composer again, and one banner says why", async (t) => {
  const { page } = await open(t);
  await page.route("**/chatkit", (route) => route.fulfill({ status: 502, body: "Bad gateway" }));
  await say(page, "Precious words");
  const banner = page.getByRole("alert");
  const composer = page.getByPlaceholder("Write a message");
  await banner.getByText("status 502").waitFor();
  await page.waitForFunction(() => document.querySelector("openai-chatkit").shadowRoot.querySelector("input").value === "Precious words");
  await screenshot(page, "undelivered");

  await page.unroute("**/chatkit");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await message(page, "assistant_message").filter({ hasText: "Precious words" }).waitFor();
  assert.equal(await message(page, "user_message").count(), 1);
  assert.equal(await composer.inputValue(), "");
  assert.equal(await banner.count(), 0);
});

test("a refused file is named, and the status of a running answer stays", async (t) => {
  const { page } = await open(t);
  await page.getByPlaceholder("Write a message").fill("Show me something long");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".activity", { hasText: "Answering" }).waitFor();
  await page.evaluate(() => {
    const params = { name: "holiday.pdf", size: 10 ** 9, mime_type: "application/pdf" };
    const body = JSON.stringify({ type: "attachments.create", params });
    return window.standIn.options.at(-1).api.fetch("/chatkit", { method: "POST", headers: { "content-type": "application/json" }, body });
  });
  const notice = page.getByRole("alert");
  await notice.getByText("“holiday.pdf” could not be attached").waitFor();
  await notice.getByText("at most 20 MB").waitFor();
  assert.equal(await page.locator(".activity").innerText(), "Answering…");
});

test("a second tab shows what the first one sent as soon as the user returns to it", async (t) => {
  const { page, context } = await open(t);
  await say(page, "Hello from the first tab");
  const second = await context.newPage();
  await second.goto(page.url());
  await message(second, "assistant_message").waitFor();
  await ready(second);
  await page.bringToFront();
  await say(page, "Another one");
  await second.evaluate(() => window.dispatchEvent(new Event("focus")));
  await message(second, "user_message").filter({ hasText: "Another one" }).waitFor();
  assert.equal(await message(second, "assistant_message").count(), 2);
  await ready(second);
});

test("the status line is one quiet line of constant height, with details on demand", async (t) => {
  const { page } = await open(t, { viewport: { width: 360, height: 640 } });
  const height = () => page.locator(".status").evaluate((line) => line.getBoundingClientRect().height);
  const before = await height();
  await say(page, "Hello");
  assert.equal(await height(), before);
  assert.match(await page.locator(".status").innerText(), /^Ready\s+Model:\s+demo\s+Details$/);
  await page.getByRole("button", { name: "Details" }).click();
  assert.match(await page.locator(".details").innerText(), /Last answer\s+\d+\.\ds to first token[^]*Chat\s+OpenAI's ChatKit/);
  assert.equal(await height(), before);
  await page.keyboard.press("Escape");
  await page.locator(".details").waitFor({ state: "hidden" });
  await screenshot(page, "details-narrow");
});

test("the chat fits a phone", async (t) => {
  const { page } = await open(t, { viewport: { width: 360, height: 640 } });
  await say(page, "Show me markdown");
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wider, 0);
  assert.equal(await page.evaluate(() => document.documentElement.scrollHeight - window.innerHeight), 0);
  await screenshot(page, "chat-narrow");
});
