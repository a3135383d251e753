/**
 * docs/migrate.md, walked as it is written: its commands in their order, from a hosted backend that a stand-in plays to
 * examples/hosted-page in a browser.
 */
import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { launchBrowser } from "./browser.js";
import { openVisit } from "./chat.js";
import { open as openElement } from "./elements/open.js";
import { HOSTED_KEY, hostedThreads, startHosted } from "./hosted.js";
import { freePort } from "./server.js";
import { shellBlocks, Terminal } from "./terminal.js";

const ROOT = join(import.meta.dirname, "../..");
const GUIDE = join(ROOT, "docs/migrate.md");
const MODULES = join(ROOT, "web/node_modules");
const DIST = join(ROOT, "web/dist");
const PASSWORDS = { ada: "lovelace", grace: "hopper", mary: "jackson" };
const CDN_FOLDER = "https://cdn.platform.openai.com/deployments/chatkit";
const DAY = 24 * 60 * 60;
const TEXT_FILE = /\.(py|html|tsx)$/;

/** In place of OpenAI's element, whose script the tests cannot load. */
function serveOpenElement(route) {
  const file = new URL(route.request().url()).pathname.replace("/deployments/chatkit/", "");
  return route.fulfill({ path: join(DIST, file === "chatkit.js" ? "element.js" : file), contentType: "text/javascript", headers: { "access-control-allow-origin": "*" } });
}

