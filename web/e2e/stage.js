/** One browser and one server per test file; both are closed afterwards, even if one of them did not start. */
import { after, before } from "node:test";

import { launchBrowser } from "./browser.js";
import { startServer } from "./server.js";

/**
 * Starts both before the tests of the calling file or `describe`, the server with `env`, or with what it returns; the
 * fields are set when a test runs. With an `element` of elements/, the page mounts that one, and `openChat` (chat.js) opens it.
 */
export function setStage(env, element) {
  const stage = { browser: undefined, server: undefined, element };
  before(async () => {
    const settings = { ...element?.settings, ...(typeof env === "function" ? await env() : env) };
    const [browser, server] = await Promise.allSettled([launchBrowser(), startServer({ tokensPerSecond: 400, env: settings })]);
    Object.assign(stage, { browser: browser.value, server: server.value });
    for (const { reason } of [browser, server]) if (reason) throw reason;
  });
  after(async () => {
    await stage.browser?.close();
    await stage.server?.stop();
  });
  return stage;
}
