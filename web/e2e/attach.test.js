/** Reloads, lost connections and Stop in the middle of an answer, against the real server. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";

import { transformWithOxc } from "vite";

import { makeGate } from "./gate.js";
import { startProxy } from "./proxy.js";
import { setStage } from "./stage.js";
import { screenshot, visitor } from "./visit.js";

const stage = setStage({ CHATKIT_AGENT: "showcase:agent" }); // its model waits in the middle of an answer
const THE_END = "runs on this machine"; // of every answer of the demo model
const ATTACH_SOURCE = join(import.meta.dirname, "../src/attach.ts");
const USE_ATTACH = `
  const attach = createAttach();
  window.undo = attach.connect(element);
  element.setOptions({ api: { url: "/chatkit", domainKey: "x", fetch: attach.fetch }, initialThread });`;

async function open(t, { path = "/", origin = stage.server.origin } = {}) {
  const visit = await visitor(stage.browser, "stand-in");
  t.after(() => visit.context.close());
  await visit.page.goto(origin + path);
  await happened(visit.page, "ready");
  return visit;
}

async function openThroughProxy(t) {
  const proxy = await startProxy(stage.server.port);
  t.after(() => proxy.stop());
  return { proxy, ...(await open(t, { origin: proxy.origin })) };
}

/** Opens a page with the bare element, `?thread=` and the code of attach.ts; `setUp` uses it or not. */
async function openBare(t, setUp) {
  const visit = await visitor(stage.browser, "stand-in");
  t.after(() => visit.context.close());
  const { code } = await transformWithOxc(await readFile(ATTACH_SOURCE, "utf8"), "attach.ts");
  const body = `<!doctype html><openai-chatkit></openai-chatkit>
    <script src="https://cdn.platform.openai.com/deployments/chatkit/chatkit.js"></script>
    <script type="module">
      ${code.replaceAll("export ", "")}
      const element = document.querySelector("openai-chatkit");
      const initialThread = new URL(location.href).searchParams.get("thread");
      element.addEventListener("chatkit.thread.change", ({ detail }) => history.replaceState(null, "", "?thread=" + detail.threadId));
      ${setUp}
    </script>`;
  await visit.page.route("**/bare*", (route) => route.fulfill({ body, contentType: "text/html" }));
  await visit.page.goto(`${stage.server.origin}/bare`);
  await happened(visit.page, "ready");
  return visit;
}

const happened = (page, name, times = 1) =>
  page.waitForFunction(([name, times]) => window.standIn?.events.filter((event) => event.name === name).length >= times, [name, times]);
const count = (page, name) => page.evaluate((name) => window.standIn.events.filter((event) => event.name === name).length, name);
const attaches = (page) => page.evaluate(() => window.standIn.requests.filter(({ params }) => params.action?.type === "turn.attach").length);
const standIn = (page, field) => page.evaluate((field) => window.standIn[field], field);
const attached = (page, times) =>
  page.waitForFunction((times) => window.standIn.requests.filter(({ params }) => params.action?.type === "turn.attach").length >= times, times);
const threadInAddress = (page) => new URL(page.url()).searchParams.get("thread");
const stopButton = (page) => page.getByRole("button", { name: "Stop", exact: true });
const sendButton = (page) => page.getByRole("button", { name: "Send", exact: true });
const lastAnswer = (page) => page.locator("li[data-type=assistant_message]").last();

/** Returns the answer's text, without the buttons below it. */
const shownText = (page) => lastAnswer(page).evaluate((line) => line.firstChild.textContent);

/** Waits until the last answer is longer than `length`; returns its text so far. */
async function grown(page, length) {
  const grows = (length) => {
    const items = document.querySelector("openai-chatkit")?.shadowRoot?.querySelectorAll("li[data-type=assistant_message]");
    const text = items?.length ? items[items.length - 1].firstChild?.textContent ?? "" : "";
    return text.length > length && text;
  };
  return (await page.waitForFunction(grows, length)).jsonValue();
}

/** Sends a message and waits until its answer is held in the middle; returns the turn's id and what lets it go on. */
async function ask(t, page) {
  const gate = await makeGate(t);
  const answer = page.waitForResponse((response) => response.headers()["x-chatkit-turn-id"] !== undefined);
  await page.getByRole("textbox").fill(`Hello, hold ${gate.port}`);
  await sendButton(page).click();
  const turn = (await answer).headers()["x-chatkit-turn-id"];
  await lastAnswer(page).filter({ hasText: "can show:" }).waitFor(); // where it is held
  return { turn, finish: gate.open };
}

