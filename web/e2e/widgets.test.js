/** Widgets in the open element: what they show, what their forms and actions send, and that a bad one does no harm. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { all, form, list } from "./all-widgets.js";
import { assertAccessible } from "./axe.js";
import { openChat } from "./chat.js";
import { open } from "./elements/open.js";
import { makeGate } from "./gate.js";
import { setStage } from "./stage.js";

const stage = setStage({ CHATKIT_AGENT: "widgets:agent" }, open);

/** A page that records the actions that it gets. */
const options = (theme = "light") => `{
  theme: "${theme}",
  widgets: { onAction: async (action, { id, widget }) => (window.actions ??= []).push({ action: JSON.stringify(action), id, type: widget.type }) },
}`;

/** Opens such a page, or with `isOurs` our own, whose content security policy has no `unsafe-inline` and enforces Trusted Types. */
async function openWidgets(t, settings = {}) {
  const { theme, isOurs, ...rest } = settings;
  const chat = await openChat(t, stage, { ...(isOurs ? { colorScheme: theme } : { bare: options(theme) }), ...rest });
  /** Lets the agent show a widget; returns its locator. */
  chat.show = async (widget) => {
    await chat.say(`call show_widget ${JSON.stringify({ widget: JSON.stringify(widget) })}`);
    return chat.widgets.last();
  };
  /** The payloads of the actions of a type that were posted. */
  chat.payloads = (type) => ["custom_action", "sync_custom_action"].flatMap((operation) => chat.posts(`threads.${operation}`)).flatMap(({ params: { action } }) => (action.type === type ? [action.payload] : []));
  return chat;
}

const card = (...children) => ({ type: "Card", children });
const text = (value) => ({ type: "Text", value });

for (const [theme, viewport, isOurs] of [
  ["light", { width: 900, height: 900 }, true],
  ["dark", { width: 360, height: 800 }, false],
]) {
  test(`all components are shown in a ${theme} chat of ${viewport.width} px, without a fault that axe finds`, async (t) => {
    const chat = await openWidgets(t, { theme, viewport, isOurs });
    const problems = [];
    chat.page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    for (const [name, widget] of Object.entries(all)) {
      const shown = await chat.show(widget);
      await shown.locator("ck-widget > *").first().waitFor();
      await shown.scrollIntoViewIfNeeded();
      await chat.screenshot(`widgets-${theme}-${name}`);
    }
    const { root } = chat;
    for (const value of ["17 °C", "In a transition", "Of a later version", "and its child", "In a box"]) assert.ok(await root.getByText(value).last().isVisible(), value);
    for (const label of ["Name", "Email", "Guests", "Day", "Room", "Code", "seat"]) assert.equal(await root.getByLabel(label).count(), 1, label);
    assert.equal(await root.getByRole("radiogroup", { name: "Time" }).getByRole("radio").count(), 3);
    assert.equal(await root.getByRole("table").filter({ hasText: "Monday" }).getByRole("cell", { name: "120" }).count(), 1);
    assert.equal(await root.locator("ck-chart").first().locator("svg rect").count(), 14);
    assert.equal(await root.getByRole("columnheader", { name: "Price" }).count(), 1);
    assert.ok(await root.getByRole("img", { name: "A blue sky" }).evaluate((image) => image.naturalWidth > 0));
    const overflow = await root.evaluate((element) => [...element.shadowRoot.querySelectorAll("ck-widget")].filter((widget) => widget.scrollWidth > widget.clientWidth).length);
    assert.equal(overflow, 0, "widgets that are wider than the thread");
    assert.deepEqual(problems, []);
    await assertAccessible(chat.page, "all components");
  });
}

test("a form says what is wrong, and sends nothing before all is right", async (t) => {
  const chat = await openWidgets(t);
  const shown = await chat.show(form);
  await shown.getByLabel("Code").fill("abc");
  await shown.getByRole("button", { name: "Save" }).click();
  const name = shown.getByLabel("Name");
  assert.equal(await name.getAttribute("aria-invalid"), "true");
  assert.ok(await name.evaluate((field) => field === field.getRootNode().activeElement));
  assert.notEqual(await describedBy(name), "");
  assert.equal(await describedBy(shown.getByLabel("Code")), "Please use the requested format.");
  assert.notEqual(await describedBy(shown.getByRole("radio", { name: "Lunch" })), "");
  await chat.screenshot("widgets-invalid-form");
  assert.deepEqual(chat.payloads("echo"), []);

  await name.fill("Ada");
  assert.equal(await name.getAttribute("aria-invalid"), null); // checked again while it is corrected
  await shown.getByLabel("Email").fill("ada@example.com");
  await shown.getByLabel("Code").fill("ABC");
  await shown.getByRole("radio", { name: "Dinner" }).check();
  assert.equal(await describedBy(shown.getByRole("radio", { name: "Lunch" })), "");
  await shown.getByRole("checkbox", { name: "I accept the terms" }).check();
  await shown.getByRole("button", { name: "Clear" }).first().click(); // the day
  await name.press("Enter");
  await shown.getByText(/^Got /).waitFor();
  assert.deepEqual(chat.payloads("echo"), [
    { id: 1, contact: { kind: "guest", email: "ada@example.com" }, name: "Ada", guests: "2", day: null, room: "b", time: "d", terms: true, code: "ABC", seat: "Window" },
  ]);
  assert.equal(await name.inputValue(), "Ada");
  await chat.reload();
  assert.equal(await chat.widgets.last().getByLabel("Name").inputValue(), "Ada"); // the server has kept it
});

