"""The default agent and its tools, called by the real Runner."""

import json
from typing import Any

import pytest
from agents import FunctionTool, RunConfig, Runner
from agents.testing import ScriptedModel, assistant_message, function_call

from chatkit_server import RequestContext
from chatkit_server.agents.default import default_agent


async def call(name: str, context: Any, **arguments: Any) -> str:
    """Return the output of a tool call."""
    model = ScriptedModel([[function_call(name, arguments, call_id="c1")], [assistant_message("done")]])
    agent = default_agent().clone(model=model)
    result = await Runner.run(agent, "go", context=context, run_config=RunConfig(tracing_disabled=True))
    return str(next(item.output for item in result.new_items if item.type == "tool_call_output_item"))


@pytest.mark.parametrize("context", [None, RequestContext(user_id="ada"), {"any": "thing"}])
async def test_current_time_works_with_any_context(context: Any) -> None:
    assert "UTC+00:00" in await call("current_time", context, time_zone="UTC")


async def test_an_unknown_time_zone_gets_an_error_that_the_model_can_act_on() -> None:
    output = await call("current_time", None, time_zone="Paris")
    assert output.startswith("Error: there is no time zone 'Paris'. Similar names: Europe/Paris")


def test_its_tools_describe_every_argument() -> None:
    for tool in default_agent().tools:
        assert isinstance(tool, FunctionTool)
        assert tool.description
        assert tool.strict_json_schema
        for name, schema in tool.params_json_schema["properties"].items():
            assert len(schema["description"]) > 20, f"{tool.name}: {name}"


def test_without_tools_its_instructions_are_short_and_name_none() -> None:
    agent = default_agent(tools=False)
    assert agent.tools == []
    assert len(str(agent.instructions)) < 100
    assert "current_time" not in json.dumps(agent.instructions)


def test_its_instructions_name_each_of_its_tools() -> None:
    agent = default_agent()
    assert all(f"`{tool.name}`" in str(agent.instructions) for tool in agent.tools)
