"""A recorded run offers what the run itself offered, after its JSON has been written and read."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from agents import Agent, AgentOutputSchema, MaxTurnsExceeded, RunConfig, Runner, RunResultStreaming, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from pydantic import BaseModel

from chatkit_server.recording.finished_run import failed_run, finished_run, restore_result

CONFIG = RunConfig(tracing_disabled=True)


class Order(BaseModel):
    number: int
    items: list[str]


@dataclass
class Point:
    x: int


@function_tool
def look() -> Point:
    """Looks."""
    return Point(3)


async def run(agent: Agent[Any], *steps: Any, context: Any = None) -> RunResultStreaming:
    agent.model = ScriptedModel(list(steps))
    result = Runner.run_streamed(agent, "Hello", context=context, run_config=CONFIG)
    async for _ in result.stream_events():
        pass
    return result


async def again(agent: Agent[Any], result: RunResultStreaming, context: Any = None) -> RunResultStreaming:
    return await restore_result(json.loads(json.dumps(finished_run(result))), agent, context)


@pytest.mark.parametrize(
    ("output_type", "text", "output"),
    [
        (None, "Hi", "Hi"),
        (str, "Hi", "Hi"),
        (Order, '{"number": 1, "items": ["tea"]}', Order(number=1, items=["tea"])),
        (AgentOutputSchema(Order), '{"number": 1, "items": []}', Order(number=1, items=[])),
        (Point, '{"response": {"x": 2}}', Point(2)),
        (AgentOutputSchema(list[int]), '{"response": [3]}', [3]),
        (list[int], '{"response": [1, 2]}', [1, 2]),
    ],
)
async def test_the_final_output_has_its_type(output_type: Any, text: str, output: Any) -> None:
    agent = Agent[Any](name="Answerer", output_type=output_type)
    result = await run(agent, [assistant_message(text)])
    assert result.final_output == output
    assert (await again(agent, result)).final_output == output


async def test_everything_that_an_export_reads_is_the_same() -> None:
    first, last = Agent[Any](name="First", tools=[look]), Agent[Any](name="Last", output_type=Order)
    first.handoffs = [last]
    last.model = ScriptedModel([[assistant_message('{"number": 2, "items": []}')]])
    steps = [function_call("look", {}, call_id="c1")], [function_call("transfer_to_last", {}, call_id="c2")]
    result = await run(first, *steps)
    restored = await again(first, result)
    assert restored.final_output_as(Order, raise_if_incorrect_type=True).number == 2
    assert restored.last_agent is last
    assert [item.to_input_item() for item in restored.new_items] == [item.to_input_item() for item in result.new_items]
    assert [item.type for item in restored.new_items] == [item.type for item in result.new_items]
    assert restored.to_input_list() == result.to_input_list()
    assert restored.last_response_id == result.last_response_id
    assert len(restored.raw_responses) == len(result.raw_responses) == 3
    assert (restored.interruptions, restored.input) == ([], "Hello")
    assert restored.context_wrapper.usage.requests == result.context_wrapper.usage.requests == 3
    assert [event async for event in restored.stream_events()] == []
    assert finished_run(restored)["state"]["session_items"] == finished_run(result)["state"]["session_items"]


async def test_the_output_of_a_tool_is_plain_data() -> None:
    agent = Agent[Any](name="Stopper", tools=[look], output_type=Order, tool_use_behavior="stop_on_first_tool")
    result = await run(agent, [function_call("look", {}, call_id="c1")])
    assert (result.final_output, (await again(agent, result)).final_output) == (Point(3), {"x": 3})


@pytest.mark.parametrize("context", [{"word": object()}, object(), None])
async def test_a_context_that_is_not_plain_data_is_not_saved(context: Any) -> None:
    agent = Agent[Any](name="Answerer")
    result = await run(agent, [assistant_message("Hi")], context=context)
    assert (await again(agent, result, context)).context_wrapper.context is context


@pytest.mark.parametrize("error", [MaxTurnsExceeded("ten"), ValueError("no"), KeyError("name")])
async def test_an_error_has_its_class_and_text(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        await restore_result(json.loads(json.dumps(failed_run(error))), Agent[Any](name="Answerer"), None)
    assert str(error) in str(raised.value)


async def test_an_error_of_an_unknown_class_is_a_runtime_error() -> None:
    with pytest.raises(RuntimeError, match="gone"):
        await restore_result({"error": ["no.such.module", "Error", "gone"]}, Agent[Any](name="Answerer"), None)
