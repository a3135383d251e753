/** Chat sessions with OpenAI's own Node client, as a backend for hosted ChatKit makes them: only `baseURL` differs. */
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

/** Lists the threads of whoever has the secret. */
function listThreads(secret) {
  return fetch(`${server.origin}/chatkit`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
    body: JSON.stringify({ type: "threads.list", params: {} }),
  });
}

test("a session is made with all options, its secret works, and cancelling ends it", async () => {
  const session = await client.beta.chatkit.sessions.create(FULL);
  const { user, workflow, rate_limits, chatkit_configuration } = session;
  const { expires_after: _, ...sent } = FULL;
  assert.deepEqual({ user, workflow, rate_limits, chatkit_configuration }, sent);
  assert.equal(session.object, "chatkit.session");
  assert.equal(session.status, "active");
  const seconds = session.expires_at - Date.now() / 1000;
  assert.ok(seconds > 100 && seconds <= 120, `expires in ${seconds} s`);
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
