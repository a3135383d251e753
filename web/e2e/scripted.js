/** A server that a test plays itself, for what the real one never does: it decides about every answer and every byte. */
import { once } from "node:events";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

const DIST = join(import.meta.dirname, "../dist");
const THREAD = { id: "thr_1", created_at: "2026-01-01T00:00:00Z", status: { type: "active" } };

/**
 * Starts the server; the caller stops it. `answer` gets each request of the protocol: `{ url, type, params, text, headers, reply }`,
 * with the body's `text` and a `Reply`. It may return without an answer and give it later. Loading is answered by `thread`.
 */
export async function startScripted(answer) {
  const server = { origin: "", posts: [], others: [], items: [], stop };
  const sockets = new Set();
  const listener = createServer(async (request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    if (/^\/element(\.js|\/)/.test(path)) return response.setHeader("content-type", "text/javascript").end(await readFile(join(DIST, path)));
    const text = Buffer.concat(await request.toArray()).toString();
    if (path !== "/chatkit") {
      server.others.push(path);
      return response.writeHead(path.endsWith("/stop") ? 200 : 404, { "content-type": "application/json" }).end("{}");
    }
    const { type, params } = JSON.parse(text);
    const post = { url: request.url, type, params, text, headers: request.headers, reply: new Reply(response) };
    server.posts.push(post);
    if ((await answer(post, server)) !== "default") return;
    if (type === "threads.list") post.reply.json(200, { data: [], has_more: false });
    else if (type === "threads.get_by_id") post.reply.json(200, { ...THREAD, id: params.thread_id, items: { data: server.items, has_more: false } });
    else if (params.action?.type === "turn.attach") post.reply.events(options()).end();
    else post.reply.json(404, { message: "Not in this script.", code: "not_found" });
  });
  listener.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });

  async function stop() {
    for (const socket of sockets) socket.destroy();
    listener.close();
    await once(listener, "close");
  }

  await once(listener.listen(0, "127.0.0.1"), "listening");
  server.origin = `http://127.0.0.1:${listener.address().port}`;
  return server;
}

/** One answer. The methods that stream return the reply itself. */
class Reply {
  constructor(response) {
    this.response = response;
    /** The browser has closed the connection before the end. */
    this.isClosed = false;
    response.on("close", () => {
      this.isClosed = !response.writableEnded;
    });
  }

  json(status, body) {
    this.response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  }

  events(...events) {
    return this.raw(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""));
  }

  raw(text) {
    if (!this.response.headersSent) this.response.writeHead(200, { "content-type": "text/event-stream" });
    this.response.write(text);
    return this;
  }

  end() {
    this.response.end();
  }

  /** Resets the connection. */
  cut() {
    this.response.socket.resetAndDestroy();
  }
}

const base = { thread_id: THREAD.id, created_at: THREAD.created_at };

export const options = () => ({ type: "stream_options", stream_options: { allow_cancel: true } });
export const created = (id = THREAD.id) => ({ type: "thread.created", thread: { ...THREAD, id } });
export const added = (item) => ({ type: "thread.item.added", item });
export const done = (item) => ({ type: "thread.item.done", item });
export const delta = (item_id, text) => ({ type: "thread.item.updated", item_id, update: { type: "assistant_message.content_part.text_delta", content_index: 0, delta: text } });
export const question = (text, id = "msg_user") => ({ ...base, id, type: "user_message", content: [{ type: "input_text", text }], attachments: [], quoted_text: null, inference_options: {} });
export const reply = (text, id = "msg_answer") => ({ ...base, id, type: "assistant_message", content: [{ type: "output_text", text, annotations: [] }] });
export const call = (name, params, id = "call_1") => ({ ...base, id, type: "client_tool_call", status: "pending", call_id: id, name, arguments: params });

/** What begins the answer to a message: the server has accepted it. */
export const accepted = ({ type, params }, id = "msg_user") => [...(type === "threads.create" ? [created()] : []), options(), done(question(params.input.content[0]?.text ?? "", id))];
