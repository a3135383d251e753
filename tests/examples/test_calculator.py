"""The tools of the calculator example, called by the real Runner."""

from typing import Any

import pytest
from agents import RunConfig, Runner
from agents.testing import ScriptedModel, assistant_message, function_call

from examples.calculator import agent


async def call(name: str, **arguments: Any) -> str:
    """Return the output of a tool call."""
    model = ScriptedModel([[function_call(name, arguments, call_id="c1")], [assistant_message("done")]])
    result = await Runner.run(agent.clone(model=model), "go", run_config=RunConfig(tracing_disabled=True))
    return str(next(item.output for item in result.new_items if item.type == "tool_call_output_item"))


@pytest.mark.parametrize(
    ("name", "arguments", "output"),
    [
        ("calculate", {"expression": "2*(3+4)"}, "14"),
        ("convert_units", {"value": 1, "from_unit": "h", "to_unit": "min"}, "1 h = 60 min"),
    ],
)
async def test_its_tools_answer(name: str, arguments: dict[str, Any], output: str) -> None:
    assert await call(name, **arguments) == output


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("calculate", {"expression": "2+"}, "Error: '2+' is not an arithmetic expression"),
        ("convert_units", {"value": 1, "from_unit": "km", "to_unit": "kg"}, "Error: km is a unit of length, kg one of"),
    ],
)
async def test_bad_input_gets_an_error_that_the_model_can_act_on(
    name: str, arguments: dict[str, Any], error: str
) -> None:
    assert (await call(name, **arguments)).startswith(error)
