/** What a long answer costs while it arrives: 10,000 tokens at 200 a second. All times are those of the processor. */
import { setTimeout as sleep } from "node:timers/promises";

import { tasksOf } from "../e2e/busy.js";
import { accepted, added, delta, done, options, reply, startScripted } from "../e2e/scripted.js";
import { openStrictPage } from "../e2e/strict-page.js";
import { figure } from "./report.js";
import { withScope } from "./scope.js";

const TOKENS = 10_000;
const PER_SECOND = 200;
const TENTH = TOKENS / 10;

/** The first and the last tenth have the same text, so that only the length before them differs. */
const SECTION = `## A section

Kyoto rewards slow travel. Here is a plan that is **easy on the feet**, *mostly by train*, and leaves some time for \`detours\`.

1. **Fushimi Inari**: go before eight
   - quiet in the morning
   - bring water
2. Kinkaku-ji, see [the official site](https://example.com/kinkakuji)
3. Nishiki market

| Day | Place | Cost |
|:----|:-----:|-----:|
| 1 | Fushimi Inari | 0 |
| 2 | Kinkaku-ji | 5 |

\`\`\`python
def cost(days: int) -> float:
    """What the trip costs."""
    return days * 42.5
\`\`\`

> Travel is the only thing you buy that makes you richer.

It takes a day or two to see the most of it, and a week to feel at home there. Buses are slow, trains are not.

`;

function tokens() {
  const section = SECTION.match(/\s*\S{1,4}|\s+/g);
  const perTenth = Math.round(TENTH / section.length);
  const padding = Array.from({ length: TENTH - perTenth * section.length }, () => " and");
  const tenth = [...Array.from({ length: perTenth }, () => section).flat(), ...padding].slice(0, TENTH - 1);
  return Array.from({ length: 10 }, () => [...tenth, "\n\n"]).flat();
}

export function measureStream(browser) {
  return withScope(async (scope) => {
    let reached = () => {};
    const all = tokens();
    const server = await startScripted(async (post) => {
      if (!post.params.input) return "default";
      const item = reply(all.join(""));
      post.reply.events(...accepted(post), options(), added(reply("")));
      const start = performance.now();
      for (const [index, token] of all.entries()) {
        if (index % TENTH === 0) await reached(index / TENTH);
        const wait = start + (index / PER_SECOND) * 1000 - performance.now();
        if (wait > 1) await sleep(wait);
        post.reply.events(delta(item.id, token));
      }
      await reached(10);
      post.reply.events(done(item)).end();
    });
    scope.after(() => server.stop());
    const { page, context } = await openStrictPage(scope, { browser, server: { output: () => "" } }, server.origin);
    const session = await context.newCDPSession(page);
    // Time on the processor: what else the machine does is not counted.
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const costs = [];
    reached = async () => {
      const { metrics } = await session.send("Performance.getMetrics");
      costs.push(Object.fromEntries(metrics.map(({ name, value }) => [name, value])));
    };
    await browser.startTracing(page, { categories: ["toplevel"] });
    await page.locator("[data-input]").fill("Hello");
    await page.getByRole("button", { name: "Send message", exact: true }).click();
    await page.waitForFunction(() => window.chatEvents.some(({ name }) => name === "response.end"), undefined, { timeout: 120_000 });
    const tasks = tasksOf(JSON.parse((await browser.stopTracing()).toString()).traceEvents).map(({ tdur }) => tdur / 1000);
    const perToken = costs.slice(1).map(({ TaskDuration }, index) => ((TaskDuration - costs[index].TaskDuration) / TENTH) * 1000);
    return [
      figure("10,000 tokens at 200/s: tasks over 50 ms", tasks.filter((duration) => duration > 50).length, "", 0),
      figure("10,000 tokens at 200/s: longest task", Math.max(0, ...tasks), "ms"),
      figure("10,000 tokens at 200/s: cost of a token, first tenth", perToken[0], "ms"),
      figure("10,000 tokens at 200/s: cost of a token, last tenth", perToken[9], "ms"),
      figure("10,000 tokens at 200/s: last tenth by the first", perToken[9] / perToken[0], "", 1.3),
    ];
  });
}
