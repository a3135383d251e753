/** How long a thread of 2,000 items takes to open. */
import { startScripted, question, reply } from "../e2e/scripted.js";
import { openStrictPage } from "../e2e/strict-page.js";
import { figure } from "./report.js";
import { withScope } from "./scope.js";

const ITEMS = 2_000;
const TEXT = "An answer with **bold** words, `code` and a [link](https://example.com).\n\n- one\n- two\n\nAnd a last paragraph of a few words.";

export function measureThread(browser) {
  return withScope(async (scope) => {
    const server = await startScripted(() => "default");
    scope.after(() => server.stop());
    server.items = Array.from({ length: ITEMS / 2 }, (_, index) => [question(`Question ${index}`, `msg_q${index}`), reply(`${TEXT} ${index}`, `msg_a${index}`)]).flat();
    const { page } = await openStrictPage(scope, { browser, server: { output: () => "" } }, server.origin);
    const [shown, whole] = await page.evaluate(async (last) => {
      const element = document.querySelector("openai-chatkit");
      const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      const start = performance.now();
      await element.setThreadId("thr_1");
      const has = (id) => element.shadowRoot.querySelector(`[data-id="${id}"] ck-markdown`)?.textContent;
      while (!has(last)) await frame();
      await frame();
      const shown = performance.now() - start;
      while (!has("msg_a0")) await frame();
      await frame();
      return [shown, performance.now() - start];
    }, `msg_a${ITEMS / 2 - 1}`);
    return [figure("A thread of 2,000 items: until its end is on the screen", shown, "ms", 1_000), figure("A thread of 2,000 items: until all of it is there", whole, "ms")];
  });
}