describe("the walk of docs/migrate.md", () => {
  const stage = { browser: undefined, server: undefined, element: openElement };
  const ports = {};
  let folder, hosted, blocks, terminal;
  let threads = []; // as saved: those of the stand-in, of the example, and of the document

  before(async () => {
    [folder, hosted, blocks, stage.browser] = await Promise.all([mkdtemp(join(tmpdir(), "chatkit-e2e-walk-")), startHosted(), shellBlocks(GUIDE), launchBrowser()]);
    for (const name of ["chat", "site"]) ports[name] = await freePort();
    await makeCheckout();
    terminal = new Terminal(join(folder, "chatkit-server"), environment());
    await walk();
  });
  after(async () => {
    await stage.browser?.close();
    await terminal?.close();
    hosted?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** A checkout of this repository, as far as the walk needs it, with the ports of this test in the examples. */
  async function makeCheckout() {
    const checkout = join(folder, "chatkit-server");
    await mkdir(join(checkout, "examples"), { recursive: true });
    await symlink(join(ROOT, ".venv"), join(checkout, ".venv"));
    await cp(join(ROOT, "examples/hosted-page"), join(checkout, "examples/hosted-page"), { recursive: true });
    for (const name of await readdir(join(checkout, "examples"), { recursive: true })) {
      const path = join(checkout, "examples", name);
      if (TEXT_FILE.test(name)) await writeFile(path, atPorts(await readFile(path, "utf8")));
    }
  }

  const environment = () => Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CHATKIT_") && !name.startsWith("OPENAI_")));

  const atPorts = (text) => text.replaceAll("localhost:8000", `localhost:${ports.chat}`).replaceAll("localhost:3000", `localhost:${ports.site}`).replace("chatkit-server serve", `chatkit-server serve --port ${ports.chat}`).replace("--port 3000", `--port ${ports.site}`);

  /** The commands below a heading of the document, which are each used once. */
  function commands(heading) {
    const index = blocks.findIndex((block) => block.heading === heading);
    assert.notEqual(index, -1, `no commands below “${heading}”`);
    return atPorts(blocks.splice(index, 1)[0].text);
  }

  /** Follows the document until the website runs. */
  async function walk() {
    assert.equal(commands("Install the server"), "make setup\n"); // done: it has made .venv
    await terminal.run(commands("Install the server"));
    await terminal.run(commands("Put your files into a folder"));

    const [, anyThread] = /^```json\n(.*?)^```$/ms.exec(await readFile(GUIDE, "utf8"));
    await writeFile(join(terminal.directory, "threads/support-17.json"), anyThread);
    const save = commands("Save what only OpenAI has").replace("import openai", `import openai --base-url ${hosted.baseURL} --requests-per-minute 6000`);
    await terminal.run(save, { OPENAI_API_KEY: HOSTED_KEY });
    hosted.stop();
    const files = await readdir(join(terminal.directory, "threads"));
    threads = await Promise.all(files.map(async (name) => JSON.parse(await readFile(join(terminal.directory, "threads", name), "utf8")).thread));
    assert.equal(threads.filter(({ id }) => hostedThreads.some((thread) => thread.id === id)).length, hostedThreads.length);

    await terminal.run(commands("Look at the workflow"));
    await terminal.run(commands("Say who may come in"));
    await terminal.run(commands("Say who may come in"));
    await terminal.run(commands("Take the threads over").replace(/^.*--dry-run\n/m, "")); // takes seconds, and is tested elsewhere
    const chat = await terminal.serve(commands("Start the server"), `http://localhost:${ports.chat}/healthz`);
    stage.server = { origin: `http://localhost:${ports.site}`, output: chat.output };
    await terminal.serve(commands("See it run"), `${stage.server.origin}/login`);
  }

  /** Opens the website in a new browser and logs in. */
  async function openSite(t, user) {
    const visit = await openVisit(t, stage);
    await visit.context.route(`${CDN_FOLDER}/**`, serveOpenElement);
    await visit.page.goto(`${stage.server.origin}/`);
    await visit.page.waitForURL(/\/login$/);
    await visit.page.getByLabel("Name").fill(user);
    await visit.page.getByLabel("Password").fill(PASSWORDS[user]);
    await visit.page.getByRole("button", { name: "Log in" }).click();
    await visit.chat.happened("ready");
    return visit;
  }

  /** Logs in, and checks that the history has the user's threads and that the workflow answers. */
  async function useSite(t, user) {
    const { chat, strays } = await openSite(t, user);
    const own = threads.filter((thread) => thread.user === user);
    await chat.openHistory();
    await chat.until(async () => (await chat.threads.count()) === own.length, `the ${own.length} threads of ${user}`);
    const { title, items } = hostedThreads.find((thread) => thread.user === user); // the oldest
    await chat.openThread(title);
    await chat.userMessages.filter({ hasText: items[0].content[0].text }).waitFor();
    await chat.answers.filter({ hasText: items.at(-1).content[0].text }).waitFor();
    await chat.say("And the next one?");
    assert.match(await chat.answerText(), /demo model.*And the next one\?/);
    assert.deepEqual(strays, []);
  }

  test("the plain page shows a user's threads, and the workflow answers", (t) => useSite(t, "ada"));

  for (const [user, version, script, change] of [
    ["grace", "after", "OpenAI's CDN", (text) => text],
    ["mary", "before", "the server", (text) => text.replace(`${CDN_FOLDER}/chatkit.js" async`, `http://localhost:${ports.chat}/element.js" crossorigin async`)],
  ]) {
    test(`so does the React page of ${version}, with the element from ${script}`, async (t) => {
      const root = join(folder, "chatkit-server/examples/hosted-page", version, "react");
      await symlink(MODULES, join(root, "node_modules"));
      await writeFile(join(root, "index.html"), change(await readFile(join(root, "index.html"), "utf8")));
      await terminal.run(`(cd '${root}' && node_modules/.bin/tsc --noEmit && node_modules/.bin/vite build --logLevel warn && rm -r "$OLDPWD/html" && mv dist "$OLDPWD/html")`);
      await useSite(t, user);
    });
  }

  test("the scripts work", async () => {
    const { id, title, user, items } = hostedThreads.find(({ items }) => items.length > 100);
    const old = threads.filter(({ created_at }) => created_at < Date.now() / 1000 - 90 * DAY).length;
    const text = await terminal.run(`${commands("See it run").replace("3650", "90")}\npython admin.py transcript ${id}`);
    assert.match(text, new RegExp(`^${old} threads deleted$`, "m"));
    const messages = items.filter(({ content }) => content).map(({ type, content }) => `${type === "chatkit.user_message" ? user : "assistant"}: ${content[0].text}`);
    const transcript = [`# ${title} (${user})`, ...messages]; // more than one page
    assert.equal(text.trimEnd().split("\n").slice(-transcript.length).join("\n"), transcript.join("\n"));
  });
});
