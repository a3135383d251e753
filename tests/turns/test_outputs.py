"""Outputs that no text event announces: of tools that end the run, of agents with an output type, of odd endpoints."""

from dataclasses import dataclass
from typing import Any

import pytest
from agents import Agent, RunContextWrapper, StopAtTools, ToolsToFinalOutputResult, function_tool
from pydantic import BaseModel

from chatkit_server import AgentContext, ChatServer
from chatkit_server.conversion.readable import readable
from tests.stage import CARD
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import model_input
from tests.turns.conftest import Start

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])


class Weather(BaseModel):
    city: str
    degrees: int
    tags: list[str]


@dataclass
class Step:
    title: str
    is_done: bool


WEATHER = '{"city":"Rome","degrees":21,"tags":["dry","hot"]}'
SHOWN = "- **City:** Rome\n- **Degrees:** 21\n- **Tags:** dry, hot"


@function_tool
def forecast(city: str) -> str:
    """The forecast."""
    return f"It is sunny in {city}."


@function_tool
def data(city: str) -> dict[str, Any]:
    """The data."""
    return {"city": city, "degrees": 21, "tags": ["dry", "hot"]}


@function_tool
def nothing(city: str) -> None:
    """Nothing."""


@function_tool
async def show(context: RunContextWrapper[AgentContext], city: str) -> str:
    """Shows a widget."""
    await context.context.stream_widget(CARD)
    return "only for the model"


def finally_say(context: Any, results: Any) -> ToolsToFinalOutputResult:
    return ToolsToFinalOutputResult(is_final_output=True, final_output=f"Finally: {results[0].output}")


@both_apis
@pytest.mark.parametrize("behavior", ["stop_on_first_tool", StopAtTools(stop_at_tool_names=["forecast"]), finally_say])
async def test_the_output_of_a_tool_that_ends_the_run_is_the_answer(start: Start, behavior: Any) -> None:
    chat = await start(Agent(name="test", tools=[forecast], tool_use_behavior=behavior))
    text = f"{'Finally: ' if behavior is finally_say else ''}It is sunny in Rome."
    chat.upstream.script(Answer("I look.", tool_calls=[ToolCall("forecast", {"city": "Rome"})]), Answer("Next."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Weather?")
        assert reply.error is None
        assert reply.picture.texts()[1:] == [("assistant", "I look."), ("assistant", text)]
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items
        await tab.send(reply.thread_id, "And?")
    assert ("assistant", text) in model_input(chat.upstream.requests[-1])


@pytest.mark.parametrize(
    ("tool", "texts"), [(data, [("assistant", SHOWN)]), (nothing, []), (show, [])], ids=["data", "nothing", "widget"]
)
async def test_a_final_output_that_is_no_text_is_readable_or_left_out(start: Start, tool: Any, texts: Any) -> None:
    chat = await start(Agent(name="test", tools=[tool], tool_use_behavior="stop_on_first_tool"))
    chat.upstream.script(Answer(tool_calls=[ToolCall(tool.name, {"city": "Rome"})]))
    async with await chat.visitor() as tab:
        reply = await tab.create("Weather?")
        assert reply.error is None
        assert reply.picture.texts()[1:] == texts


@both_apis
async def test_a_typed_output_is_readable_and_stays_json_for_the_model(start: Start) -> None:
    chat = await start(Agent(name="test", output_type=Weather))
    chat.upstream.script(Answer(WEATHER), Answer(WEATHER))
    async with await chat.visitor() as tab:
        reply = await tab.create("Weather?")
        assert reply.picture.texts()[1:] == [("assistant", SHOWN)]
        assert '\\"city\\"' not in str(reply.events)
        assert '{"city"' not in str(reply.events)
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items
        assert (await tab.send(reply.thread_id, "And now?")).error is None
    assert model_input(chat.upstream.requests[-1])[1] == ("assistant", WEATHER)


async def test_a_server_may_render_outputs_itself(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    class Terse(ChatServer):
        def output_text(self, output: Any) -> str:
            return f"{output.degrees // (output.degrees - 20)} °C in {output.city}"

    chat = await start(Agent(name="test", output_type=Weather), Terse)
    chat.upstream.script(Answer(WEATHER), Answer(WEATHER.replace("21", "20")))
    async with await chat.visitor() as tab:
        assert (await tab.create("Weather?")).text == "21 °C in Rome"
        assert (await tab.create("Weather?")).text == SHOWN.replace("21", "20")
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("words", "words"),
        ({"answer": "Only words."}, "Only words."),
        (["a", "b"], "- a\n- b"),
        (
            [Step("Cook", True), Step("Eat", False)],
            "- **Title:** Cook\n    - **Is done:** yes\n- **Title:** Eat\n    - **Is done:** no",
        ),
        ({"n": 1.5, "none": None, "empty": []}, "- **N:** 1.5\n- **None:** –\n- **Empty:** –"),
        ({"a": {"b": ["c"], "d": 1}}, "- **A:**\n    - **B:** c\n    - **D:** 1"),
        ([], ""),
        (7, "7"),
    ],
)
def test_data_is_readable(value: Any, text: str, database_url: str) -> None:
    assert readable(value) == text
