/** src/session.ts with a `fetch` of the test. In a browser: login.test.js. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mock, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { built } from "../element/test/built.js";

globalThis.document = { baseURI: "https://page.example/chat/" };
const { withClientSecret } = await built("../../src/session.ts");

const URL_OF_API = "https://chat.example/chatkit";
const OPERATION = { method: "POST", body: '{"type": "threads.list", "params": {}}' };
const REFUSED_STREAM = { "content-type": "text/event-stream", "x-chatkit-error": "not_authenticated" };

/** A server that accepts the secrets of `valid`, and a `getClientSecret` that returns `secret 1`, `secret 2`, ... */
function world({ valid = (secret) => secret === "secret 1", answer = (secret) => secret, refusal = () => new Response("", { status: 401 }), ...options } = {}) {
  const sent = [];
  const asked = [];
  const send = async (input, init) => {
    const request = new Request(input instanceof Request ? input : new URL(input, document.baseURI), init);
    const secret = request.headers.get("authorization")?.replace("Bearer ", "") ?? null;
    sent.push({ url: request.url, secret, body: await request.text(), headers: Object.fromEntries(request.headers) });
    return valid(secret) ? new Response(`for ${secret}`) : refusal();
  };
  const getClientSecret = async (existing) => {
    asked.push(existing);
    return answer(`secret ${asked.length}`);
  };
  return { sent, asked, fetch: withClientSecret(getClientSecret, { url: URL_OF_API, fetch: send, ...options }) };
}

const text = async (response) => (await response).text();
const later = () => new Promise((resolve) => setImmediate(resolve));

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

test("asks for the secret with the first request, once for requests in parallel, and keeps it", async () => {
  const { sent, asked, fetch } = world();
  assert.deepEqual(asked, []);
  await Promise.all([fetch(URL_OF_API, OPERATION), fetch(URL_OF_API, OPERATION)]);
  await fetch(URL_OF_API, { ...OPERATION, headers: { "x-mine": "kept" } });
  assert.deepEqual(asked, [null]);
  assert.deepEqual(sent.map(({ secret }) => secret), ["secret 1", "secret 1", "secret 1"]);
  assert.equal(sent[2].headers["x-mine"], "kept");
  assert.equal(sent[2].body, OPERATION.body);
});

test("renews a refused secret once for requests in parallel, and sends each of them again", async () => {
  const { sent, asked, fetch } = world({ valid: (secret) => secret === "secret 2" });
  const answers = await Promise.all(Array.from({ length: 5 }, () => text(fetch(URL_OF_API, OPERATION))));
  assert.deepEqual(answers, Array(5).fill("for secret 2"));
  assert.deepEqual(asked, [null, "secret 1"]);
  assert.equal(sent.length, 10);
  assert.ok(sent.every(({ body }) => body === OPERATION.body));
});

test("a refusal that comes after the renewal does not cause another one", async () => {
  const late = deferred();
  const asked = [];
  let requests = 0;
  const send = async (_input, init) => {
    const secret = new Headers(init.headers).get("authorization");
    if (secret !== "Bearer secret 1") return new Response(secret);
    if (++requests === 1) await late.promise;
    return new Response("", { status: 401 });
  };
  const fetch = withClientSecret((existing) => `secret ${asked.push(existing)}`, { url: URL_OF_API, fetch: send });
  const first = fetch(URL_OF_API, OPERATION);
  assert.equal(await text(fetch(URL_OF_API, OPERATION)), "Bearer secret 2");
  late.resolve();
  assert.equal(await text(first), "Bearer secret 2");
  assert.deepEqual(asked, [null, "secret 1"]);
});

test("a second refusal is returned, and the next request tries again", async () => {
  let accepted = "none";
  const { sent, asked, fetch } = world({ valid: (secret) => secret === accepted });
  const response = await fetch(URL_OF_API, OPERATION);
  assert.equal(response.status, 401);
  assert.equal(sent.length, 2);
  accepted = "secret 3";
  assert.equal(await text(fetch(URL_OF_API, OPERATION)), "for secret 3");
  assert.deepEqual(asked, [null, "secret 1", "secret 2"]);
});

test("a refused stream has status 200 and a header", async () => {
  const refusal = () => new Response('data: {"type": "error"}\n\n', { headers: REFUSED_STREAM });
  const { sent, fetch } = world({ valid: (secret) => secret === "secret 2", refusal });
  assert.equal(await text(fetch(URL_OF_API, OPERATION)), "for secret 2");
  assert.equal(sent.length, 2);
  const other = world({ valid: () => false, refusal: () => new Response("", { headers: { ...REFUSED_STREAM, "x-chatkit-error": "not_found" } }) });
  assert.equal((await other.fetch(URL_OF_API, OPERATION)).headers.get("x-chatkit-error"), "not_found");
  assert.equal(other.sent.length, 1);
});

