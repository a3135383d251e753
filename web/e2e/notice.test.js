/** The page with OpenAI's element chosen, but without its script or without the server: it says why, and recovers. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { startProxy } from "./proxy.js";
import { setStage } from "./stage.js";
import { screenshot, visitor } from "./visit.js";

const stage = setStage({ CHATKIT_WIDGET: "stock" });

async function visit(t, cdn, options) {
  const visit = await visitor(stage.browser, cdn, options);
  t.after(() => visit.context.close());
  return visit;
}

test("a blocked CDN shows what to check, and the status line still names the model", async (t) => {
  const { page, strays } = await visit(t, "blocked");
  await page.goto(stage.server.origin);
  const notice = page.getByRole("alert");
  await notice.getByRole("heading", { name: "The chat could not be loaded" }).waitFor();
  const text = await notice.innerText();
  for (const word of ["cdn.platform.openai.com", "proxy", "Ad blocker", "Content-Security-Policy", "allow-list", "Secure context", "Try again"]) {
    assert.ok(text.includes(word), `the notice mentions ${word}`);
  }
  const { model } = await (await page.request.get(`${stage.server.origin}/api/stream/health`)).json();
  await page.locator(".model", { hasText: model.name }).waitFor();
  await page.getByText("Details").click();
  await page.locator(".details", { hasText: model.note }).waitFor();
  assert.equal(await page.locator(".activity").innerText(), "Error");
  assert.deepEqual(strays, []);
  await screenshot(page, "notice");
});

test("the notice fits a phone in dark mode", async (t) => {
  const { page } = await visit(t, "blocked", { viewport: { width: 360, height: 640 }, colorScheme: "dark" });
  await page.goto(stage.server.origin);
  await page.getByRole("button", { name: "Try again" }).waitFor();
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wider, 0);
  await screenshot(page, "notice-narrow-dark");
});

test("`Try again` loads the chat when the CDN is back", async (t) => {
  const { page, pretend } = await visit(t, "blocked");
  await page.goto(stage.server.origin);
  const retry = page.getByRole("button", { name: "Try again" });
  await retry.waitFor();
  pretend.cdn = "stand-in";
  await retry.click();
  await page.getByPlaceholder("Write a message").waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
});

test("a CDN that never answers is reported within the time limit", async (t) => {
  const { page } = await visit(t, "hangs");
  await page.clock.install();
  await page.goto(stage.server.origin);
  await page.locator(".model", { hasText: "demo" }).waitFor(); // the page does not wait for the script
  assert.equal(await page.getByRole("alert").count(), 0);
  await page.clock.fastForward(10_000);
  await page.getByRole("alert").getByText("within 10 seconds").waitFor();
});

test("a response that is not the script is reported", async (t) => {
  const { page } = await visit(t, "foreign");
  await page.clock.install();
  const answered = page.waitForEvent("requestfinished", (request) => request.url().endsWith("/chatkit.js"));
  await page.goto(stage.server.origin);
  await answered;
  await page.clock.fastForward(10_000);
  await page.getByRole("alert").getByText("is not the chat widget").waitFor();
});

test("a widget that loads but never starts is reported with the likely cause", async (t) => {
  const { page } = await visit(t, "mute");
  await page.clock.install();
  await page.goto(stage.server.origin);
  await page.locator("openai-chatkit").waitFor({ state: "attached" });
  await page.clock.fastForward(20_000);
  const notice = page.getByRole("alert").filter({ hasText: "The chat did not start" });
  assert.ok((await notice.innerText()).includes("domain check"));
});

test("a Content-Security-Policy that forbids the script is reported as the cause", async (t) => {
  const { page } = await visit(t, "stand-in");
  await page.route(`${stage.server.origin}/`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, headers: { ...response.headers(), "content-security-policy": "script-src 'self'" } });
  });
  await page.goto(stage.server.origin);
  await page.getByRole("alert").getByText("This page's Content-Security-Policy does not allow").waitFor();
});

test("plain HTTP on a host other than localhost is explained", async (t) => {
  const { page } = await visit(t, "stand-in");
  await page.goto(`http://insecure.example:${stage.server.port}/`);
  const notice = page.getByRole("alert");
  await notice.getByText("secure context").waitFor();
  assert.ok((await notice.innerText()).includes(`http://localhost:${stage.server.port}/`));
});

test("an unreachable server is reported until it is back", async (t) => {
  const { page } = await visit(t, "blocked");
  await page.clock.install();
  let isDown = true;
  await page.route("**/api/stream/health", (route) => (isDown ? route.abort() : route.continue()));
  await page.goto(stage.server.origin);
  const notice = page.getByRole("alert").filter({ hasText: "The server cannot be reached" });
  await notice.waitFor();
  isDown = false;
  await page.clock.fastForward(3_000);
  await notice.waitFor({ state: "detached" });
  await page.locator(".model", { hasText: "demo" }).waitFor();
});

