/** A stand-in for OpenAI's hosted ChatKit backend: what its threads API tells of 50 threads of three users. */
import { once } from "node:events";
import { createServer } from "node:http";

export const HOSTED_KEY = "sk-a-key-that-is-only-for-the-tests";
const USERS = ["ada", "grace", "mary"];
const THREADS = 50;
const FOUR_DAYS = 4 * 24 * 60 * 60;
const NOW = Math.floor(Date.now() / 1000);

/** The 50 threads, the oldest first, each with its `items`; the newest is four days old. */
export const hostedThreads = Array.from({ length: THREADS }, (_, number) => {
  const id = `cthr_${String(number).padStart(4, "0")}`;
  const created_at = NOW - (THREADS - number) * FOUR_DAYS;
  const title = number % 10 === 9 ? null : `Order ${100 + number}`;
  const thread = { id, object: "chatkit.thread", created_at, status: { type: "active" }, title, user: USERS[number % USERS.length] };
  return { ...thread, items: items(thread, number) };
});

/** A question and its answer; in some threads more, of each kind that the API knows. */
function items({ id: thread_id, created_at }, number) {
  const item = (type, fields, index) => ({ id: `cthi_${number}_${index}`, object: "chatkit.thread_item", thread_id, created_at: created_at + index, type: `chatkit.${type}`, ...fields });
  const attachments = number === 3 ? [{ id: "cfile_1", type: "image", name: "chair.png", mime_type: "image/png", preview_url: null }] : [];
  const widget = JSON.stringify({ type: "Card", children: [{ type: "Text", value: `Parcel ${100 + number} is on its way` }] });
  const annotations = [{ type: "url", source: { type: "url", url: "https://shop.example/returns" } }];
  const entries = [
    ["user_message", { content: [{ type: "input_text", text: `Where is order ${100 + number}?` }], attachments, inference_options: null }],
    ...(number % 7 === 0 ? [["task_group", { tasks: [{ type: "thought", heading: "Looking at the order", summary: null }] }]] : []),
    ...(number % 7 === 1 ? [["task", { task_type: "custom", heading: "Asked the carrier", summary: "It answered" }]] : []),
    ...(number % 7 === 2 ? [["widget", { widget }]] : []),
    ...(number % 7 === 3 ? [["client_tool_call", { name: "read_page", call_id: `call_${number}`, arguments: "{}", output: '{"text":"Cats"}', status: "completed" }]] : []),
    ["assistant_message", { content: [{ type: "output_text", text: `Order ${100 + number} was shipped on Monday.`, annotations: number % 5 ? [] : annotations }] }],
  ];
  if (number === 48) for (let turn = 1; turn <= 60; turn += 1) entries.push(["user_message", { content: [{ type: "input_text", text: `And then? ${turn}` }], attachments: [], inference_options: null }], ["assistant_message", { content: [{ type: "output_text", text: `Then it arrives. ${turn}`, annotations: [] }] }]);
  return entries.map(([type, fields], index) => item(type, fields, index));
}

/** Starts the stand-in; the caller stops it. `requests` are the paths that were asked for, with their queries. */
export async function startHosted() {
  const requests = [];
  const listener = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://hosted");
    requests.push(request.url);
    const [status, body] = answer(request, pathname, searchParams);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  return { baseURL: `http://127.0.0.1:${listener.address().port}/v1`, requests, stop: () => listener.close() };
}

function answer({ method, headers }, pathname, query) {
  if (headers.authorization !== `Bearer ${HOSTED_KEY}`) return failure(401, "invalid_api_key", "Incorrect API key provided.");
  if (headers["openai-beta"] !== "chatkit_beta=v1") return failure(400, "missing_beta", "Send the header OpenAI-Beta: chatkit_beta=v1.");
  const [, id, part] = /^\/v1\/chatkit\/threads(?:\/(\w+))?(\/items)?$/.exec(pathname) ?? [];
  if (method !== "GET" || !pathname.startsWith("/v1/chatkit/threads")) return failure(404, "not_found", `${method} ${pathname}`);
  if (!id) return page(hostedThreads.filter(({ user }) => !query.has("user") || user === query.get("user")).map(withoutItems), query);
  const thread = hostedThreads.find((thread) => thread.id === id);
  if (!thread) return failure(404, "not_found", `No thread found with id ${id}.`);
  return part ? page(thread.items, query) : [200, withoutItems(thread)];
}

const withoutItems = ({ items: _, ...thread }) => thread;

/** A page of entries whose order is that of their time: `after` and `before` are ids in the requested order. */
function page(entries, query) {
  const limit = Number(query.get("limit") ?? 20);
  if (!(limit >= 1 && limit <= 100)) return failure(400, "invalid_value", "limit must be between 1 and 100.");
  const ordered = query.get("order") === "asc" ? entries : entries.toReversed();
  const position = (name, otherwise) => (query.has(name) ? ordered.findIndex(({ id }) => id === query.get(name)) : otherwise);
  const rest = ordered.slice(position("after", -1) + 1, position("before", ordered.length));
  const data = query.has("before") ? rest.slice(-limit) : rest.slice(0, limit);
  return [200, { object: "list", data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: rest.length > data.length }];
}

const failure = (status, code, message) => [status, { error: { message, type: "invalid_request_error", code, param: null } }];