test("other failures are not repeated", async () => {
  for (const status of [403, 429, 500]) {
    const { sent, asked, fetch } = world({ valid: () => false, refusal: () => new Response("", { status }) });
    assert.equal((await fetch(URL_OF_API, OPERATION)).status, status);
    assert.deepEqual([sent.length, asked.length], [1, 1]);
  }
});

test("an error of getClientSecret fails the requests that wait, and the next one asks again", async () => {
  let isDown = true;
  const { sent, asked, fetch } = world({
    valid: () => true,
    answer: (secret) => {
      if (isDown) throw new Error("the backend is down");
      return secret;
    },
  });
  const outcomes = await Promise.allSettled([fetch(URL_OF_API, OPERATION), fetch(URL_OF_API, OPERATION)]);
  assert.deepEqual(outcomes.map(({ reason }) => reason.message), ["the backend is down", "the backend is down"]);
  assert.equal(asked.length, 1);
  isDown = false;
  assert.equal(await text(fetch(URL_OF_API, OPERATION)), "for secret 2");
  assert.equal(sent.length, 1);
});

test("an answer without a secret is an error, not a request with `undefined`", async () => {
  for (const answer of [undefined, "", {}, { client_secret: null }]) {
    const { sent, fetch } = world({ answer: () => answer });
    await assert.rejects(fetch(URL_OF_API, OPERATION), TypeError);
    assert.equal(sent.length, 0);
  }
});

test("who gives up does not fail the others, and stops waiting at once", async () => {
  const backend = deferred();
  const { sent, asked, fetch } = world({ answer: () => backend.promise });
  const leaving = new AbortController();
  const left = fetch(URL_OF_API, { ...OPERATION, signal: leaving.signal });
  const stays = fetch(URL_OF_API, OPERATION);
  leaving.abort();
  await assert.rejects(left, { name: "AbortError" });
  backend.resolve("secret 1");
  assert.equal(await text(stays), "for secret 1");
  assert.equal(sent.length, 1);
  await assert.rejects(fetch(new Request(URL_OF_API, { ...OPERATION, signal: leaving.signal })), { name: "AbortError" });
  assert.equal(asked.length, 1);
});

test("who gives up while a failing renewal is under way leaves no unhandled rejection", async () => {
  const backend = deferred();
  const { fetch } = world({ answer: () => backend.promise });
  const left = fetch(URL_OF_API, { ...OPERATION, signal: AbortSignal.abort() });
  await assert.rejects(left, { name: "AbortError" });
  backend.reject(new Error("down"));
  await later(); // node fails the test file on an unhandled rejection
});

test("the secret goes to the origin of the API only", async () => {
  const { sent, asked, fetch } = world({ valid: () => true });
  const storage = "https://storage.example/file?signature=1";
  await fetch(storage, { method: "PUT", body: new Blob(["bytes"]) });
  assert.deepEqual([sent[0].secret, asked], [null, []]);
  await fetch(URL_OF_API, OPERATION);
  for (const input of [storage, new URL(storage), new Request(storage), "http://chat.example/chatkit", "https://chat.example.evil.example/", "/chatkit"]) await fetch(input);
  assert.ok(sent.slice(2).every(({ secret }) => secret === null));
  await fetch("https://chat.example/api/attachments/1/content", { method: "PUT", body: new Blob(["bytes"]) });
  await fetch(new URL("https://chat.example/api/threads/1/stop"), { method: "POST" });
  assert.deepEqual(sent.slice(-2).map(({ secret }) => secret), ["secret 1", "secret 1"]);
});

test("without a URL, the first operation tells the origin of the API", async () => {
  const { sent, fetch } = world({ valid: () => true, url: undefined });
  await fetch("https://storage.example/file", { method: "PUT", body: new Blob(["bytes"]) });
  await fetch("/chatkit", OPERATION);
  await fetch("https://storage.example/file", OPERATION);
  await fetch("/api/chatkit/options");
  assert.deepEqual(sent.map(({ secret }) => secret), [null, "secret 1", null, "secret 1"]);
  assert.equal(sent[1].url, "https://page.example/chatkit");
});

