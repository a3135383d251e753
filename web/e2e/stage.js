/** One browser and one server per test file; both are closed afterwards, even if one of them did not start. */
import { after, before } from "node:test";

import { launchBrowser } from "./browser.js";
import { startServer } from "./server.js";

/** Starts both before the tests of the calling file, the server with `env`; the fields are set when a test runs. */
export function setStage(env) {
  const stage = { browser: undefined, server: undefined };
  before(async () => {
    const [browser, server] = await Promise.allSettled([launchBrowser(), startServer({ tokensPerSecond: 400, env })]);
    Object.assign(stage, { browser: browser.value, server: server.value });
    for (const { reason } of [browser, server]) if (reason) throw reason;
  });
  after(async () => {
    await stage.browser?.close();
    await stage.server?.stop();
  });
  return stage;
}
