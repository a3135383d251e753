/** A network between the browser and the server that a test can cut: plain TCP, so that the browser sees a real loss. */
import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Listens on a free port for `port`. `cut` breaks what is open; while `isDown` nothing new comes through either. */
export async function startProxy(port) {
  const sockets = new Set();
  const proxy = { origin: "", isDown: false, refused: 0, cut, stop };
  const listener = createServer((client) => {
    if (proxy.isDown) {
      proxy.refused += 1;
      return client.resetAndDestroy();
    }
    const server = connect(port, "127.0.0.1");
    for (const [from, to] of [[client, server], [server, client]]) {
      sockets.add(from);
      from.pipe(to);
      from.on("error", () => {});
      from.on("close", () => sockets.delete(from) && to.destroy());
    }
  });

  function cut() {
    for (const socket of sockets) socket.resetAndDestroy();
  }

  async function stop() {
    cut();
    listener.close();
    await once(listener, "close");
  }

  await once(listener.listen(0, "127.0.0.1"), "listening");
  proxy.origin = `http://127.0.0.1:${listener.address().port}`;
  return proxy;
}
