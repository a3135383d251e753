"""Each of the eleven item types, created during a run, live and after a reload."""

from typing import Any

import pytest
from chatkit.agents import ClientToolCall
from chatkit.types import (
    CustomTask,
    SDKHiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    Workflow,
)
from chatkit.widgets import DynamicWidgetRoot

from chatkit_server import AgentContext
from chatkit_store import new_id
from tests.conversion.raw import added, delta, done, message_item, part_added, response
from tests.protocol.requirements import covers
from tests.serving import Served, Tab, values_of
from tests.stage import EXAMPLES, Stage, make_item, stream_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWN = sorted(set(EXAMPLES) - {"client_tool_call", "hidden_context_item", "sdk_hidden_context"})


@covers(*(f"item.{kind}" for kind in SHOWN))
@pytest.mark.parametrize("kind", SHOWN)
async def test_an_item_that_a_tool_streams_shows_live_and_after_a_reload(stage: Stage, tab: Tab, kind: str) -> None:
    async def act(context: AgentContext) -> str:
        stage.seen.append(await stream_item(context, kind))
        return "shown"

    stage.play_tool(act, before="Look:")
    reply = await tab.create("Show me")
    (sent,) = stage.seen
    expected = sent.model_dump(mode="json", exclude_none=True)
    picture = tab.pictures[reply.thread_id]
    assert picture.find(sent.id) == expected
    assert [item["type"] for item in picture.items] == ["user_message", "assistant_message", kind, "assistant_message"]
    assert (await tab.reload(reply.thread_id)).items == picture.items


@covers(*(f"item.{kind}" for kind in SHOWN))
@pytest.mark.parametrize("kind", SHOWN)
async def test_an_item_added_to_the_store_shows_after_a_reload(
    stage: Stage, tab: Tab, served: Served, kind: str
) -> None:
    stage.play("Hi.")
    thread_id = (await tab.create("Hello")).thread_id
    item = make_item(kind, await served.load_thread(thread_id), new_id("msg"))
    await served.services.store.add_thread_item(thread_id, item, await served.owner(thread_id))
    assert (await tab.reload(thread_id)).items[-1] == item.model_dump(mode="json", exclude_none=True)


@covers("item.hidden_context_item", "item.sdk_hidden_context", "hidden.events", "hidden.model")
@pytest.mark.parametrize("kind", ["hidden_context_item", "sdk_hidden_context"])
async def test_hidden_context_reaches_the_model_but_no_event_or_page(
    stage: Stage, tab: Tab, served: Served, kind: str
) -> None:
    async def act(context: AgentContext) -> str:
        item = make_item(kind, context.thread, context.generate_id("message"))
        await context.stream(ThreadItemAddedEvent(item=item))
        await context.stream(ThreadItemDoneEvent(item=item))
        await context.stream(ThreadItemReplacedEvent(item=item))
        brief = make_item(kind, context.thread, context.generate_id("message"))
        await context.stream(ThreadItemAddedEvent(item=brief))
        await context.stream(ThreadItemRemovedEvent(item_id=brief.id))
        stage.seen.extend([item, brief])
        return "kept"

    stage.play_tool(act)
    reply = await tab.create("Keep this in mind")
    item, brief = stage.seen
    seen_ids = {value for key, value in values_of(reply.events) if key in ("id", "item_id")}
    assert not seen_ids & {item.id, brief.id}
    assert tab.pictures[reply.thread_id].items == (await tab.reload(reply.thread_id)).items
    rows = await served.rows("SELECT id, hidden FROM thread_items WHERE type = :kind AND thread_id = :thread_id",
                             kind=kind, thread_id=reply.thread_id)  # fmt: skip
    assert rows == [{"id": item.id, "hidden": 1}]
    model = stage.play("I know.")
    await tab.send(reply.thread_id, "What do you know?")
    call = model.last_call
    assert call is not None
    assert "the model knows" in str(call.input)


@covers("item.client_tool_call")
async def test_a_client_tool_call_is_sent_once_and_is_pending_in_the_store(
    stage: Stage, tab: Tab, served: Served
) -> None:
    async def act(context: AgentContext) -> str:
        context.client_tool_call = ClientToolCall(name="look", arguments={"at": "page"})
        return ""

    stage.play_client_tool(act)
    reply = await tab.create("Look")
    assert [event["type"] for event in reply.events if event.get("item", {}).get("type") == "client_tool_call"] == [
        "thread.item.done"
    ]
    (call,) = tab.pictures[reply.thread_id].tool_calls
    stored = (await tab.items(reply.thread_id))["data"][-1]
    assert stored == call
    assert call["status"] == "pending"