const describedBy = (field) => field.evaluate((element) => element.getRootNode().getElementById(element.getAttribute("aria-describedby")).textContent);

test("an action is sent once while it runs, and shows that it does", async (t) => {
  const chat = await openWidgets(t);
  const gate = await makeGate(t);
  const action = (loadingBehavior) => ({ type: "wait", streaming: false, loadingBehavior, payload: { gate: gate.port } });
  const shown = await chat.show(
    card(
      { type: "Button", label: "Self", onClickAction: action("auto") },
      { type: "Button", label: "None", onClickAction: action("none") },
      { type: "Button", label: "Container", onClickAction: action("container") },
    ),
  );
  const self = shown.getByRole("button", { name: "Self" });
  await self.click();
  await self.click();
  assert.equal(await self.getAttribute("aria-busy"), "true");
  assert.equal(await shown.getByRole("button", { name: "None" }).getAttribute("aria-busy"), null);
  await shown.getByRole("button", { name: "Container" }).click();
  assert.ok(await shown.locator("ck-widget").evaluate((widget) => widget.inert && widget.ariaBusy === null));
  await chat.screenshot("widgets-busy");
  gate.open();
  await chat.until(() => shown.locator("ck-widget").evaluate((widget) => !widget.inert), "a widget that can be used again");
  assert.equal(chat.payloads("wait").length, 2);
  assert.equal(await self.getAttribute("aria-busy"), null);
  assert.ok(await shown.getByRole("button", { name: "Container" }).evaluate((button) => button === button.getRootNode().activeElement));
});

test("what the user has typed stays when the server refuses the form", async (t) => {
  const chat = await openWidgets(t);
  const shown = await chat.show({
    type: "Card",
    asForm: true,
    confirm: { label: "Save", action: { type: "refuse", streaming: false } },
    children: [{ type: "Input", name: "name" }],
  });
  await shown.getByRole("textbox", { name: "name" }).fill("Ada");
  await shown.getByRole("button", { name: "Save" }).click();
  await chat.root.getByText("This name is taken.").waitFor();
  assert.equal(await shown.getByRole("textbox", { name: "name" }).inputValue(), "Ada");
  const [{ detail }] = await chat.events("error");
  assert.equal(detail.error.message, "This name is taken.");
});

test("a field outside a form sends its new value, and the answer of the server replaces the widget", async (t) => {
  const chat = await openWidgets(t);
  const change = { type: "echo", streaming: false, payload: { id: 7 } };
  const options = [{ value: "s", label: "Small" }, { value: "l", label: "Large" }];
  const shown = await chat.show(
    card(
      { type: "Input", name: "note" },
      { type: "Select", name: "shirt.size", options, onChangeAction: change },
      { type: "Checkbox", name: "gift", label: "Gift", onChangeAction: change },
      { type: "RadioGroup", name: "paper", options, onChangeAction: change },
      { type: "DatePicker", name: "day", onChangeAction: change },
    ),
  );
  await shown.getByRole("textbox", { name: "note" }).fill("Typed before");
  await shown.getByRole("combobox").selectOption("Large");
  await shown.getByText('Got {"id": 7, "shirt": {"size": "l"}}').waitFor();
  await shown.getByRole("checkbox").check();
  await shown.getByText('Got {"gift": true, "id": 7}').waitFor();
  await shown.getByRole("radio", { name: "Small" }).check();
  await shown.getByText('Got {"id": 7, "paper": "s"}').waitFor();
  await shown.getByLabel("day").fill("2026-12-24");
  await shown.getByText('Got {"day": "2026-12-24", "id": 7}').waitFor();
  assert.equal(await shown.getByRole("textbox", { name: "note" }).inputValue(), "Typed before");
  assert.equal(chat.posts("threads.sync_custom_action").length, 4);
});

test("the page gets the actions that are for it, and a payload keeps what it has", async (t) => {
  const chat = await openWidgets(t);
  const shown = await chat.show({ type: "Card", asForm: true, confirm: { label: "Go", action: { type: "go", handler: "client", payload: { name: "fixed" } } }, children: [{ type: "Input", name: "name" }, { type: "Input", name: "__proto__" }] });
  await shown.getByRole("textbox", { name: "name" }).fill("typed");
  await shown.getByRole("button", { name: "Go" }).click();
  const [{ action, id, type }] = await chat.until(() => chat.page.evaluate(() => window.actions), "an action");
  assert.equal(action, '{"type":"go","payload":{"name":"fixed","__proto__":""}}');
  assert.equal(id, await shown.getAttribute("data-id"));
  assert.equal(type, "Card");
  assert.equal((await chat.events("error")).length, 1); // the value that was left out
  assert.deepEqual(chat.payloads("go"), []);
});