test("bodies that can be sent twice are sent again, a stream is not", async () => {
  const form = new FormData();
  form.append("file", new Blob(["of a form"]), "name.txt");
  const bodies = [["text", "text"], [form, /of a form/], [new Blob(["bytes"]), "bytes"], [new URLSearchParams({ a: 1 }), "a=1"], [new TextEncoder().encode("buffer"), "buffer"]];
  for (const [body, expected] of bodies) {
    const { sent, fetch } = world({ valid: (secret) => secret === "secret 2" });
    assert.equal((await fetch(URL_OF_API, { method: "POST", body })).status, 200);
    for (const request of sent) assert.match(request.body, new RegExp(expected));
    assert.equal(sent.length, 2);
  }
  const { sent, fetch } = world({ valid: (secret) => secret === "secret 2" });
  const request = new Request(URL_OF_API, { method: "POST", body: "of a request", headers: { "x-mine": "kept" } });
  assert.equal((await fetch(request)).status, 200);
  assert.deepEqual(sent.map(({ body, headers }) => [body, headers["x-mine"]]), [["of a request", "kept"], ["of a request", "kept"]]);

  const streamed = world({ valid: (secret) => secret === "secret 2" });
  const body = new Blob(["stream"]).stream();
  assert.equal((await streamed.fetch(URL_OF_API, { method: "POST", body, duplex: "half" })).status, 401);
  assert.equal(streamed.sent.length, 1);
});

test("renews a secret before it expires", async (t) => {
  mock.timers.enable({ apis: ["Date"], now: 1_800_000_000_000 });
  t.after(() => mock.timers.reset());
  const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;
  const uses = async (fetch, ...waits) => {
    const all = [];
    for (const seconds of waits) {
      mock.timers.tick(seconds * 1000);
      all.push(await text(fetch(URL_OF_API, OPERATION)));
    }
    return all.map((answer) => Number(answer.replace("for secret ", "")));
  };
  const valid = () => true;

  const named = world({ valid, answer: (client_secret) => ({ client_secret, expires_at: inSeconds(600) }) });
  assert.deepEqual(await uses(named.fetch, 0, 569, 1, 569, 1), [1, 1, 2, 2, 3]);
  assert.deepEqual(named.asked, [null, "secret 1", "secret 2"]);

  const short = world({ valid, answer: (client_secret) => ({ client_secret, expires_at: inSeconds(10) }) });
  assert.deepEqual(await uses(short.fetch, 0, 4, 1), [1, 1, 2]);

  const given = world({ valid, lifetimeSeconds: 600 });
  assert.deepEqual(await uses(given.fetch, 0, 569, 1), [1, 1, 2]);

  const unknown = world({ valid });
  assert.deepEqual(await uses(unknown.fetch, 0, 100_000), [1, 1]);

  const wrongClock = world({ valid, answer: (client_secret) => ({ client_secret, expires_at: inSeconds(-3600) }) });
  assert.deepEqual(await uses(wrongClock.fetch, 0, 1, 1), [1, 1, 1]);
});

test("a secret that is still valid is used where it cannot be renewed, and fails once it has expired", async (t) => {
  mock.timers.enable({ apis: ["Date"], now: 1_800_000_000_000 });
  t.after(() => mock.timers.reset());
  let calls = 0;
  const answer = (secret) => {
    if (++calls === 2 || calls === 3) throw new Error("down");
    return secret;
  };
  const { fetch } = world({ valid: () => true, answer, lifetimeSeconds: 600 });
  await fetch(URL_OF_API, OPERATION);
  mock.timers.tick(580_000);
  assert.equal(await text(fetch(URL_OF_API, OPERATION)), "for secret 1");
  mock.timers.tick(20_000);
  await assert.rejects(fetch(URL_OF_API, OPERATION), { message: "down" });
  assert.equal(await text(fetch(URL_OF_API, OPERATION)), "for secret 4");
});

test("compiles by itself in a project of others, also to plain JavaScript as docs/embedding.md says", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "chatkit-e2e-session-"));
  t.after(() => rm(folder, { recursive: true }));
  await copyFile(join(import.meta.dirname, "../src/session.ts"), join(folder, "session.ts"));
  const options = "--target es2022 --module es2022 --lib es2022,dom --types";
  const strict = "--strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --noPropertyAccessFromIndexSignature --erasableSyntaxOnly --isolatedModules";
  const tsc = join(import.meta.dirname, "../node_modules/.bin/tsc");
  await promisify(execFile)(tsc, ["session.ts", ...options.split(" "), "", ...strict.split(" ")], { cwd: folder });
  const { withClientSecret } = await import(pathToFileURL(join(folder, "session.js")));
  const secrets = [];
  const fetch = withClientSecret(() => "secret 1", { url: URL_OF_API, fetch: async (_input, { headers }) => secrets.push(headers.get("authorization")) && new Response() });
  await fetch(URL_OF_API, OPERATION);
  assert.deepEqual(secrets, ["Bearer secret 1"]);
});