@covers("item.workflow")
async def test_a_workflow_that_a_tool_builds_step_by_step_shows_live_and_after_a_reload(stage: Stage, tab: Tab) -> None:
    async def act(context: AgentContext) -> str:
        await context.start_workflow(Workflow(type="custom", tasks=[]))
        await context.add_workflow_task(CustomTask(title="One", status_indicator="loading"))
        await context.add_workflow_task(CustomTask(title="Two"))
        await context.update_workflow_task(CustomTask(title="One", status_indicator="complete"), 0)
        await context.end_workflow(expanded=True)
        return "worked"

    stage.play_tool(act)
    reply = await tab.create("Work")
    (workflow,) = tab.pictures[reply.thread_id].of_type("workflow")
    assert workflow["workflow"] == {
        "type": "custom",
        "tasks": [
            {"type": "custom", "title": "One", "status_indicator": "complete"},
            {"type": "custom", "title": "Two", "status_indicator": "none"},
        ],
        "summary": {"duration": 0},
        "expanded": True,
    }
    assert tab.pictures[reply.thread_id].items == (await tab.reload(reply.thread_id)).items


@covers("item.widget")
async def test_a_streamed_widget_shows_live_and_after_a_reload(stage: Stage, tab: Tab) -> None:
    def widget(text: str, *, done: bool = False) -> DynamicWidgetRoot:
        value = {"type": "Markdown", "id": "md", "value": text, "streaming": not done}
        return DynamicWidgetRoot.model_validate({"type": "Card", "children": [value]})

    async def act(context: AgentContext) -> str:
        async def states() -> Any:
            yield widget("")
            yield widget("Good")
            yield widget("Good **morning**")
            yield widget("Good **morning**!", done=True)

        await context.stream_widget(states(), copy_text="Good morning!")
        return "shown"

    stage.play_tool(act)
    reply = await tab.create("Greet")
    assert [e["update"]["type"] for e in reply.of_type("thread.item.updated")][:2] == [
        "widget.streaming_text.value_delta"
    ] * 2
    (item,) = tab.pictures[reply.thread_id].of_type("widget")
    assert item["widget"]["children"][0]["value"] == "Good **morning**!"
    assert tab.pictures[reply.thread_id].items == (await tab.reload(reply.thread_id)).items


@covers("order.first_appearance")
async def test_overlapping_items_keep_the_order_in_which_they_appeared(stage: Stage, tab: Tab) -> None:
    async def act(context: AgentContext) -> str:
        first, second, third = (make_item("task", context.thread, context.generate_id("message")) for _ in range(3))
        await context.stream(ThreadItemAddedEvent(item=first))
        await context.stream(ThreadItemAddedEvent(item=second))
        await context.stream(ThreadItemDoneEvent(item=third))  # never added: it only appears when it is done
        await context.stream(ThreadItemDoneEvent(item=second))
        await context.stream(ThreadItemDoneEvent(item=first))
        stage.seen.extend([first.id, second.id, third.id])
        return "shown"

    stage.play_tool(act)
    reply = await tab.create("Show")
    live = [item["id"] for item in tab.pictures[reply.thread_id].items]
    assert live[1:4] == stage.seen
    assert [item["id"] for item in (await tab.reload(reply.thread_id)).items] == live


@covers("order.first_appearance")
async def test_messages_written_concurrently_keep_their_order(stage: Stage, tab: Tab) -> None:
    """T25: stock chatkit saves them in the order in which they end."""
    stage.play(
        response(
            added(0, message_item(done=False)),
            part_added(0),
            delta(0, "Fir"),
            added(1, message_item(done=False)),
            part_added(1),
            delta(1, "Second"),
            done(1, message_item("Second")),
            delta(0, "st"),
            done(0, message_item("First")),
        )
    )
    reply = await tab.create("Both")
    picture = tab.pictures[reply.thread_id]
    assert picture.texts() == [("user", "Both"), ("assistant", "First"), ("assistant", "Second")]
    assert (await tab.reload(reply.thread_id)).items == picture.items


@covers("wire.utc")
async def test_items_with_a_naive_local_time_are_sent_in_utc(
    stage: Stage, tab: Tab, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime, timedelta

    async def act(context: AgentContext) -> str:
        naive = datetime.now()  # noqa: DTZ005 - as the SDK's own helpers stamp their items
        await stream_item(context, "task", created_at=naive)
        await context.stream(
            ThreadItemUpdatedEvent(
                item_id="nobody",
                update={"type": "workflow.task.added", "task_index": 0, "task": {"type": "custom"}},
            )
        )
        stage.seen.append(naive)
        return "shown"

    stage.play_tool(act)
    reply = await tab.create("When?")
    (task,) = tab.pictures[reply.thread_id].of_type("task")
    assert datetime.fromisoformat(task["created_at"]) == stage.seen[0].astimezone(UTC)
    assert datetime.now(UTC) - datetime.fromisoformat(task["created_at"]) < timedelta(minutes=1)
    assert tab.pictures[reply.thread_id].items == (await tab.reload(reply.thread_id)).items


@covers("hidden.events")
async def test_the_stop_note_is_not_shown(stage: Stage, tab: Tab, served: Served) -> None:
    stage.play("Hi.")
    thread_id = (await tab.create("Hello")).thread_id
    context = await served.owner(thread_id)
    thread = await served.load_thread(thread_id)
    stop_note = make_item("sdk_hidden_context", thread, new_id("shcx"))
    assert isinstance(stop_note, SDKHiddenContextItem)
    await served.services.store.add_thread_item(thread_id, stop_note, context)
    assert [item["type"] for item in (await tab.reload(thread_id)).items] == ["user_message", "assistant_message"]
