/** A user in front of a chat: opens it, and does with either element what a person does. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { PATIENCE_MS, recordFailure, screenshot, visitor } from "./visit.js";

/**
 * Opens the page of the stage's server with the stage's element and waits until the element is ready. `path` is the
 * page's path, `origin` another origin (see proxy.js); `bare`, JavaScript source of an options object, opens a page that
 * has nothing but the element with these options. The rest are options of Playwright's browser context.
 */
export async function openChat(t, stage, { path = "/", origin = stage.server.origin, bare, ...options } = {}) {
  const { chat, ...visit } = await openVisit(t, stage, options);
  if (bare !== undefined) await serveBarePage(visit.context, stage.element, bare);
  await chat.goto(bare === undefined ? path : `/bare.html${path.slice(1)}`, origin);
  return chat;
}

/** Opens a browser with nothing loaded yet; `chat` drives the element of whatever page is opened in it. */
export async function openVisit(t, stage, options) {
  const visit = await visitor(stage.browser, stage.element.name, options);
  t.after(async () => {
    if (!t.passed || visit.exceptions.length) await recordFailure(t, visit, stage.server);
    await visit.context.close();
    assert.deepEqual(visit.exceptions, [], "exceptions that no script of the page caught");
  });
  return { ...visit, chat: new Chat(visit, stage) };
}

