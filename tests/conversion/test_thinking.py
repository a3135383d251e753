"""Reasoning: thoughts in one workflow, which the answer closes."""

from typing import Any

import pytest
from agents.testing import ModelStep, function_call
from chatkit.types import CustomTask, Workflow

from chatkit_server.conversion.open_workflow import OpenWorkflow
from chatkit_server.conversion.shown_items import ShownItems
from chatkit_server.conversion.thinking import Thoughts
from chatkit_server.memory import Transcript
from tests.conversion.conftest import Conversation, as_json
from tests.conversion.raw import message, raw_thought, reasoning, response, thought
from tests.stage import tool


def workflow(*thoughts: str) -> dict[str, Any]:
    """Return a closed workflow of thoughts."""
    tasks = [{"type": "thought", "content": text, "status_indicator": "none"} for text in thoughts]
    return {
        "type": "workflow",
        "workflow": {"type": "reasoning", "tasks": tasks, "summary": {"duration": 0}, "expanded": False},
    }


async def test_a_summary_becomes_thoughts_in_one_workflow_that_the_answer_closes(conversation: Conversation) -> None:
    first, second = thought(0, "I ", "think."), thought(0, "And ", "think.", summary_index=1)
    await conversation.run(response(*reasoning(0, first, second), *message(1, "So it is.")))
    assert conversation.items[0] == workflow("I think.", "And think.")
    assert [item["type"] for item in conversation.items] == ["workflow", "assistant_message"]


async def test_equal_thoughts_are_separate_tasks(conversation: Conversation) -> None:
    """Stock chatkit finds a task by equality, and so changes the first of equal ones (T33)."""
    parts = [thought(0, "Same", " again", summary_index=n) for n in range(3)]
    events = await conversation.run(response(*reasoning(0, *parts), *message(1, "Done.")))
    indexes = [event["update"]["task_index"] for event in events if "task_index" in event.get("update", {})]
    assert set(indexes) == {0, 1, 2}
    assert conversation.items[0] == workflow("Same again", "Same again", "Same again")


async def test_equal_tasks_of_a_workflow_are_separate(conversation: Conversation) -> None:
    """As for thoughts (T33)."""

    async def act(context: Any) -> str:
        await context.start_workflow(Workflow(type="custom", tasks=[]))
        for _ in range(3):
            await context.add_workflow_task(CustomTask(title="Same"))
        await context.update_workflow_task(CustomTask(title="Last"), 2)
        await context.end_workflow()
        return "done"

    call = ModelStep(output=[function_call("act", {}, call_id="c")])
    await conversation.run(call, response(*message(0, "Done.")), tools=[tool("act", act)])
    assert [task["title"] for task in conversation.items[0]["workflow"]["tasks"]] == ["Same", "Same", "Last"]


async def test_reasoning_text_is_shown_as_thinking(conversation: Conversation) -> None:
    """Stock chatkit does not show it (T34)."""
    await conversation.run(response(*reasoning(0, raw_thought(0, "I ", "think.")), *message(1, "So.")))
    assert conversation.items[0] == workflow("I think.")


async def test_reasoning_text_is_not_shown_if_there_is_a_summary(conversation: Conversation) -> None:
    both = [thought(0, "In short."), raw_thought(0, "At ", "length.")]
    await conversation.run(response(*reasoning(0, *both), *message(1, "So.")))
    assert conversation.items[0] == workflow("In short.")


@pytest.mark.parametrize("thoughts", [[], [thought(0)], [thought(0, "")]], ids=["none", "no deltas", "an empty one"])
async def test_empty_reasoning_adds_no_item(conversation: Conversation, thoughts: list[Any]) -> None:
    """Stock chatkit saves an empty workflow (T34)."""
    events = await conversation.run(response(*reasoning(0, *thoughts), *message(1, "So.")))
    assert [item["type"] for item in conversation.items] == ["assistant_message"]
    done = [event["item"]["type"] for event in events if event["type"] == "thread.item.done"]
    assert done == ["assistant_message"]  # an item without a done event is not saved


async def test_updates_of_a_thought_are_throttled_but_the_last_one_is_exact(conversation: Conversation) -> None:
    pieces = [f"word{n} " for n in range(200)]
    events = await conversation.run(response(*reasoning(0, thought(0, *pieces)), *message(1, "So.")))
    updates = [event for event in events if event.get("update", {}).get("type") == "workflow.task.updated"]
    assert len(updates) < 20
    assert conversation.items[0] == workflow("".join(pieces))


async def test_without_an_interval_each_delta_of_a_thought_is_an_update() -> None:
    pieces = [f"word{n} " for n in range(200)]
    context = Conversation().context
    block = OpenWorkflow(context, ShownItems(context, Transcript()))
    thoughts = Thoughts(block, interval=0.0)
    deltas = thought(0, *pieces)
    updates = [
        as_json(event)["update"]
        for delta in deltas
        for event in (await Thoughts.HANDLERS[delta.type](thoughts, delta))[-1:]
    ]
    assert [update["type"] for update in updates] == [
        "workflow.task.added",
        *["workflow.task.updated"] * 200,  # each other delta, and the end
    ]
    assert updates[-1]["task"]["content"] == "".join(pieces)


async def test_an_interrupted_thought_is_complete_when_the_answer_begins(conversation: Conversation) -> None:
    cut = thought(0, "one ", "two ", "three", closed=False)
    await conversation.run(response(*reasoning(0, cut), *message(1, "So.")))
    assert conversation.items[0] == workflow("one two three")


async def test_thoughts_after_a_message_get_a_new_workflow(conversation: Conversation) -> None:
    async def act(context: Any) -> str:
        return "done"

    call = function_call("act", {}, call_id="c").model_dump()
    spoken = message(1, "Let me see.")
    first = response(*reasoning(0, thought(0, "First.")), *spoken, output=[spoken[-1].item.model_dump(), call])
    second = response(*reasoning(0, thought(0, "Second.")), *message(1, "Seen."))
    await conversation.run(first, second, tools=[tool("act", act)])
    assert [item["type"] for item in conversation.items] == ["workflow", "assistant_message"] * 2
    assert [conversation.items[0], conversation.items[2]] == [workflow("First."), workflow("Second.")]


async def test_thoughts_before_and_after_a_tool_call_share_a_workflow(conversation: Conversation) -> None:
    async def act(context: Any) -> str:
        return "done"

    call = function_call("act", {}, call_id="c").model_dump()
    first = response(*reasoning(0, thought(0, "First.")), output=[call])
    await conversation.run(
        first, response(*reasoning(0, thought(0, "Second.")), *message(1, "Seen.")), tools=[tool("act", act)]
    )
    assert conversation.items[0] == workflow("First.", "Second.")


async def test_a_thought_is_added_to_a_workflow_that_a_tool_opened(conversation: Conversation) -> None:
    async def act(context: Any) -> str:
        await context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="Step")]))
        return "done"

    call = ModelStep(output=[function_call("act", {}, call_id="c")])
    await conversation.run(
        call, response(*reasoning(0, thought(0, "Hm.")), *message(1, "Done.")), tools=[tool("act", act)]
    )
    tasks = conversation.items[0]["workflow"]["tasks"]
    assert [task.get("title") or task["content"] for task in tasks] == ["Step", "Hm."]
