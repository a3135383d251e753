import assert from "node:assert/strict";
import { test } from "node:test";

import { built } from "./built.js";

const { Conversation } = await built("chat/conversation.ts");

const base = { thread_id: "t", created_at: "2026-01-01T00:00:00Z" };
const user = (id) => ({ ...base, id, type: "user_message", content: [{ type: "input_text", text: id }], attachments: [], inference_options: {} });
const answer = (id, text = "") => ({ ...base, id, type: "assistant_message", content: [{ type: "output_text", text, annotations: [] }] });
const thread = { id: "t", created_at: base.created_at };
const update = (item_id, update) => ({ type: "thread.item.updated", item_id, update });
const delta = (id, delta, content_index = 0) => update(id, { type: "assistant_message.content_part.text_delta", content_index, delta });
const ids = (conversation) => [...conversation.items.keys()];
const textOf = (conversation, id) => conversation.items.get(id).item.content.map(({ text }) => text).join("|");

test("a replayed item replaces its words instead of doubling them", () => {
  const conversation = new Conversation(thread, [user("q")]);
  conversation.apply({ type: "thread.item.added", item: answer("a") });
  conversation.apply(delta("a", "One "));
  conversation.apply({ type: "thread.item.added", item: answer("a", "One two ") });
  conversation.apply(delta("a", "three"));
  assert.equal(textOf(conversation, "a"), "One two three");
  assert.ok(conversation.hasOpenItems);
  conversation.apply({ type: "thread.item.done", item: answer("a", "One two three.") });
  assert.equal(textOf(conversation, "a"), "One two three.");
  assert.ok(!conversation.hasOpenItems);
  assert.deepEqual(ids(conversation), ["q", "a"]);
});

test("a delta changes only its item; coming and going items change the conversation", () => {
  const conversation = new Conversation(thread, [user("q")]);
  conversation.apply({ type: "thread.item.added", item: answer("a") });
  const changes = [];
  conversation.subscribe(() => changes.push("conversation"));
  conversation.items.get("a").subscribe(() => changes.push("item"));
  conversation.apply(delta("a", "x"));
  assert.deepEqual(changes, ["item"]);
  conversation.apply({ type: "thread.item.removed", item_id: "a" });
  assert.deepEqual(changes, ["item", "conversation"]);
});

test("a sent message gets the server's id in place, and keeps its component", () => {
  const conversation = new Conversation();
  const echo = conversation.echo(user("sending"));
  conversation.apply({ type: "thread.item.added", item: answer("a") });
  conversation.confirm(echo, user("q"));
  assert.deepEqual(ids(conversation), ["q", "a"]);
  assert.equal(conversation.items.get("q"), echo);
  assert.equal(echo.key, conversation.sentKey);
});

test("what a retry cut off comes back in its order", () => {
  const conversation = new Conversation(thread, [user("q1"), answer("a1"), user("q2"), answer("a2"), answer("a3")]);
  const cut = conversation.cutAfter("q2");
  assert.deepEqual(ids(conversation), ["q1", "a1", "q2"]);
  conversation.restore(cut);
  assert.deepEqual(ids(conversation), ["q1", "a1", "q2", "a2", "a3"]);
});

test("a reload keeps the components of unchanged items", () => {
  const conversation = new Conversation(thread, [user("q"), answer("a", "Old")]);
  const kept = conversation.items.get("q");
  const changed = conversation.items.get("a");
  conversation.reload(thread, [user("q"), answer("a", "New"), user("q2")]);
  assert.equal(conversation.items.get("q"), kept);
  assert.equal(conversation.items.get("a"), changed);
  assert.equal(textOf(conversation, "a"), "New");
  assert.deepEqual(ids(conversation), ["q", "a", "q2"]);
});

test("annotations and parts make new lists without holes, whatever their index", () => {
  const conversation = new Conversation(thread, []);
  conversation.apply({ type: "thread.item.added", item: { ...answer("a"), content: [] } });
  conversation.apply(delta("a", "One", 4_000_000_000));
  conversation.apply(delta("a", " two", 4_000_000_000));
  assert.equal(textOf(conversation, "a"), "One two");
  const part = conversation.items.get("a").item.content[0];
  const before = part.annotations;
  const annotation = { type: "annotation", source: { type: "url", title: "x", url: "https://x.example" }, index: 3 };
  conversation.apply(update("a", { type: "assistant_message.content_part.annotation_added", content_index: 0, annotation_index: 1e9, annotation }));
  assert.deepEqual(part.annotations, [annotation]);
  assert.notEqual(part.annotations, before);
});

test("a widget's change keeps the identity of the components beside it", () => {
  const widget = { type: "Card", children: [{ type: "Text", id: "a", value: "A" }, { type: "Row", children: [{ type: "Text", id: "b", value: "B" }] }] };
  const conversation = new Conversation(thread, [{ ...base, id: "w", type: "widget", widget }]);
  conversation.apply(update("w", { type: "widget.streaming_text.value_delta", component_id: "b", delta: "C", done: false }));
  const { children } = conversation.items.get("w").item.widget;
  assert.equal(children[0], widget.children[0]);
  assert.deepEqual(children[1].children[0], { type: "Text", id: "b", value: "BC", streaming: true });
  assert.equal(widget.children[1].children[0].value, "B");
});

test("the end of the stream closes what is open", () => {
  const conversation = new Conversation(thread, [user("q")]);
  conversation.isResponding = true;
  conversation.apply({ type: "stream_options", stream_options: { allow_cancel: true } });
  conversation.apply({ type: "progress_update", text: "Searching", icon: null });
  conversation.apply({ type: "thread.item.added", item: answer("a") });
  assert.equal(conversation.progress, null); // the item takes its place
  conversation.close();
  assert.deepEqual([conversation.isResponding, conversation.mayCancel, conversation.hasOpenItems], [false, false, false]);
});

test("items without an id, and client tool calls, are not shown", () => {
  const call = { ...base, id: "c", type: "client_tool_call", status: "pending", call_id: "c", name: "x", arguments: {} };
  const conversation = new Conversation(thread, [user("q"), call]);
  conversation.apply({ type: "thread.item.done", item: { ...call, id: "c2" } });
  conversation.apply({ type: "thread.item.done", item: { type: "assistant_message" } });
  conversation.apply({ type: "thread.item.done", item: null });
  assert.deepEqual(ids(conversation), ["q"]);
});