/** Returns the text of the thread's last answer in the server's database. */
async function savedText(page, thread = threadInAddress(page)) {
  const body = { type: "threads.get_by_id", params: { thread_id: thread } };
  const { items } = await (await page.request.post(`${stage.server.origin}/chatkit`, { data: body })).json();
  return items.data.at(-1).content.map((part) => part.text).join("");
}

/** Checks that the answer has ended, is complete, and is shown once. */
async function expectComplete(page) {
  await sendButton(page).and(page.locator(":enabled")).waitFor();
  await lastAnswer(page).filter({ hasText: THE_END }).waitFor();
  const shown = await shownText(page);
  assert.equal(shown, await savedText(page));
  assert.equal(shown.split("To get a real model").length, 2);
}

/** Checks that the server ended the answer (the widget cannot stop a re-attached one) and saved it as shown. */
async function expectSavedAsShown(page) {
  await sendButton(page).and(page.locator(":enabled")).waitFor();
  assert.equal(await shownText(page), await savedText(page));
}

const stopAnswer = (page) => page.waitForResponse((response) => response.url().endsWith("/stop") && response.ok());

// Concurrent: the tests mostly wait for the answers.
describe("a page with attach.ts", { concurrency: 5 }, () => {
  test("a reload in the middle of an answer shows it so far and continues it live", async (t) => {
    const { page } = await open(t);
    const { finish } = await ask(t, page);
    const [request] = await standIn(page, "requests").then((all) => all.filter(({ type }) => type === "threads.create"));
    assert.equal(request.headers["x-chatkit-detach"], undefined); // not set by the widget, but by the page's fetch
    const before = await shownText(page);

    await page.reload();
    const again = await grown(page, 0);
    assert.equal(again, before);
    await stopButton(page).waitFor();
    assert.ok(await sendButton(page).isDisabled());
    await screenshot(page, "attach-reload");
    finish();
    await expectComplete(page);
    assert.ok((await standIn(page, "deltas")) > 1, "the rest arrived in more than one piece");
    assert.equal(await attaches(page), 1);
    assert.equal(await page.locator("li[data-id]").count(), 2);
    assert.deepEqual(await page.evaluate(() => window.activities), ["Loading…", "Ready", "Answering…", "Ready"]);
  });

  test("after a lost connection the answer continues, without lost or repeated text", async (t) => {
    const { page, proxy } = await openThroughProxy(t);
    const { finish } = await ask(t, page);
    proxy.cut();
    await happened(page, "error");
    finish();
    await expectComplete(page);
    assert.equal(await attaches(page), 1);
    assert.equal(await page.locator("li[data-type=error]").count(), 0);
    assert.equal(await page.getByRole("alert").count(), 0);
    await page.locator(".activity", { hasText: "Ready" }).waitFor();
  });

  test("during an outage the page retries, and then shows the complete answer", async (t) => {
    const { page, proxy } = await openThroughProxy(t);
    const { finish } = await ask(t, page);
    proxy.isDown = true;
    proxy.cut();
    await attached(page, 2);
    const notice = page.getByRole("alert");
    await notice.getByText("The server cannot be reached").waitFor();
    assert.equal(await notice.count(), 1);
    await screenshot(page, "attach-lost");
    proxy.isDown = false;
    finish();
    await expectComplete(page);
    assert.equal(await standIn(page, "mostStreams"), 1);
    await notice.waitFor({ state: "detached" });
  });

  test("an offline browser waits and attaches as soon as it is online", async (t) => {
    const { page, context, proxy } = await openThroughProxy(t);
    await page.clock.install();
    const { finish } = await ask(t, page);
    await context.setOffline(true);
    proxy.cut();
    await happened(page, "error");
    await page.clock.fastForward(60_000); // longer than any wait
    assert.equal(await attaches(page), 0);
    await context.setOffline(false);
    finish();
    await expectComplete(page);
    assert.equal(await attaches(page), 1);
  });

  test("an answer that is shown again continues after a second lost connection", async (t) => {
    const { page, proxy } = await openThroughProxy(t);
    const { finish } = await ask(t, page);
    await page.evaluate(() => {
      window.standIn.settleEarly = true;
    });
    for (const times of [1, 2]) {
      proxy.cut();
      await happened(page, "error", times);
      await attached(page, times);
      await stopButton(page).waitFor(); // the answer is there again
    }
    finish();
    await expectComplete(page);
    assert.equal(await attaches(page), 2);
  });

  test("Stop ends the turn on the server, also in the first answer of a thread", async (t) => {
    const { page } = await open(t);
    await page.clock.install();
    const { turn } = await ask(t, page);
    const [response] = await Promise.all([stopAnswer(page), stopButton(page).click()]);
    await page.clock.fastForward(60_000); // longer than any wait
    assert.equal(await attaches(page), 0); // an answer that the user stopped is not lost
    assert.equal(new URL(response.url()).pathname, `/api/threads/${threadInAddress(page)}/stop`);
    assert.deepEqual(await response.json(), { id: turn, thread_id: threadInAddress(page), status: "stopped", stop_reason: "user" });
    assert.ok(await sendButton(page).isEnabled());
    assert.equal(await page.getByRole("alert").count(), 0);
    const saved = await savedText(page);
    assert.ok(saved.startsWith(await shownText(page)));
    const events = await (await page.request.get(`${stage.server.origin}/api/turns/${turn}/events`)).text();
    assert.ok(events.includes(JSON.stringify(saved)), "the turn has ended with that text");
    await page.reload();
    await grown(page, 0);
    assert.equal(await shownText(page), saved);
    await screenshot(page, "attach-stopped");
  });

  test("Stop works before the widget reports the thread of a first answer", async (t) => {
    const { page } = await openBare(t, `window.addEventListener("chatkit.thread.change", (event) => event.stopImmediatePropagation(), { capture: true });${USE_ATTACH}`);
    const { turn } = await ask(t, page);
    const [response] = await Promise.all([stopAnswer(page), stopButton(page).click()]);
    assert.equal((await response.json()).id, turn);
  });

  test("Stop ends an answer that is shown again, and is retried if the request fails", async (t) => {
    const { page } = await open(t);
    const { turn } = await ask(t, page);
    await page.reload();
    await stopButton(page).waitFor();
    const failures = [(route) => route.abort(), (route) => route.fulfill({ status: 502 })];
    await page.route("**/api/threads/*/stop", (route) => (failures.shift() ?? ((route) => route.continue()))(route));
    const [response] = await Promise.all([stopAnswer(page), stopButton(page).click()]);
    assert.deepEqual(failures, []);
    assert.deepEqual(await response.json(), { id: turn, thread_id: threadInAddress(page), status: "stopped", stop_reason: "user" });
    await expectSavedAsShown(page);
  });

  test("a new message cancels the retries of a Stop, which would stop the new answer", async (t) => {
    const { page } = await open(t);
    await page.clock.install();
    const { finish } = await ask(t, page);
    let stops = 0;
    await page.route("**/api/threads/*/stop", (route) => {
      stops += 1;
      return route.abort();
    });
    const failed = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/stop"));
    await stopButton(page).click();
    await failed;
    finish();
    const second = await ask(t, page);
    const before = stops;
    await page.clock.fastForward(60_000); // longer than any wait
    second.finish();
    await expectComplete(page);
    assert.equal(stops, before);
  });

  for (const settleEarly of [false, true]) {
    test(`many loads at once attach once at a time (the action settles ${settleEarly ? "early" : "at the end"})`, async (t) => {
      const { page } = await open(t);
      const { finish } = await ask(t, page);
      await page.addInitScript((early) => {
        const again = ({ target, detail }) => {
          window.standIn.settleEarly = early;
          for (let i = 0; i < 20; i++) target.dispatchEvent(new CustomEvent("chatkit.thread.load.end", { detail }));
        };
        window.addEventListener("chatkit.thread.load.end", again, { once: true });
      }, settleEarly);
      await page.reload();
      await stopButton(page).waitFor();
      await page.evaluate(() => {
        const detail = { threadId: new URL(location.href).searchParams.get("thread") };
        document.querySelector("openai-chatkit").dispatchEvent(new CustomEvent("chatkit.thread.load.end", { detail }));
      });
      finish();
      await expectComplete(page);
      assert.deepEqual([await attaches(page), await standIn(page, "mostStreams"), await standIn(page, "ignored")], [1, 1, 0]);
    });
  }

  test("an action that the widget ignores is retried", async (t) => {
    const { page } = await open(t);
    const { finish } = await ask(t, page);
    await page.addInitScript(() => {
      window.addEventListener("chatkit.thread.load.end", ({ target }) => {
        const real = target.sendCustomAction.bind(target);
        target.sendCustomAction = () => {
          target.sendCustomAction = real;
          window.standIn.ignored += 1;
          return Promise.reject(new Error("ignored"));
        };
      }, { capture: true });
    });
    await page.reload();
    await stopButton(page).waitFor();
    finish();
    await expectComplete(page);
    assert.equal(await standIn(page, "ignored"), 1);
    assert.equal(await attaches(page), 1);
  });

  test("an error of the server stays visible with its Retry button", async (t) => {
    const { page } = await open(t);
    await page.clock.install();
    await page.getByRole("textbox").fill("Please show an error");
    await sendButton(page).click();
    const retry = page.getByRole("button", { name: "Retry" });
    await retry.waitFor();
    await happened(page, "response.end");
    await page.clock.fastForward(60_000); // longer than any wait
    assert.equal(await attaches(page), 0);
    assert.equal(await retry.count(), 1);
  });

  test("an answer continues while another thread is shown, and is live when the user returns", async (t) => {
    const { page } = await open(t);
    const { finish } = await ask(t, page);
    const thread = threadInAddress(page);
    await page.getByRole("button", { name: "New chat" }).click();
    assert.equal(await page.locator("li[data-id]").count(), 0);
    const other = await ask(t, page);
    other.finish();
    await lastAnswer(page).filter({ hasText: THE_END }).waitFor();
    await page.locator(`button[name=${thread}]`).click();
    await lastAnswer(page).filter({ hasNotText: THE_END }).waitFor();
    assert.equal(threadInAddress(page), thread);
    assert.equal(await attaches(page), 0);
    const { length } = await shownText(page);
    finish();
    await grown(page, length);
    await expectComplete(page);
  });

  test("Stop ends the answer of a thread that was hidden", async (t) => {
    const { page } = await open(t);
    await ask(t, page);
    const thread = threadInAddress(page);
    await page.getByRole("button", { name: "New chat" }).click();
    const other = await ask(t, page);
    other.finish(); // the history is loaded again
    await page.locator(`button[name=${thread}]`).click();
    const [response] = await Promise.all([stopAnswer(page), stopButton(page).click()]);
    assert.equal((await response.json()).thread_id, thread);
  });

  test("a connection lost in a hidden thread is resumed when the user returns to it", async (t) => {
    const { page, proxy } = await openThroughProxy(t);
    const { finish } = await ask(t, page);
    const thread = threadInAddress(page);
    await page.getByRole("button", { name: "New chat" }).click();
    proxy.cut();
    await happened(page, "error");
    assert.equal(await attaches(page), 0);
    await page.locator(`button[name=${thread}]`).click();
    finish();
    await expectComplete(page);
    assert.equal(await attaches(page), 1);
  });

  test("a pending attach is cancelled when the user opens another thread", async (t) => {
    const { page, proxy } = await openThroughProxy(t);
    await page.clock.install();
    await ask(t, page);
    await page.clock.pauseAt(Date.now() + 10_000); // the attach stays pending
    proxy.isDown = true;
    proxy.cut();
    await happened(page, "error");
    await page.getByRole("button", { name: "New chat" }).click();
    proxy.isDown = false;
    await page.clock.fastForward(60_000);
    assert.deepEqual([await attaches(page), await standIn(page, "ignored")], [0, 0]);
  });

  test("a load that fails twice is retried without an error", async (t) => {
    const { page } = await open(t);
    const { finish } = await ask(t, page);
    const address = page.url();
    const failures = [(route) => route.fulfill({ status: 503, json: {} }), (route) => route.abort()];
    await page.route("**/chatkit", (route) => {
      const fail = route.request().postDataJSON().type === "threads.get_by_id" && failures.shift();
      return fail ? fail(route) : route.continue();
    });
    await page.reload();
    await stopButton(page).waitFor();
    finish();
    await expectComplete(page);
    assert.deepEqual(failures, []);
    assert.equal(page.url(), address);
    assert.equal(await count(page, "error"), 0);
    assert.equal(await attaches(page), 1);
  });

  test("a page without attach.ts shows the answer so far after a reload", async (t) => {
    const { page } = await openBare(t, 'element.setOptions({ api: { url: "/chatkit", domainKey: "x" }, initialThread });');
    await ask(t, page);
    const before = await shownText(page);
    await page.reload();
    assert.equal(await grown(page, 0), before);
    assert.equal(await attaches(page), 0);
    assert.ok(await sendButton(page).isEnabled());
  });

  test("attach.ts works when pasted into a page with the bare element, and disconnects completely", async (t) => {
    const { page } = await openBare(t, USE_ATTACH);
    const { finish } = await ask(t, page);
    await page.reload();
    await stopButton(page).waitFor();
    finish();
    await expectComplete(page);
    assert.equal(await attaches(page), 1);

    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    await page.evaluate(async () => {
      const element = document.querySelector("openai-chatkit");
      const threadId = new URL(location.href).searchParams.get("thread");
      element.remove();
      element.dispatchEvent(new CustomEvent("chatkit.thread.load.end", { detail: { threadId } }));
      await new Promise((resolve) => setTimeout(resolve)); // let a possible reaction begin
      window.undo();
      for (const name of ["thread.load.end", "response.stop", "error"]) {
        element.dispatchEvent(new CustomEvent(`chatkit.${name}`, { detail: { threadId } }));
      }
      window.dispatchEvent(new Event("online"));
    });
    assert.equal(await attaches(page), 1);
    assert.deepEqual(requests, []);
  });
});