async function serveBarePage(context, element, options) {
  const body = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Bare</title>
    <style>html, body { height: 100%; margin: 0 } openai-chatkit { display: block; height: 100% }</style>
    <openai-chatkit></openai-chatkit><script src="${element.script}"></script>
    <script type="module">
      const element = document.querySelector("openai-chatkit");
      const initialThread = new URL(location.href).searchParams.get("thread");
      element.addEventListener("chatkit.thread.change", ({ detail }) => history.replaceState(null, "", detail.threadId ? "?thread=" + detail.threadId : location.pathname));
      element.setOptions({ api: { url: "/chatkit", domainKey: "x" }, initialThread, ...(${options}) });
    </script></html>`;
  await context.route("**/bare*", (route) => route.fulfill({ body, contentType: "text/html" }));
}

export class Chat {
  constructor({ context, page, strays, requests }, stage) {
    this.context = context;
    this.page = page;
    /** Requests to other hosts, which were blocked. */
    this.strays = strays;
    /** What was posted to /chatkit: `{ type, params, headers }`, in order. */
    this.requests = requests;
    this.stage = stage;
    this.element = stage.element;
    this.root = this.element.root(page);
  }

  async goto(path = "/", origin = this.stage.server.origin) {
    await this.page.goto(origin + path);
    await this.happened("ready");
  }

  /** Reloads the page and waits until the element is ready. */
  async reload() {
    await this.page.reload();
    await this.happened("ready");
  }

  /** Opens the same address in another tab of the same browser. */
  async secondTab() {
    const page = await this.context.newPage();
    const chat = new Chat({ context: this.context, page, strays: this.strays, requests: this.requests }, this.stage);
    const url = new URL(this.page.url());
    await chat.goto(url.pathname + url.search, url.origin);
    return chat;
  }

  /** The thread in the page's address, or null. */
  get thread() {
    return new URL(this.page.url()).searchParams.get("thread");
  }

  // What is on the screen, as locators

  get composer() {
    return this.element.composer(this.root);
  }
  get sendButton() {
    return this.element.send(this.root);
  }
  get stopButton() {
    return this.element.stop(this.root);
  }
  get userMessages() {
    return this.element.userMessages(this.root);
  }
  get answers() {
    return this.element.answers(this.root);
  }
  get widgets() {
    return this.element.widgets(this.root);
  }
  get error() {
    return this.element.error(this.root);
  }
  get threads() {
    return this.element.threads(this.root);
  }
  get attachments() {
    return this.element.attachments(this.root);
  }

  // Messages

  /** Sends a message and waits until the element has begun to wait for the answer. */
  async send(text) {
    const starts = await this.count("response.start");
    await this.composer.fill(text);
    await this.sendButton.click();
    await this.happened("response.start", starts + 1);
  }

  /** Sends a message and waits for the end of the answer. */
  async say(text) {
    const ends = await this.count("response.end");
    await this.send(text);
    await this.happened("response.end", ends + 1);
  }

  /** Sends a message and waits until the answer has at least `length` characters; returns what it shows then. */
  async ask(text, length = 40) {
    const answers = await this.answers.count();
    await this.send(text);
    await this.answers.nth(answers).waitFor();
    return this.grown(length);
  }

  /** Waits until the last answer shows more than `length` characters; returns it. */
  async grown(length) {
    return this.until(async () => {
      const text = (await this.answers.count()) ? await this.answerText() : "";
      return text.length > length && text;
    }, `an answer of more than ${length} characters`);
  }

  /** The text of the last answer, with single spaces. */
  async answerText() {
    return plain(await this.answers.last().innerText());
  }

  /** Waits until the composer is free again. */
  async ended() {
    await this.stopButton.waitFor({ state: "hidden" });
    await this.sendButton.waitFor();
  }

  async stop() {
    await this.stopButton.click();
  }

  /** Retries after an error. */
  async retry() {
    await this.element.retryError(this.root).click();
  }

  /** Asks for another answer instead of the last one. */
  async regenerate() {
    await this.answers.last().hover();
    await this.element.regenerate(this.root).click();
  }

  /** Rates the last answer as `good` or `bad`. */
  async rate(kind) {
    await this.answers.last().hover();
    await (kind === "good" ? this.element.goodAnswer : this.element.badAnswer)(this.root).click();
  }

  // History

  async newChat() {
    await this.element.newChat(this.root).click();
  }

  async openHistory() {
    await this.element.openHistory(this.root).click();
    await this.threads.first().waitFor();
  }

  threadEntry(title) {
    return this.threads.filter({ hasText: title });
  }

  async openThread(title) {
    await this.threadEntry(title).getByText(title).click();
  }

  async searchHistory(text) {
    await this.element.searchHistory(this.root).fill(text);
  }

  async renameThread(title, to) {
    await this.#choose(title, /rename/i);
    const field = this.element.titleField(this.root);
    await field.fill(to);
    await field.press("Enter");
  }

  async deleteThread(title) {
    await this.#choose(title, /delete/i);
    const confirm = this.root.getByRole("button", { name: /^(delete|confirm)/i }).last();
    await confirm.click();
  }

  async #choose(title, action) {
    const entry = this.threadEntry(title);
    await entry.hover();
    const menu = this.element.threadMenu(entry);
    if (await menu.count()) {
      await menu.click();
      await this.element.menuItem(this.root, action).click();
    } else {
      await entry.getByRole("button", { name: action }).click();
    }
  }

  // Composer

  /** Chooses files: `{ name, mimeType, buffer }`, or paths. */
  async attach(...files) {
    await this.element.attach(this.root).setInputFiles(files);
  }

  async chooseModel(label) {
    await this.element.models(this.root).click();
    await this.element.menuItem(this.root, label).click();
  }

  async chooseTool(label) {
    await this.element.tools(this.root).click();
    await this.element.menuItem(this.root, label).click();
  }

  /** Types @ and the query, and chooses an entity. */
  async mention(query, title) {
    await this.composer.press("End");
    await this.composer.pressSequentially(`@${query}`);
    await this.element.menuItem(this.root, title).click();
  }

  /** Answers the pending questions in order: `{ choice }` or `{ text }`. */
  async answerQuestions(answers) {
    await this.element.answerQuestions(this.root, answers);
  }

  async dictate() {
    await this.element.dictate(this.root).click();
  }

  async endDictation() {
    await this.element.endDictation(this.root).click();
  }

  // Events and requests

  /** How often the element has dispatched `chatkit.<name>` since the page was loaded. */
  count(name) {
    return this.page.evaluate((name) => window.chatEvents.filter((event) => event.name === name).length, name);
  }

  /** The details of all events of this name, or all events. */
  events(name) {
    return this.page.evaluate((name) => window.chatEvents.filter((event) => !name || event.name === name), name);
  }

  /** Waits until the element has dispatched `chatkit.<name>` that often. */
  async happened(name, times = 1) {
    await this.page.waitForFunction(([name, times]) => window.chatEvents.filter((event) => event.name === name).length >= times, [name, times]);
  }

  /** The posts of one operation. */
  posts(type) {
    return this.requests.filter((request) => request.type === type);
  }

  /** Waits until that many posts of the operation were made; returns them. */
  posted(type, times = 1) {
    return this.until(() => this.posts(type).length >= times && this.posts(type), `${times} ${type}`);
  }

  /** Asks until `probe` returns something truthy; fails after `PATIENCE_MS`. For what the browser has no event for. */
  async until(probe, what = "the condition") {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const value = await probe();
      if (value) return value;
      if (Date.now() > deadline) throw new Error(`Waited ${PATIENCE_MS / 1000} s for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async screenshot(name) {
    await screenshot(this.page, `${this.element.name}-${name}`);
  }
}

/** Markdown and line breaks differ between elements: words count. */
export const plain = (text) => text.replace(/\s+/g, " ").trim();

/** A file of the tests as an upload. */
export async function file(path, mimeType) {
  return { name: path.split("/").at(-1), mimeType, buffer: await readFile(path) };
}
