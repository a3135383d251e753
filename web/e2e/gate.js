/** A gate at which an agent of agents/ waits, so that a test sees a state that would be over too soon. */
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Listens at a port to which the agent connects. `reached` is fulfilled when it waits there; `open` ends the connection,
 * and the agent goes on.
 */
export async function makeGate(t) {
  const waiting = new Set();
  let isOpen = false;
  const listener = createServer((socket) => {
    socket.on("error", () => {}); // the server was killed
    if (isOpen) socket.end();
    else waiting.add(socket);
  });
  const reached = once(listener, "connection");
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
