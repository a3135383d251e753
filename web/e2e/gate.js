/** A gate at which a tool of agents/showcase.py waits, so that a test sees a state that would be over too soon. */
import { once } from "node:events";
import { createServer } from "node:net";

/** Opens a port to which the tool connects; `open` ends the connection, and the tool goes on. */
export async function makeGate(t) {
  const waiting = new Set();
  let isOpen = false;
  const listener = createServer((socket) => {
    socket.on("error", () => {}); // the server was killed
    if (isOpen) socket.end();
    else waiting.add(socket);
  }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  const open = () => {
    isOpen = true;
    for (const socket of waiting) socket.end();
  };
  t.after(() => {
    open();
    listener.close();
  });
  return { port: listener.address().port, open };
}
