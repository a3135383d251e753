/** A TCP proxy between the browser and the server that a test can cut: the browser sees a real lost connection. */
import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Forwards a free port to `port`. `cut` resets open connections; while `isDown`, new ones are reset, too. */
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
