/** Sessions and threads with OpenAI's own Node client, as code for hosted ChatKit uses it: only `baseURL` differs. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import OpenAI from "openai";

import { startServer } from "./server.js";

const API_KEY = "a key that is only for the tests";
const FULL = {
  user: "ada",
  workflow: { id: "wf_1", version: "7", state_variables: { plan: "pro", seats: 3, is_new: true, score: 0.5 }, tracing: { enabled: false } },
  expires_after: { anchor: "created_at", seconds: 120 },
  rate_limits: { max_requests_per_1_minute: 30 },
  chatkit_configuration: {
    automatic_thread_titling: { enabled: false },
    file_upload: { enabled: true, max_file_size: 5, max_files: 2 },
    history: { enabled: true, recent_threads: 3 },
  },
};

let server;
let client;

before(async () => {
  server = await startServer({ tokensPerSecond: 1000, env: { CHATKIT_AUTH: "session", CHATKIT_API_KEYS: API_KEY } });
  client = new OpenAI({ baseURL: `${server.origin}/v1`, apiKey: API_KEY, maxRetries: 0 });
});
after(() => server?.stop());

/** Sends an operation as the page of whoever has the secret. */
function operation(secret, type, params) {
  return fetch(`${server.origin}/chatkit`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
    body: JSON.stringify({ type, params }),
  });
}

/** Lists the threads of whoever has the secret. */
const listThreads = (secret) => operation(secret, "threads.list", {});

/** Lets a user write, and returns when the answer is complete. */
async function write(user, text) {
  const { client_secret } = await client.beta.chatkit.sessions.create({ user, workflow: { id: "wf_1" } });
  const input = { content: [{ type: "input_text", text }], attachments: [], inference_options: {} };
  const response = await operation(client_secret, "threads.create", { input });
  assert.equal(response.status, 200);
  await response.text();
}

/** Returns all entries of all pages. */
async function all(pages) {
  const entries = [];
  for await (const entry of pages) entries.push(entry);
  return entries;
}

test("a session is made with all options, its secret works, and cancelling ends it", async () => {
  const before = Math.floor(Date.now() / 1000);
  const session = await client.beta.chatkit.sessions.create(FULL);
  const after = Math.ceil(Date.now() / 1000);
  const { user, workflow, rate_limits, chatkit_configuration } = session;
  const { expires_after: _, ...sent } = FULL;
  assert.deepEqual({ user, workflow, rate_limits, chatkit_configuration }, sent);
  assert.equal(session.object, "chatkit.session");
  assert.equal(session.status, "active");
  const { seconds } = FULL.expires_after;
  assert.ok(session.expires_at >= before + seconds && session.expires_at <= after + seconds, `expires at ${session.expires_at}, made between ${before} and ${after}`);
  const response = await listThreads(session.client_secret);
  assert.equal(response.status, 200);
  assert.deepEqual((await response.json()).data, []);

  const cancelled = await client.beta.chatkit.sessions.cancel(session.id);
  assert.deepEqual([cancelled.id, cancelled.status, cancelled.client_secret], [session.id, "cancelled", ""]);
  assert.equal((await listThreads(session.client_secret)).status, 401);
});

test("errors are those of OpenAI's client", async () => {
  const { sessions } = client.beta.chatkit;
  await assert.rejects(sessions.create({ user: "", workflow: { id: "wf_1" } }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "user");
    return true;
  });
  await assert.rejects(sessions.cancel("cksess_unknown"), OpenAI.NotFoundError);
  const stranger = new OpenAI({ baseURL: `${server.origin}/v1`, apiKey: "wrong", maxRetries: 0 });
  await assert.rejects(stranger.beta.chatkit.sessions.create(FULL), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, "invalid_api_key");
    return true;
  });
});

test("threads are listed over pages, read and deleted, and a script may delete while it lists", async () => {
  const { threads } = client.beta.chatkit;
  for (const [user, text] of [["grace", "One"], ["alan", "Two"], ["grace", "Three"]]) await write(user, text);
  const listed = await all(threads.list({ limit: 1, order: "asc" }));
  assert.deepEqual(listed.map(({ object, title, user }) => [object, title, user]), [
    ["chatkit.thread", "One", "grace"],
    ["chatkit.thread", "Two", "alan"],
    ["chatkit.thread", "Three", "grace"],
  ]);
  const ids = (entries) => entries.map(({ id }) => id);
  const [one, two, three] = ids(listed);
  assert.deepEqual(ids(await all(threads.list({ user: "grace" }))), [three, one]);
  const page = await threads.list({ before: three, limit: 1, order: "asc" });
  assert.deepEqual([ids(page.data), page.has_more, page.last_id], [[two], true, two]);
  assert.deepEqual(await threads.retrieve(one), listed[0]);

  const items = await all(threads.listItems(one, { limit: 1, order: "asc" }));
  assert.deepEqual(items.map(({ type, thread_id }) => [type, thread_id]), [
    ["chatkit.user_message", one],
    ["chatkit.assistant_message", one],
  ]);
  assert.equal(items[0].content[0].text, "One");
  assert.ok(items[1].content[0].text);
  assert.deepEqual(ids(await all(threads.listItems(one, { limit: 1 }))), ids(items).reverse());

  for await (const thread of threads.list({ limit: 1, order: "asc" })) {
    const deleted = await threads.delete(thread.id);
    assert.deepEqual(deleted, { id: thread.id, object: "chatkit.thread.deleted", deleted: true });
  }
  assert.deepEqual(await all(threads.list()), []);
  await assert.rejects(threads.retrieve(one), OpenAI.NotFoundError);
});

test("a baseURL without /v1 is answered by the right one", async () => {
  const misled = new OpenAI({ baseURL: server.origin, apiKey: API_KEY, maxRetries: 0 });
  for (const call of [() => misled.beta.chatkit.sessions.create(FULL), () => misled.beta.chatkit.threads.list()]) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.match(error.message, new RegExp(`OpenAI API is ${server.origin}/v1:`));
      return true;
    });
  }
});