test("a list shows more on demand, and its rows can be clicked with mouse and keyboard", async (t) => {
  const chat = await openWidgets(t);
  const shown = await chat.show(list);
  await shown.getByText("Flight 300").waitFor();
  assert.equal(await shown.getByRole("listitem").count(), 3);
  await shown.getByRole("button", { name: "Show more" }).click();
  assert.equal(await shown.getByRole("listitem").count(), 5);
  await chat.page.keyboard.press("Enter"); // the first of the new rows has the focus
  await shown.getByText("Flight 100").click();
  const numbers = await chat.until(() => chat.page.evaluate(() => window.actions?.length === 2 && window.actions.map(({ action }) => JSON.parse(action).payload.number)), "two actions");
  assert.deepEqual(numbers, [4, 1]);
});

test("a field keeps its focus, its caret and its text while the widget around it changes", async (t) => {
  const chat = await openWidgets(t);
  const gate = await makeGate(t);
  await chat.send(`call write_beside_form {"gate": ${gate.port}}`);
  const field = chat.widgets.getByRole("textbox");
  await field.fill("hello");
  await field.evaluate((input) => input.setSelectionRange(2, 2));
  const handle = await field.elementHandle();
  gate.open();
  await chat.widgets.getByText("Complete").waitFor();
  assert.ok(await chat.widgets.getByText("One two three").isVisible());
  assert.deepEqual(await handle.evaluate((input) => [input.isConnected, input.value, input.selectionStart, input === input.getRootNode().activeElement]), [true, "hello", 2, true]);
});

test("a widget may be as large and as deep as it likes", async (t) => {
  const chat = await openWidgets(t);
  await chat.say('call show_many {"count": 10000, "depth": 100}');
  const shown = chat.widgets.last();
  await shown.getByText("Text 1", { exact: true }).waitFor();
  const count = await shown.locator(".text").count();
  assert.ok(count < 2_000, `${count} texts at once`);
  await shown.getByText("A part of this content is too deeply nested to show.").waitFor();
  await shown.getByRole("button", { name: "Show more" }).click();
  await chat.until(async () => (await shown.locator(".text").count()) > count, "more texts");
  assert.match(await chat.ask("time"), /./); // the chat goes on
});

test("a widget of a hostile model loads nothing, runs nothing and leaves its box nowhere", async (t) => {
  const chat = await openWidgets(t);
  const evil = "url(https://evil.example/x)";
  const shown = await chat.show({
    type: "Card",
    background: `${evil}, red`,
    padding: evil,
    children: [
      { type: "Box", background: { light: "u\\72l(https://evil.example/y)", dark: "image-set('https://evil.example/z' 1x)" }, margin: -99, border: { size: 1, color: evil, style: "evil" }, children: [text("Outside")] },
      { type: "Image", src: "javascript:window.isHacked = true", alt: "A script" },
      { type: "Image", src: "data:text/html,<script>window.isHacked = true</script>", alt: "A page" },
      { type: "Text", value: "<img src=x onerror='window.isHacked = true'>" },
      { type: "Markdown", value: "<script>window.isHacked = true</script> [click](javascript:window.isHacked=true)" },
      { type: "Icon", name: "__proto__" },
      { type: "constructor", value: "Constructor" },
      { type: "Input", name: "a", pattern: "(a+)+$", defaultValue: "a".repeat(40) },
      { type: "Button", label: "No action", onClickAction: { type: { no: 1 } } },
      { type: "Chart", data: "no", series: [null, 4, { dataKey: {} }], xAxis: 5 },
      { type: "Chart", data: [{ x: 1, y: 1e300 }, { x: 2, y: "NaN" }, null], series: [{ type: "line", dataKey: "y" }], xAxis: "x" },
      { type: "Select", name: [], options: { length: 5 } },
      { type: "Table", children: [{ type: "Table.Row", children: [{ type: "Table.Cell", colSpan: 1e9, children: "A cell" }] }] },
      { type: "Title", value: { toString: "no" }, size: "constructor", maxLines: "many" },
      null,
      5,
      "A plain text",
    ],
  });
  await shown.getByText("A plain text").waitFor();
  for (const value of ["Outside", "A script", "Constructor", "A cell"]) assert.ok(await shown.getByText(value).isVisible(), value);
  assert.ok(await shown.locator("ck-widget").evaluate((widget) => getComputedStyle(widget).contain.includes("paint") || getComputedStyle(widget).contain === "content"));
  assert.deepEqual(chat.strays, []);
  assert.equal(await chat.page.evaluate(() => window.isHacked), undefined);
  await shown.getByRole("button", { name: "No action" }).click();
  assert.match(await chat.ask("time"), /./);
});
