"""Helpers for tools: `stream`, `stream_widget`, workflows, client tool calls."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from agents import StopAtTools
from agents.testing import ModelStep, function_call
from chatkit.agents import ClientToolCall
from chatkit.types import (
    ClientEffectEvent,
    CustomSummary,
    CustomTask,
    NoticeEvent,
    ProgressUpdateEvent,
    SDKHiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadStreamEvent,
    Workflow,
)
from chatkit.widgets import DynamicWidgetRoot

from chatkit_server import AgentContext
from tests.conversion.conftest import Conversation
from tests.conversion.raw import call_item, message, reasoning, response, thought
from tests.stage import make_item, tool


def calls(*names: str, item_id: str | None = "__fake_id__") -> ModelStep:
    """Return a step that calls tools in parallel, with the call ids `call_0`, `call_1`, ..."""
    return response(output=[call_item(name, f"call_{n}", item_id) for n, name in enumerate(names)])


async def do_nothing(context: AgentContext) -> str:
    """A tool."""
    return "done"


async def test_every_type_of_event_is_sent_to_the_client_in_order(conversation: Conversation) -> None:
    expected: list[ThreadStreamEvent] = [
        ProgressUpdateEvent(text="Half way", icon="sparkle"),
        ClientEffectEvent(name="confetti", data={"n": 1}),
        NoticeEvent(level="info", message="Nearly"),
    ]

    async def act(context: AgentContext) -> str:
        for event in expected:
            await context.stream(event)
        return "done"

    await conversation.run(calls("act"), response(*message(0, "Done.")), tools=[tool("act", act)])
    assert conversation.events[:3] == expected


async def test_an_item_is_sent_as_it_was_when_the_tool_streamed_it(conversation: Conversation) -> None:
    async def act(context: AgentContext) -> str:
        item = make_item("task", context.thread, context.generate_id("task"))
        await context.stream(ThreadItemAddedEvent(item=item))
        item.task.title = "Changed"  # type: ignore[union-attr]  # it is a task
        await context.stream(ThreadItemDoneEvent(item=item))
        return "done"

    events = await conversation.run(calls("act"), response(*message(0, "Done.")), tools=[tool("act", act)])
    assert [event["item"]["task"]["title"] for event in events[:2]] == ["Search", "Changed"]


async def test_ids_come_from_the_store(conversation: Conversation) -> None:
    context = conversation.context
    prefixes = [context.generate_id(kind).partition("_")[0] for kind in ("thread", "message", "workflow", "tool_call")]
    assert prefixes == ["thr", "msg", "wf", "tc"]
    assert len({context.generate_id("message") for _ in range(1000)}) == 1000


async def test_a_widget_is_one_item(conversation: Conversation) -> None:
    card = DynamicWidgetRoot.model_validate({"type": "Card", "children": [{"type": "Text", "value": "hi"}]})
    await conversation.context.stream_widget(card, copy_text="hi")
    await conversation.run(response(*message(0, "Done.")))
    widget, _ = conversation.items
    assert widget == {"type": "widget", "widget": card.model_dump(exclude_none=True), "copy_text": "hi"}


async def test_the_states_of_a_widget_are_streamed_live(conversation: Conversation) -> None:
    more_states = asyncio.Event()

    def text(value: str) -> DynamicWidgetRoot:
        child = {"type": "Text", "id": "t", "value": value}
        return DynamicWidgetRoot.model_validate({"type": "Card", "children": [child]})

    async def states() -> AsyncGenerator[DynamicWidgetRoot]:
        yield text("a")
        await more_states.wait()
        yield text("ab")
        yield text("abc")

    async def act(context: AgentContext) -> str:
        await context.stream_widget(states())
        return "done"

    events = conversation.start(calls("act"), response(*message(0, "Done.")), tools=[tool("act", act)])
    first = await anext(events)
    assert isinstance(first, ThreadItemAddedEvent)
    more_states.set()
    types = [event.type async for event in events]
    assert types[:3] == ["thread.item.updated", "thread.item.updated", "thread.item.done"]


async def test_a_workflow_has_aware_times_and_shows_its_duration(conversation: Conversation) -> None:
    context = conversation.context
    await context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="One")]))
    item = context.workflow_item
    assert item is not None
    assert datetime.now(UTC) - item.created_at < timedelta(seconds=5)
    item.created_at -= timedelta(seconds=90)
    await context.end_workflow()
    assert context.workflow_item is None
    await conversation.run(response(*message(0, "Done.")))
    assert conversation.items[0]["workflow"]["summary"] == {"duration": 90}


async def test_a_workflow_with_a_naive_time_can_be_ended(conversation: Conversation) -> None:
    """Subtracting a naive from an aware time raises (T18)."""
    context = conversation.context
    await context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="One")]))
    assert context.workflow_item is not None
    context.workflow_item.created_at = datetime.now() - timedelta(seconds=30)  # noqa: DTZ005 - naive on purpose
    await context.end_workflow()
    await conversation.run(response(*message(0, "Done.")))
    assert conversation.items[0]["workflow"]["summary"]["duration"] in (30, 31)


async def test_a_workflow_keeps_a_given_summary(conversation: Conversation) -> None:
    context = conversation.context
    await context.add_workflow_task(CustomTask(title="One"))
    await context.end_workflow(CustomSummary(title="All good"), expanded=True)
    await context.end_workflow()  # a second time has no effect
    await conversation.run(response(*message(0, "Done.")))
    assert conversation.items[0]["workflow"] == {
        "type": "custom",
        "tasks": [{"type": "custom", "title": "One", "status_indicator": "none"}],
        "summary": {"title": "All good"},
        "expanded": True,
    }


async def test_updating_a_task_without_a_workflow_or_beyond_its_tasks_raises(conversation: Conversation) -> None:
    context = conversation.context
    with pytest.raises(ValueError, match="not set"):
        await context.update_workflow_task(CustomTask(), 0)
    await context.start_workflow(Workflow(type="custom", tasks=[]))
    with pytest.raises(IndexError):
        await context.update_workflow_task(CustomTask(), 0)


async def test_a_visible_item_closes_an_open_workflow_and_a_hidden_item_does_not(conversation: Conversation) -> None:
    context = conversation.context
    await context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="One")]))
    hidden = make_item("sdk_hidden_context", context.thread, "shcx_1")
    assert isinstance(hidden, SDKHiddenContextItem)
    await context.stream(ThreadItemDoneEvent(item=hidden))
    await context.add_workflow_task(CustomTask(title="Two"))
    await context.stream(ThreadItemDoneEvent(item=make_item("task", context.thread, "tsk_1")))
    assert context.workflow_item is None
    await conversation.run(response(*message(0, "Done.")))
    visible = [item for item in conversation.items if item["type"] != "sdk_hidden_context"]
    assert [item["type"] for item in visible] == ["workflow", "task", "assistant_message"]
    assert [task["title"] for task in visible[0]["workflow"]["tasks"]] == ["One", "Two"]
    assert visible[0]["workflow"]["summary"] == {"duration": 0}


async def test_a_workflow_still_open_at_the_end_of_a_run_is_closed(conversation: Conversation) -> None:
    async def act(context: AgentContext) -> str:
        await context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="One")]))
        return "done"

    stop = {"tool_use_behavior": "stop_on_first_tool"}
    events = await conversation.run(calls("act"), tools=[tool("act", act)], **stop)
    assert [event["type"] for event in events] == ["thread.item.added", "thread.item.done"] * 2  # and the tool's output
    assert conversation.items[0]["workflow"]["summary"] == {"duration": 0}


# Client tool calls


async def ask_the_page(context: AgentContext) -> str:
    """A tool that calls a tool of the page."""
    await asyncio.sleep(0)
    context.client_tool_call = ClientToolCall(name="look", arguments={"at": "page"})
    return ""


PAGE_TOOLS = [tool("look", ask_the_page), tool("other", do_nothing)]
STOP = {"tools": PAGE_TOOLS, "tool_use_behavior": StopAtTools(stop_at_tool_names=["look"])}


@pytest.mark.parametrize(
    ("names", "call_id"),
    [
        (("look",), "call_0"),
        (("look", "other"), "call_0"),  # stock chatkit takes the last call (T31)
        (("other", "look"), "call_1"),
        (("look", "other", "look"), "call_2"),
    ],
)
async def test_a_client_tool_call_has_the_call_id_of_its_own_tool(
    conversation: Conversation, names: tuple[str, ...], call_id: str
) -> None:
    events = await conversation.run(calls(*names), **STOP)
    assert [event["type"] for event in events] == ["thread.item.done"]
    (call,) = conversation.picture.tool_calls
    assert call["id"].startswith("tc_")
    assert (call["call_id"], call["name"], call["arguments"], call["status"]) == (
        call_id,
        "look",
        {"at": "page"},
        "pending",
    )


async def test_a_client_tool_call_without_an_item_id_is_sent(conversation: Conversation) -> None:
    """Stock chatkit asserts that there is an id (T32)."""
    await conversation.run(calls("look", item_id=None), **STOP)
    assert [call["call_id"] for call in conversation.picture.tool_calls] == ["call_0"]


async def test_a_client_tool_call_without_a_call_of_the_model_gets_a_new_call_id(conversation: Conversation) -> None:
    conversation.context.client_tool_call = ClientToolCall(name="look", arguments={})
    await conversation.run(response(*message(0, "Look.")))
    assert [call["call_id"][:3] for call in conversation.picture.tool_calls] == ["tc_"]


async def test_a_workflow_continues_after_a_client_tool_call(conversation: Conversation) -> None:
    async def act(context: AgentContext) -> str:
        await context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="Ask the page")]))
        return await ask_the_page(context)

    await conversation.run(
        calls("act"), tools=[tool("act", act)], tool_use_behavior=StopAtTools(stop_at_tool_names=["act"])
    )
    assert conversation.events[-1].type == "thread.item.done"
    (workflow,) = conversation.items
    assert "summary" not in workflow["workflow"]  # still open

    later = Conversation()
    later.picture = conversation.picture
    later.context.workflow_item = conversation.context.workflow_item

    async def read_answer(context: AgentContext) -> str:
        await context.add_workflow_task(CustomTask(title="Read the answer"))
        return "done"

    await later.run(calls("read_answer"), response(*message(0, "Done.")), tools=[tool("read_answer", read_answer)])
    assert [item["type"] for item in later.items] == ["workflow", "assistant_message"]
    assert [task["title"] for task in later.items[0]["workflow"]["tasks"]] == ["Ask the page", "Read the answer"]
    assert later.items[0]["workflow"]["summary"] == {"duration": 0}


async def test_thoughts_before_a_client_tool_call_are_kept(conversation: Conversation) -> None:
    step = response(*reasoning(0, thought(0, "I must look.")), output=[call_item("look", "call_0")])
    events = await conversation.run(step, **STOP)
    assert [event["type"] for event in events[-2:]] == ["thread.item.done", "thread.item.done"]
    assert [task["content"] for task in conversation.items[0]["workflow"]["tasks"]] == ["I must look."]


async def test_function_calls_add_no_items(conversation: Conversation) -> None:
    step = ModelStep(output=[function_call("other", {}, call_id="c")])
    await conversation.run(step, response(*message(0, "Done.")), tools=[tool("other", do_nothing)])
    assert [item["type"] for item in conversation.items] == ["assistant_message"]


async def test_contexts_do_not_share_their_events(conversation: Conversation) -> None:
    await Conversation().context.stream(ProgressUpdateEvent(text="Of another turn"))
    await conversation.run(response(*message(0, "Mine.")))
    assert [event.type for event in conversation.events if event.type == "progress_update"] == []
