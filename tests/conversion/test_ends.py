"""The end of a run: guardrails remove what was shown, closing the iterator cancels everything, images complete."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    InputGuardrailTripwireTriggered,
    OutputGuardrail,
    OutputGuardrailTripwireTriggered,
    RunContextWrapper,
)
from agents.testing import ModelStep
from chatkit.agents import ResponseStreamConverter
from chatkit.types import CustomTask, ThreadItemDoneEvent, ThreadItemRemovedEvent

from chatkit_server import AgentContext
from tests.conversion.conftest import Conversation
from tests.conversion.raw import (
    added,
    call_item,
    delta,
    done,
    event,
    message,
    message_item,
    part_added,
    reasoning,
    response,
    thought,
)
from tests.stage import make_item, tool

TRIPPED = GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)


async def show_things(context: AgentContext) -> str:
    """A tool that adds items."""
    await context.stream(ThreadItemDoneEvent(item=make_item("task", context.thread, context.generate_id("task"))))
    await context.add_workflow_task(CustomTask(title="One"))
    return "done"


async def test_an_output_guardrail_removes_everything_that_the_run_showed(conversation: Conversation) -> None:
    async def trip(context: RunContextWrapper[Any], agent: Agent[Any], output: Any) -> GuardrailFunctionOutput:
        return TRIPPED

    await conversation.run(response(*message(0, "An earlier turn.")))
    earlier = list(conversation.picture.items)
    steps = [
        response(*reasoning(0), *reasoning(1, thought(1, "Hm.")), output=[call_item("act", "c")]),
        response(*reasoning(0), *message(1, "Forbidden.")),
    ]
    with pytest.raises(OutputGuardrailTripwireTriggered):
        await conversation.run(
            *steps, tools=[tool("act", show_things)], output_guardrails=[OutputGuardrail(guardrail_function=trip)]
        )
    assert conversation.picture.items == earlier
    removed = [event.item_id for event in conversation.events if event.type == "thread.item.removed"]
    assert len(removed) == len(set(removed)), "each item is removed once"


async def test_an_item_that_was_removed_before_the_guardrail_is_not_removed_again(conversation: Conversation) -> None:
    """Removing an item twice would end the turn with "not found" instead of the guardrail's text."""

    async def trip(context: RunContextWrapper[Any], agent: Agent[Any], output: Any) -> GuardrailFunctionOutput:
        return TRIPPED

    async def act(context: AgentContext) -> str:
        item = make_item("task", context.thread, context.generate_id("task"))
        await context.stream(ThreadItemDoneEvent(item=item))
        await context.stream(ThreadItemRemovedEvent(item_id=item.id))
        return "done"

    steps = [response(output=[call_item("act", "c")]), response(*reasoning(0), *message(1, "Forbidden."))]
    with pytest.raises(OutputGuardrailTripwireTriggered):
        await conversation.run(
            *steps, tools=[tool("act", act)], output_guardrails=[OutputGuardrail(guardrail_function=trip)]
        )
    removed = [event.item_id for event in conversation.events if event.type == "thread.item.removed"]
    assert len(removed) == len(set(removed)) == 3  # the task, the empty reasoning, the message


async def test_an_input_guardrail_that_trips_late_removes_what_was_shown(conversation: Conversation) -> None:
    text_sent = asyncio.Event()

    async def trip(context: RunContextWrapper[Any], agent: Agent[Any], value: Any) -> GuardrailFunctionOutput:
        await text_sent.wait()
        return TRIPPED

    async def wait() -> None:
        text_sent.set()
        await asyncio.sleep(0.05)

    step = response(added(0, message_item(done=False)), part_added(0), delta(0, "Forb"), wait)
    with pytest.raises(InputGuardrailTripwireTriggered):
        await conversation.run(step, input_guardrails=[InputGuardrail(guardrail_function=trip)])
    assert conversation.picture.items == []


# Closing


def other_tasks() -> set[asyncio.Task[Any]]:
    """Return all tasks except the test's."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_closing_the_iterator_cancels_a_running_tool_and_leaves_no_task(conversation: Conversation) -> None:
    """With stock chatkit the tool keeps running, and each stop leaks four tasks (T3)."""
    before, outcome = other_tasks(), asyncio.get_running_loop().create_future()

    async def act(context: AgentContext) -> str:
        await context.stream(ThreadItemDoneEvent(item=make_item("task", context.thread, context.generate_id("task"))))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.set_result("cancelled")
            raise
        return "never"

    events = conversation.start(ModelStep(output=[_call()]), tools=[tool("act", act)])
    assert (await anext(events)).type == "thread.item.done"
    await events.aclose()
    assert outcome.done()
    assert outcome.result() == "cancelled"
    assert other_tasks() == before


async def test_closing_the_iterator_closes_the_models_stream(conversation: Conversation) -> None:
    before, outcome = other_tasks(), asyncio.get_running_loop().create_future()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            outcome.set_result("closed")

    step = response(added(0, message_item(done=False)), part_added(0), delta(0, "one"), hang)
    async with aclosing(conversation.start(step)) as events:
        async for event in events:
            if event.type == "thread.item.updated":
                break
    assert outcome.done()
    assert other_tasks() == before


async def test_a_cancelled_reader_leaves_no_task(conversation: Conversation) -> None:
    before, waiting = other_tasks(), asyncio.Event()

    async def hang() -> None:
        waiting.set()
        await asyncio.Event().wait()

    reader = asyncio.create_task(conversation.run(response(delta(0, "one"), hang)))
    await asyncio.wait_for(waiting.wait(), 30)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert other_tasks() == before


async def test_a_run_that_ends_or_fails_leaves_no_task(conversation: Conversation) -> None:
    before = other_tasks()
    await conversation.run(response(*message(0, "Done.")))
    with pytest.raises(RuntimeError):
        await conversation.run(ModelStep.raise_error(RuntimeError("broke")))
    assert other_tasks() == before


def _call() -> Any:
    from agents.testing import function_call

    return function_call("act", {}, call_id="c")


# Images


def image_item(result: str | None) -> dict[str, Any]:
    """Return an image generation call."""
    return {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": result}


def partial(index: int, data: str) -> Any:
    """Return a partial image event."""
    kind = "response.image_generation_call.partial_image"
    return event(kind, item_id="ig_1", output_index=0, partial_image_index=index, partial_image_b64=data)


async def test_an_image_is_shown_at_once_then_updated_then_completed(conversation: Conversation) -> None:
    steps = [added(0, image_item(None)), partial(0, "AA"), partial(1, "BB"), done(0, image_item("CC"))]
    converter = ResponseStreamConverter(partial_images=2)
    events = await conversation.run(response(*steps), response(*message(0, "There.")), converter=converter)
    assert "image" not in events[0]["item"]
    updates = [event["update"] for event in events if event.get("update", {}).get("type") == "generated_image.updated"]
    assert [(update["image"]["url"][-2:], update["progress"]) for update in updates] == [("AA", 0.0), ("BB", 0.5)]
    assert conversation.items[0] == {
        "type": "generated_image",
        "image": {"id": "ig_1", "url": "data:image/png;base64,CC"},
    }


async def test_two_images_of_one_answer_are_separate_items(conversation: Conversation) -> None:
    steps = [
        added(0, image_item(None)),
        added(1, image_item(None)),
        done(1, image_item("BB")),
        done(0, image_item("AA")),
    ]
    await conversation.run(response(*steps), response(*message(0, "There.")))
    assert [item["image"]["url"][-2:] for item in conversation.items[:2]] == ["AA", "BB"]
