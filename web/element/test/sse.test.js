import assert from "node:assert/strict";
import { test } from "node:test";

import { built } from "./built.js";

const { readEvents } = await built("protocol/sse.ts");

/** Reads the events of a body that arrives in these pieces of bytes. */
async function read(...pieces) {
  const encoder = new TextEncoder();
  const body = new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
      controller.close();
    },
  });
  const all = [];
  for await (const event of readEvents(body)) all.push(event);
  return all;
}

const STREAM = "id: 1\r\nevent: x\r\ndata: ein\r\n\r\n: ping\n\nretry: 5\n\ndata:two\ndata: lines\n\ndata: größer 🙂\r\rdata: last";
const EVENTS = ["ein", "two\nlines", "größer 🙂", "last"];

test("reads data only, with every kind of line end", async () => {
  assert.deepEqual(await read(STREAM), EVENTS);
});

test("reads the same wherever the bytes are cut", async () => {
  const bytes = new TextEncoder().encode(STREAM);
  for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(await read(bytes.slice(0, cut), bytes.slice(cut)), EVENTS, `cut at ${cut}`);
  assert.deepEqual(await read(...[...bytes].map((byte) => Uint8Array.of(byte))), EVENTS);
});

test("reads a line of many megabytes in many pieces", async () => {
  const piece = "x".repeat(64 * 1024);
  const [event] = await read("data: ", ...Array.from({ length: 400 }, () => piece), "\n\n");
  assert.equal(event.length, 400 * piece.length);
});

test("cancels the body when the reader leaves", async () => {
  let isCancelled = false;
  const body = new ReadableStream({
    pull: (controller) => controller.enqueue(new TextEncoder().encode("data: x\n\n")),
    cancel: () => {
      isCancelled = true;
    },
  });
  for await (const event of readEvents(body)) {
    assert.equal(event, "x");
    break;
  }
  assert.ok(isCancelled);
});

test("throws when the connection breaks", async () => {
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: x\n\n")),
    pull: (controller) => controller.error(new TypeError("network error")),
  });
  await assert.rejects(async () => {
    for await (const event of readEvents(body)) assert.equal(event, "x");
  }, /network error/);
});

test("a server that has sent pings and falls silent is gone; one without pings may think for long", async () => {
  const silent = (text) => new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(text)) });
  await assert.rejects(async () => {
    for await (const event of readEvents(silent(": ping\n\ndata: x\n\n"), 20)) assert.equal(event, "x");
  }, /silent/);
  const events = readEvents(silent("data: x\n\n"), 20);
  assert.equal((await events.next()).value, "x");
  const next = events.next().then(() => "next");
  assert.equal(await Promise.race([next, new Promise((resolve) => setTimeout(() => resolve("still waiting"), 100))]), "still waiting");
});
