/**
 * The work of a page's main thread, as processor time of that thread: other processes hardly change it. Time on the clock
 * says more about the machine than about the page.
 */
import assert from "node:assert/strict";

/** So often the unit is measured; the median counts. */
const UNITS = 5;

/**
 * Returns the most work that the page did between two turns of its timer of 10 ms while `work` ran, in units: the number
 * hardly depends on the speed of the machine. A unit is what the same page needs to make 1,000 paragraphs and lay them out.
 */
export async function mostWorkAtOnce(browser, page, work) {
  await browser.startTracing(page, { categories: ["toplevel", "blink.user_timing"] });
  let events;
  try {
    await page.evaluate(async (count) => {
      for (let done = 0; done < count; done++) {
        await new Promise((resolve) => setTimeout(resolve));
        performance.mark("unit");
        const box = document.body.appendChild(document.createElement("div"));
        for (let index = 0; index < 1_000; index++) box.appendChild(document.createElement("p")).textContent = `Paragraph ${index} has a few words to be laid out.`;
        box.getBoundingClientRect();
        box.remove();
      }
      setInterval(() => performance.mark("turn"), 10);
    }, UNITS);
    await work();
  } finally {
    events = JSON.parse((await browser.stopTracing()).toString()).traceEvents;
  }
  return mostBetweenTurns(events);
}

function mostBetweenTurns(events) {
  const marks = events.filter(({ cat, ts }) => cat === "blink.user_timing" && ts).sort((a, b) => a.ts - b.ts);
  const units = marks.filter(({ name }) => name === "unit");
  const turns = marks.filter(({ name }) => name === "turn");
  assert.ok(units.length === UNITS && turns.length > 1, `${units.length} units, ${turns.length} turns`);
  const tasks = tasksOf(events).filter(({ pid, tid }) => pid === units[0].pid && tid === units[0].tid);
  const taskAt = ({ ts }) => tasks.find((task) => ts >= task.ts && ts < task.ts + task.dur);
  const costs = units.map((unit) => taskAt(unit).tdur).sort((a, b) => a - b);
  // A task counts for the first turn that comes after its start; behind the last turn is the end.
  const sums = Array(turns.length + 1).fill(0);
  let next = 0;
  for (const { ts, tdur } of tasks) {
    if (ts <= units.at(-1).ts) continue;
    while (turns[next]?.ts < ts) next++;
    sums[next] += tdur;
  }
  return Math.max(...sums) / costs[Math.floor(UNITS / 2)];
}

/** The tasks of the threads that run pages, by their start: `{ pid, tid, ts, dur, tdur }`, times in microseconds, `tdur` on the processor. */
export function tasksOf(events) {
  const mains = new Set(events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`));
  return events.filter(({ name, tdur, pid, tid }) => tdur && name.endsWith("RunTask") && mains.has(`${pid} ${tid}`)).sort((a, b) => a.ts - b.ts);
}