/** Opens a chat with one answer, over a network that can be cut. */
async function openThroughProxy(t) {
  const proxy = await startProxy(stage.server.port);
  t.after(() => proxy.stop());
  const { page } = await visit(t, "stand-in");
  await page.goto(proxy.origin);
  await say(page, "Hello");
  await rating(page).waitFor();
  await page.locator(".activity", { hasText: "Ready" }).waitFor();
  return { page, proxy };
}

async function say(page, text) {
  await page.getByPlaceholder("Write a message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

const rating = (page) => page.getByRole("button", { name: "Good answer" });
const isAway = (page) => page.locator(".activity", { hasText: "Reconnecting" });
const unreachableNotice = (page) => page.getByRole("alert").filter({ hasText: "The server cannot be reached" });
const SECONDS = { timeout: 45_000 }; // below the minute between two health checks

test("a failed request shows within seconds that the server is unreachable, and nothing else", async (t) => {
  const { page, proxy } = await openThroughProxy(t);
  proxy.isDown = true;
  proxy.cut();
  await rating(page).click();
  await unreachableNotice(page).waitFor(SECONDS);
  assert.equal(await page.getByRole("alert").count(), 1);
  proxy.isDown = false;
  await unreachableNotice(page).waitFor({ state: "detached", ...SECONDS });
  assert.equal(await page.getByRole("alert").count(), 0);
  await page.locator(".activity", { hasText: "Ready" }).waitFor();
});

test("a server that still answers after a failure is checked often until it is unreachable", async (t) => {
  const { page } = await openThroughProxy(t);
  await page.route("**/chatkit", (route) => route.fulfill({ status: 503, json: { message: "The server stops.", code: "stopping" } }));
  const checked = page.waitForResponse("**/api/stream/health");
  await rating(page).click();
  await checked;
  await page.route("**/api/stream/health", (route) => route.abort());
  await isAway(page).waitFor(SECONDS);
});

test("an error text of the server stays visible during an outage, which the status line tells, and disappears after it", async (t) => {
  const { page, proxy } = await openThroughProxy(t);
  const sentence = page.getByRole("alert").getByText("The server stops.");
  await page.route("**/chatkit", (route) => route.fulfill({ status: 503, json: { message: "The server stops.", code: "stopping" } }), { times: 1 });
  await rating(page).click();
  await sentence.waitFor();
  proxy.isDown = true;
  proxy.cut();
  await rating(page).click();
  await isAway(page).waitFor(SECONDS);
  assert.ok(await sentence.isVisible());
  assert.equal(await page.getByRole("alert").count(), 1);
  proxy.isDown = false;
  await isAway(page).waitFor({ state: "detached", ...SECONDS });
  assert.equal(await sentence.count(), 0);
});

test("a message that was not delivered is in the composer again, and the banner stays when the server is back", async (t) => {
  const { page, proxy } = await openThroughProxy(t);
  proxy.isDown = true;
  proxy.cut();
  await say(page, "Precious words");
  const banner = page.getByRole("alert").filter({ hasText: "Your message was not sent" });
  await banner.waitFor(SECONDS);
  await isAway(page).waitFor(SECONDS);
  assert.equal(await page.getByRole("alert").count(), 1);
  proxy.isDown = false;
  await isAway(page).waitFor({ state: "detached", ...SECONDS });
  assert.ok(await banner.isVisible());
  assert.equal(await page.getByPlaceholder("Write a message").inputValue(), "Precious words");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator("li[data-type=assistant_message]", { hasText: "Precious words" }).waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
});

test("an answer whose connection breaks shows that the server is unreachable", async (t) => {
  const { page, proxy } = await openThroughProxy(t);
  await say(page, "Show me something long");
  await page.getByRole("button", { name: "Stop", exact: true }).waitFor();
  proxy.isDown = true;
  proxy.cut();
  await unreachableNotice(page).waitFor(SECONDS);
  assert.equal(await page.getByRole("alert").count(), 1);
});
