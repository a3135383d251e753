/** The examples of examples/embed in pages of another origin, as docs/embedding.md describes. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { after, describe, test } from "node:test";
import { once } from "node:events";
import { promisify } from "node:util";

import react from "@vitejs/plugin-react";
import { build } from "vite";

import { open as openElement } from "./elements/open.js";
import { setStage } from "./stage.js";
import { screenshot, visitor } from "./visit.js";

const run = promisify(execFile);
const WEB = join(import.meta.dirname, "..");
const MODULES = join(WEB, "node_modules");
const EXAMPLES = join(import.meta.dirname, "../../examples/embed");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
/** What the examples take for the server's address. */
const EXAMPLE_SERVER = "http://localhost:8000";

const site = { root: "", change: (text) => text };
const listener = createServer(serve).listen(0, "127.0.0.1");
await once(listener, "listening");
after(() => listener.close());
const origin = `http://127.0.0.1:${listener.address().port}`;
const stage = setStage({ CHATKIT_CORS_ORIGINS: origin }, openElement);

/** Serves `site.root`, with the address of the running server in place of the example's. */
async function serve(request, response) {
  const path = join(site.root, normalize(new URL(request.url, "http://site").pathname));
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
  response.end(site.change(text).replaceAll(EXAMPLE_SERVER, stage.server.origin));
}

async function visit(t, root, path, { change = (text) => text, ...options } = {}) {
  Object.assign(site, { root, change });
  const visit = await visitor(stage.browser, "blocked", options);
  t.after(() => visit.context.close());
  await visit.page.goto(`${origin}/${path}`);
  return visit;
}

async function say(page, text) {
  const root = openElement.root(page);
  await openElement.composer(root).fill(text);
  await openElement.send(root).click();
  await openElement.answers(root).filter({ hasText: "demo model" }).first().waitFor();
}

describe("plain HTML", () => {
  test("a page of another origin chats, keeps its user, and loads chunks of the element", async (t) => {
    const { page, exceptions, strays } = await visit(t, join(EXAMPLES, "html"), "chat.html");
    await say(page, "Hello");
    await page.waitForURL(/thread=thr_/);
    await openElement.openHistory(openElement.root(page)).click();
    await openElement.threads(openElement.root(page)).filter({ hasText: "Hello" }).waitFor(); // a chunk of the element
    await page.reload();
    await openElement.userMessages(openElement.root(page)).filter({ hasText: "Hello" }).waitFor();
    assert.deepEqual(exceptions, []);
    assert.deepEqual(strays, []);
  });

  test("the script also works without `crossorigin`", async (t) => {
    const { page, exceptions } = await visit(t, join(EXAMPLES, "html"), "chat.html", { change: (text) => text.replace(" crossorigin", "") });
    await openElement.openHistory(openElement.root(page)).click();
    await openElement.history(openElement.root(page)).getByRole("heading").first().waitFor();
    assert.deepEqual(exceptions, []);
  });

  test("the launcher opens, closes by Escape and button, keeps the focus in order, and fills a phone", async (t) => {
    const { page, exceptions } = await visit(t, join(EXAMPLES, "html"), "launcher.html", { reducedMotion: "reduce" });
    const launcher = page.getByRole("button", { name: "Open Chat" });
    assert.equal(await page.locator("openai-chatkit").count(), 0);
    await launcher.focus();
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector("openai-chatkit")?.shadowRoot?.activeElement?.matches("[data-input]"));
    await screenshot(page, "launcher");
    await say(page, "Hello");
    await openElement.composer(openElement.root(page)).press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    assert.equal(await launcher.evaluate((button) => button === document.activeElement), true);
    assert.equal(await launcher.getAttribute("aria-expanded"), "false");

    await page.setViewportSize({ width: 360, height: 640 });
    await launcher.click();
    const panel = page.getByRole("dialog", { name: "Chat" });
    assert.deepEqual(await panel.boundingBox(), { x: 0, y: 0, width: 360, height: 640 });
    await openElement.answers(openElement.root(page)).first().waitFor(); // still there
    await screenshot(page, "launcher-phone");
    await openElement.root(page).getByRole("button", { name: /close/i }).first().click();
    await panel.waitFor({ state: "hidden" });
    assert.deepEqual(exceptions, []);
  });
});

/** Builds an example with the packages of web/ instead of its own. */
async function built(t, root, alias = {}) {
  const outDir = await mkdtemp(join(tmpdir(), "chatkit-e2e-embed-"));
  t.after(() => rm(outDir, { recursive: true }));
  const packages = ["react", "react-dom", "@openai/chatkit-react"].map((name) => [name, join(MODULES, name)]);
  const resolve = { alias: { ...Object.fromEntries(packages), ...alias } };
  await build({ root, configFile: false, plugins: [react()], logLevel: "error", resolve, build: { outDir, emptyOutDir: true, minify: false } });
  return outDir;
}

test("React: @openai/chatkit-react drives the open element in a page of another origin", async (t) => {
  const { page, exceptions, strays } = await visit(t, await built(t, join(EXAMPLES, "react")), "index.html");
  await say(page, "Hello");
  await page.waitForURL(/thread=thr_/);
  await page.reload();
  await openElement.userMessages(openElement.root(page)).filter({ hasText: "Hello" }).waitFor();
  assert.deepEqual(exceptions, []);
  assert.deepEqual(strays, []);
});

test("the npm package has types, and works in a bundle", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "chatkit-e2e-package-"));
  t.after(() => rm(folder, { recursive: true }));
  await run("npm", ["pack", "--pack-destination", folder], { cwd: join(WEB, "element") });
  const [archive] = (await readdir(folder)).filter((name) => name.endsWith(".tgz"));
  const unpacked = join(folder, "node_modules/chatkit-open-element");
  await mkdir(unpacked, { recursive: true });
  await run("tar", ["-xzf", join(folder, archive), "--strip-components=1", "-C", unpacked]);
  const licences = await readFile(join(unpacked, "dist/element-licences.txt"), "utf8");
  for (const name of ["highlight.js", "lit", "lucide", "marked"]) assert.match(licences, new RegExp(`^${name}\n\n.*licen[cs]e`, "im"), name);

  const main = `import "chatkit-open-element";
    import type { OpenChatKit } from "chatkit-open-element";
    const chat: OpenChatKit = document.createElement("open-chatkit");
    chat.setOptions({ api: { url: "${EXAMPLE_SERVER}/chatkit", domainKey: "local", fetch: (input, init) => fetch(input, { ...init, credentials: "include" }) } });
    chat.style.cssText = "display: block; height: 100vh";
    document.body.append(chat);
  `;
  await writeFile(join(folder, "main.ts"), main);
  await writeFile(join(folder, "index.html"), '<!doctype html><body><script type="module" src="/main.ts"></script></body>');
  const paths = { "@openai/chatkit": [join(MODULES, "@openai/chatkit/types/index.d.ts")] };
  const compilerOptions = { target: "es2022", module: "esnext", moduleResolution: "bundler", strict: true, noEmit: true, types: [], paths };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["main.ts"] }));
  await run(join(MODULES, ".bin/tsc"), ["-p", folder]);

  const { page, exceptions } = await visit(t, await built(t, folder), "index.html");
  await say(page, "Hello");
  await openElement.openHistory(openElement.root(page)).click();
  await openElement.threads(openElement.root(page)).filter({ hasText: "Hello" }).waitFor(); // a chunk
  assert.deepEqual(exceptions, []);
});
