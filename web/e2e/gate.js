/** A gate at which an agent of agents/ waits, so that a test sees a state that would be over too soon. */
import { once } from "node:events";
import { createServer } from "node:net";

import { PATIENCE_MS } from "./visit.js";

/**
 * Listens at a port to which the agent connects. `reached` resolves when it waits there, and rejects if it does not come;
 * `open` ends the connection, and the agent goes on.
 */
export async function makeGate(t) {
  const waiting = new Set();
  let isOpen = false;
  const listener = createServer((socket) => {
    socket.on("error", () => {}); // the server was killed
    if (isOpen) socket.end();
    else waiting.add(socket);
  });
  const reached = once(listener, "connection", { signal: AbortSignal.timeout(PATIENCE_MS) });
  reached.catch(() => {}); // for those who do not wait for it
  await once(listener.listen(0, "127.0.0.1"), "listening");
  const open = () => {
    isOpen = true;
    for (const socket of waiting) socket.end();
  };
  t.after(() => {
    open();
    listener.close();
  });
  return { port: listener.address().port, reached, open };
}

const WHERE_IT_IS_HELD = /can show:/; // see agents/held.py

/** Sends a message and waits until its answer is held in the middle and shown so far: `early`. */
export async function askAndHold(t, chat) {
  const gate = await makeGate(t);
  const answers = await chat.answers.count();
  await chat.send(`Hello, hold ${gate.port}`);
  await gate.reached;
  await chat.answers.nth(answers).filter({ hasText: WHERE_IT_IS_HELD }).waitFor();
  return { gate, early: await chat.answerText() };
}
