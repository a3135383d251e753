/** The history's days, in the user's time zone. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

process.env.TZ = "Europe/Berlin"; // summer time ends on 26 October 2025

const { built } = await import("./built.js");
const { grouped, matcher } = await built("history/groups.ts");

const NAMES = { today: "Today", yesterday: "Yesterday", previous7Days: "Previous 7 days", previous30Days: "Previous 30 days" };

const labels = (dates, now, locale = "en") =>
  grouped(dates.map((created_at) => ({ id: created_at, created_at })), NAMES, locale, new Date(now)).map(({ label, threads }) => [label, threads.map(({ id }) => id)]);

describe("groups", () => {
  test("a day begins at midnight of the user, not of UTC", () => {
    assert.deepEqual(labels(["2026-06-10T22:30:00Z", "2026-06-10T21:30:00Z"], "2026-06-11T10:00:00Z"), [
      ["Today", ["2026-06-10T22:30:00Z"]],
      ["Yesterday", ["2026-06-10T21:30:00Z"]],
    ]);
  });

  test("yesterday has 25 hours when summer time ends", () => {
    assert.deepEqual(labels(["2025-10-25T22:15:00Z", "2025-10-25T21:45:00Z"], "2025-10-27T09:00:00Z"), [
      ["Yesterday", ["2025-10-25T22:15:00Z"]],
      ["Previous 7 days", ["2025-10-25T21:45:00Z"]],
    ]);
  });

  test("newest first, months with their year unless it is this one", () => {
    const dates = ["2025-12-24T12:00:00Z", "2026-06-02T12:00:00Z", "2026-03-01T12:00:00Z", "2026-06-11T08:00:00Z", "2026-05-20T12:00:00Z", "2026-03-31T12:00:00Z"];
    assert.deepEqual(labels(dates, "2026-06-11T10:00:00Z").map(([label, ids]) => [label, ids.length]), [
      ["Today", 1],
      ["Previous 30 days", 2],
      ["March", 2],
      ["December 2025", 1],
    ]);
  });

  test("months are written in the user's language, with a capital", () => {
    assert.deepEqual(labels(["2025-03-01T12:00:00Z"], "2026-06-11T10:00:00Z", "fr").map(([label]) => label), ["Mars 2025"]);
  });

  test("a clock that is behind the server's, and a date that is none", () => {
    assert.deepEqual(labels(["2026-06-12T09:00:00Z"], "2026-06-11T10:00:00Z").map(([label]) => label), ["Today"]);
    assert.deepEqual(labels(["never", "2026-06-11T08:00:00Z"], "2026-06-11T10:00:00Z").map(([label]) => label), ["Today", ""]);
  });

  test("ten thousand threads are all in a group", () => {
    const start = Date.parse("2026-06-11T10:00:00Z");
    const threads = Array.from({ length: 10_000 }, (_, index) => ({ id: String(index), created_at: new Date(start - index * 3_600_000).toISOString() }));
    const groups = grouped(threads, NAMES, "en", new Date(start));
    assert.equal(groups.reduce((sum, group) => sum + group.threads.length, 0), 10_000);
    assert.equal(groups.length, 18); // 4 and the months from April 2025 to May 2026
  });
});

test("search ignores case and accents, and finds words in any order", () => {
  const match = (query, title) => matcher(query, "New chat")({ title });
  assert.ok(match("reunion", "Réunion de mardi"));
  assert.ok(match("MARDI réu", "Réunion de mardi"));
  assert.ok(!match("lundi", "Réunion de mardi"));
  assert.ok(match("new", null));
  assert.ok(match("会議", "火曜日の会議"));
});
