/** Client secrets of the sessions API: in pages of another origin, and in our own page. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { after, before, describe, test } from "node:test";

import react from "@vitejs/plugin-react";
import { build } from "vite";

import { openVisit } from "./chat.js";
import { open as openElement } from "./elements/open.js";
import { askAndHold } from "./gate.js";
import { setStage } from "./stage.js";

const WEB = join(import.meta.dirname, "..");
const API_KEY = "an API key that is only for the tests";
const TYPES = { ".html": "text/html", ".js": "text/javascript" };

describe("client secrets", () => {
  /** What the backend of the page does: `secrets` were made, `asked` is what `getClientSecret` got. */
  const backend = { root: "", asked: [], sessions: [], firstIsCancelled: false, seconds: 600 };
  const listener = createServer(serve).listen(0, "127.0.0.1");
  after(() => listener.close());
  const listening = once(listener, "listening");
  const originOf = async () => {
    await listening;
    return `http://127.0.0.1:${listener.address().port}`;
  };
  const stage = setStage(
    async () => ({
      CHATKIT_AUTH: "session",
      CHATKIT_API_KEYS: API_KEY,
      CHATKIT_AGENT: "showcase:agent", // its model waits in the middle of an answer
      CHATKIT_CORS_ORIGINS: await originOf(),
    }),
    openElement,
  );

  /** The website: its files, and the endpoint that its page asks for client secrets. */
  async function serve(request, response) {
    const { pathname } = new URL(request.url, "http://site");
    if (pathname === "/api/session") {
      const { existing } = JSON.parse(await new Response(request).text());
      backend.asked.push(existing);
      const session = await makeSession(backend.seconds);
      if (backend.firstIsCancelled && existing === null) await cancel(session);
      return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(session));
    }
    const text = await readFile(join(backend.root, normalize(pathname)), "utf8").catch(() => null);
    if (text === null) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": TYPES[extname(pathname)] ?? "application/octet-stream" }).end(text.replaceAll("SERVER", stage.server.origin));
  }

  async function call(path, body = {}) {
    const headers = { authorization: `Bearer ${API_KEY}`, "content-type": "application/json", "openai-beta": "chatkit_beta=v1" };
    const response = await fetch(`${stage.server.origin}/v1/chatkit/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    assert.equal(response.status, 200, await response.clone().text());
    return response.json();
  }

  async function makeSession(seconds) {
    const session = await call("sessions", {
      user: "ada",
      workflow: { id: "support" },
      expires_after: { anchor: "created_at", seconds },
      rate_limits: { max_requests_per_1_minute: 1000 },
      chatkit_configuration: { file_upload: { enabled: true } },
    });
    backend.sessions.push(session);
    return session;
  }

  const cancel = (session) => call(`sessions/${session.id}/cancel`);
  const cancelAll = () => Promise.all(backend.sessions.map(cancel));

  const optionsStatus = async (secret) => (await fetch(`${stage.server.origin}/api/chatkit/options`, { headers: { authorization: `Bearer ${secret}` } })).status;

  const SHARED = {
    history: { enabled: true },
    composer: { attachments: { enabled: true } },
  };

  const PAGES = {
    "withClientSecret in @openai/chatkit-react": {
      "main.tsx": `import { ChatKit, useChatKit } from "@openai/chatkit-react";
        import { createRoot } from "react-dom/client";
        import { withClientSecret } from "./session";

        const getClientSecret = async (existing: string | null) =>
          (await fetch("/api/session", { method: "POST", body: JSON.stringify({ existing }) })).json();
        const fetchWithSecret = withClientSecret(getClientSecret, { url: "SERVER/chatkit" });
        const initialThread = new URL(location.href).searchParams.get("thread");

        function Chat() {
          const chat = useChatKit({
            api: { url: "SERVER/chatkit", domainKey: "local", fetch: fetchWithSecret, uploadStrategy: { type: "two_phase" } },
            initialThread,
            ...${JSON.stringify(SHARED)},
            onThreadChange: ({ threadId }) => history.replaceState(null, "", threadId ? "?thread=" + threadId : location.pathname),
          });
          return <ChatKit control={chat.control} style={{ height: "100vh" }} />;
        }
        createRoot(document.getElementById("root")!).render(<Chat />);`,
    },
    "getClientSecret of the open element": {
      "main.tsx": `const element = document.createElement("openai-chatkit") as any;
        document.getElementById("root")!.append(element);
        element.style.cssText = "display: block; height: 100vh";
        element.addEventListener("chatkit.thread.change", ({ detail }: CustomEvent) => history.replaceState(null, "", detail.threadId ? "?thread=" + detail.threadId : location.pathname));
        customElements.whenDefined("openai-chatkit").then(() => element.setOptions({
          api: { getClientSecret: async (existing: string | null) =>
            (await (await fetch("/api/session", { method: "POST", body: JSON.stringify({ existing }) })).json()).client_secret },
          initialThread: new URL(location.href).searchParams.get("thread"),
          ...${JSON.stringify(SHARED)},
        }));`,
    },
  };
  const INDEX = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A website</title><script src="SERVER/element.js" crossorigin></script><div id="root"></div><script type="module" src="/main.tsx"></script></html>';

  /** Builds a website with a copy of session.ts. */
  async function built(files) {
    const folder = await mkdtemp(join(tmpdir(), "chatkit-e2e-login-"));
    await writeFile(join(folder, "session.ts"), await readFile(join(WEB, "src/session.ts")));
    for (const [name, text] of Object.entries({ "index.html": INDEX, ...files })) await writeFile(join(folder, name), text);
    const alias = Object.fromEntries(["react", "react-dom", "@openai/chatkit-react"].map((name) => [name, join(WEB, "node_modules", name)]));
    const outDir = join(folder, "dist");
    await build({ root: folder, configFile: false, plugins: [react()], logLevel: "error", resolve: { alias }, build: { outDir, minify: false } });
    return { folder, outDir };
  }

  /** Opens the website; it is one user's, whatever the test. */
  async function open(t, options = {}) {
    Object.assign(backend, { asked: [], sessions: [], firstIsCancelled: false, seconds: 600, ...options });
    const opened = await openVisit(t, stage);
    await opened.chat.goto("/index.html", await originOf());
    return opened;
  }

  for (const [name, files] of Object.entries(PAGES)) {
    describe(name, () => {
      let website;
      before(async () => {
        website = await built(files);
        backend.root = website.outDir;
      });
      after(() => rm(website.folder, { recursive: true }));

      test("chat, history, a file, a reload: with one secret for each load of the page", async (t) => {
        const { chat, page, strays } = await open(t);
        await chat.attach({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("Remember the milk") });
        await chat.attachments.filter({ hasText: "notes.txt" }).waitFor();
        await chat.say("Hello, with a file");
        assert.equal((await chat.posts("attachments.create")).length, 1);
        await page.waitForURL(/thread=thr_/);
        assert.deepEqual(backend.asked, [null]);
        await chat.reload();
        await chat.userMessages.filter({ hasText: "Hello, with a file" }).waitFor();
        await chat.userMessages.getByText("notes.txt").waitFor();
        await chat.openHistory();
        await chat.threadEntry("Hello, with a file").first().waitFor();
        assert.deepEqual(backend.asked, [null, null]);
        assert.ok(chat.requests.every(({ headers }) => headers.authorization?.startsWith("Bearer ek_")));
        assert.deepEqual(strays, []);
      });

      test("a refused secret is renewed once for requests in parallel, which then succeed", async (t) => {
        const { chat, page } = await open(t);
        await chat.say("Before the reload");
        Object.assign(backend, { asked: [], firstIsCancelled: true });
        const refused = [];
        page.on("response", (response) => response.status() === 401 && refused.push(response.request().postDataJSON().type));
        await chat.reload();
        await chat.userMessages.filter({ hasText: "Before the reload" }).waitFor();
        await chat.openHistory();
        assert.deepEqual(backend.asked, [null, backend.sessions.at(-2).client_secret]);
        assert.ok(refused.length >= 2, `several requests had the old secret: ${refused}`);
      });

      test("an answer outlives its secret, and the next message gets a new one", async (t) => {
        const { chat } = await open(t);
        const { gate, early } = await askAndHold(t, chat);
        await cancelAll();
        assert.equal(await optionsStatus(backend.sessions[0].client_secret), 401);
        gate.open();
        await chat.happened("response.end");
        const answer = await chat.answerText();
        assert.ok(answer.length > early.length);

        // The server refuses this with status 200 and an error in the stream.
        const before = chat.requests.length;
        await chat.say("And another question");
        assert.equal(await chat.answers.count(), 2);
        assert.equal(await chat.error.count(), 0);
        const posts = chat.requests.slice(before).filter(({ type }) => type === "threads.add_user_message");
        assert.deepEqual(posts.map(({ headers }) => headers.authorization), [0, 1].map((index) => `Bearer ${backend.sessions[index].client_secret}`));
        assert.deepEqual(backend.asked, [null, backend.sessions[0].client_secret]);
      });
    });
  }

  test("the open element asks for a secret at once: copies of OpenAI's starter app cover it until then", async (t) => {
    const root = await mkdtemp(join(tmpdir(), "chatkit-e2e-login-"));
    t.after(() => rm(root, { recursive: true }));
    const script = `const element = document.querySelector("openai-chatkit");
      const getClientSecret = async (existing) => (await (await fetch("/api/session", { method: "POST", body: JSON.stringify({ existing }) })).json()).client_secret;
      element.setOptions({ api: { getClientSecret }, history: { enabled: false } });`;
    await writeFile(join(root, "index.html"), `${INDEX.replace(/<script type.*/, "")}<openai-chatkit></openai-chatkit><script>${script}</script>`);
    backend.root = root;
    const { chat } = await open(t);
    await chat.until(() => backend.asked.length, "a secret");
    await chat.say("Hello");
    assert.deepEqual(backend.asked, [null]);
  });

  test("our page takes a client secret that a developer enters, renews it, and forgets one that is refused", async (t) => {
    const { page, chat } = await openVisit(t, stage);
    await page.goto(stage.server.origin);
    await page.getByLabel("Client secret").fill("ek_not_a_secret");
    const refused = page.waitForResponse((response) => response.url().endsWith("/api/chatkit/refresh") && response.status() === 401);
    await page.getByRole("button", { name: "Use it" }).click();
    await refused;
    await page.getByRole("alert").filter({ hasText: "has refused that one" }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);

    const { client_secret: secret } = await makeSession(2);
    await chat.until(async () => (await optionsStatus(secret)) === 401, "the end of the session");
    await page.getByLabel("Client secret").fill(secret);
    await page.getByRole("button", { name: "Use it" }).click();
    await chat.happened("ready");
    await chat.say("Hello");
    assert.notEqual(await page.evaluate(() => sessionStorage.getItem("chatkit-credential")), secret);
    await chat.reload();
    await chat.userMessages.filter({ hasText: "Hello" }).waitFor();
  });
});
