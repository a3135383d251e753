"""The demo model, run by the real Runner with the default agent."""

import re
import time
from itertools import pairwise
from typing import Any, Literal

import openai
import pytest
from agents import Agent, Runner, function_tool, handoff
from pydantic import BaseModel, Field

from chatkit_server import Settings
from chatkit_server.agents.default import default_agent
from chatkit_server.models import Models, open_models
from examples.calculator import agent as calculator
from tests.models.running import Run, run, run_config


@pytest.fixture
def models() -> Models:
    return open_models(Settings(model="demo", demo_tokens_per_second=100_000))


async def test_it_says_what_it_is_and_how_to_plug_in_a_real_one(models: Models) -> None:
    result = await run(models, "Hello\nthere", default_agent())
    for words in ("demo model", "> Hello\n> there", "OPENAI_API_KEY", "CHATKIT_BASE_URL", "`current_time`"):
        assert words in result.output
    assert result.text == result.output


async def test_the_events_have_the_shape_of_the_responses_api(models: Models) -> None:
    result = await run(models, "hello")
    assert result.types == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in result.events] == list(range(len(result.events)))
    last = result.events[-1]
    assert last.type == "response.completed"
    assert last.response.usage
    assert result.tokens == last.response.usage.total_tokens > 100


async def test_the_same_message_gets_the_same_answer_with_new_ids(models: Models) -> None:
    first, second = await run(models, "hello"), await run(models, "hello")
    assert first.output == second.output
    assert not _ids(first) & _ids(second)


def _ids(result: Run) -> set[str]:
    return {event.item.id or "" for event in result.events if event.type == "response.output_item.done"}


@pytest.mark.parametrize(
    ("message", "tool", "answer"),
    [
        ("What time is it in Europe/Paris?", "current_time", "in Europe/Paris (UTC+0"),
        ("time", "current_time", "in UTC (UTC+00:00)"),
        ('call current_time {"time_zone": "Asia/Tokyo"}', "current_time", "in Asia/Tokyo (UTC+09:00)"),
    ],
)
async def test_it_calls_the_default_agents_tools(models: Models, message: str, tool: str, answer: str) -> None:
    result = await run(models, message, default_agent())
    assert f"The tool `{tool}` answered: " in result.output
    assert answer in result.output
    assert "response.function_call_arguments.delta" in result.types
    assert result.types.count("response.completed") == 2


async def test_it_calls_any_tool_of_the_users_agent_by_name(models: Models) -> None:
    @function_tool
    def shout(text: str) -> str:
        """In capitals."""
        return text.upper()

    result = await run(models, 'Call shout {"text": "hi"}', Agent(name="Test", tools=[shout]))
    assert "The tool `shout` answered: HI" in result.output


async def test_a_tool_that_the_agent_does_not_have_is_named(models: Models) -> None:
    result = await run(models, "What time is it?")
    assert "no such tool" in result.output
    assert "`current_time`" in result.output


@function_tool
def refund(number: int) -> str:
    """Refunds an order."""
    return f"refunded {number}"


def desk() -> Agent[Any]:
    """Return an agent whose handoffs lead to `refund`, by two agents."""
    billing = Agent(name="Billing", tools=[refund])
    office = Agent(name="Office", handoffs=[handoff(billing)])
    return Agent(name="Desk", handoffs=[Agent(name="Other"), office], tools=[calculator.tools[0]])


@pytest.mark.parametrize(
    ("message", "agent", "tools"),
    [
        ("call transfer_to_other", "Other", ["transfer_to_other"]),
        ('call refund {"number": 17}', "Billing", ["transfer_to_office", "transfer_to_billing", "refund"]),
        ("call transfer_to_billing {}", "Billing", ["transfer_to_office", "transfer_to_billing"]),
        (
            'call calculate {"expression": "2 * 3"}, then call refund {"number": 2} and call refund {"number": 3}',
            "Billing",
            ["calculate", "transfer_to_office", "transfer_to_billing", "refund", "refund"],
        ),
    ],
)
async def test_it_hands_off_and_reaches_tools_behind_handoffs(
    models: Models, message: str, agent: str, tools: list[str]
) -> None:
    result = Runner.run_streamed(desk(), message, run_config=run_config(models))
    async for _ in result.stream_events():
        pass
    calls = re.findall(r"The tool `(\w+)` answered", str(result.final_output))
    assert (result.last_agent.name, calls) == (agent, tools)
    if tools[-1] == "refund":
        assert "refunded " in str(result.final_output)


async def test_a_call_of_nothing_names_the_tools_behind_handoffs(models: Models) -> None:
    result = await run(models, "call nothing {", desk())
    assert "has no such tool (tools: `calculate`, `refund`, `transfer_to_billing`, " in result.output


async def test_it_shows_markdown_and_a_long_answer(models: Models) -> None:
    assert "| Apple " in (await run(models, "show me markdown")).output
    assert len((await run(models, "a long one please")).output.split()) > 500


async def test_it_shows_a_reasoning_block_before_the_answer(models: Models) -> None:
    result = await run(models, "think about it")
    types = result.types
    assert types.index("response.reasoning_summary_text.delta") < types.index("response.output_text.delta")
    items = [event.item.type for event in result.events if event.type == "response.output_item.done"]
    assert items == ["reasoning", "message"]


@pytest.mark.parametrize("message", ["hello", "markdown", "think", "long", "call nothing", "time"])
async def test_no_line_breaks_in_the_middle_of_a_sentence(models: Models, message: str) -> None:
    """The widget shows a single newline as a line break."""
    output = re.sub(r"```.*?```", "", (await run(models, message)).output, flags=re.DOTALL)
    lines = output.split("\n")
    pairs = [pair for pair in pairwise(lines) if all(pair)]
    assert [pair for pair in pairs if not re.match(r"\s*(- |\d+\. |\|)", pair[1])] == []


async def test_an_error_breaks_off_the_answer(models: Models) -> None:
    partial = Run()
    with pytest.raises(openai.APIError, match="because the message asked for an error"):
        await run(models, "error please", into=partial)
    assert partial.text.startswith("I am the demo model. As requested")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
async def test_an_error_with_a_code_comes_before_the_answer(
    models: Models, status: int, error: type[openai.APIStatusError]
) -> None:
    partial = Run()
    with pytest.raises(error) as caught:
        await run(models, f"error {status}", into=partial)
    assert caught.value.status_code == status
    assert partial.text == ""


@pytest.mark.parametrize(
    "message",
    [
        [{"role": "user", "content": "old"}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "new"}],
        [{"role": "user", "content": [{"type": "input_text", "text": "new"}, {"type": "input_image"}]}],
    ],
)
async def test_it_answers_the_last_message(models: Models, message: Any) -> None:
    output = (await run(models, message)).output
    assert "> new\n" in output
    assert ("You attached a file" in output) == ("input_image" in str(message))


async def test_it_gives_the_same_answer_without_streaming(models: Models) -> None:
    message = 'call calculate {"expression": "6*7"}'
    result = await Runner.run(calculator, message, run_config=run_config(models))
    assert result.final_output == (await run(models, message, calculator)).output
    assert result.context_wrapper.usage.requests == 2


class Item(BaseModel):
    """A field of the answer below, which contains itself."""

    name: str
    next: "Item | None"


class Triage(BaseModel):
    """A structured answer with all kinds of fields."""

    category: Literal["orders", "order returns", "other"]
    kind: Literal["triage"]
    question: str
    count: int = Field(ge=2)
    is_complete: bool
    note: str | None
    first: Item
    items: list[Item]
    pair: list[int] = Field(min_length=2)
    number_or_text: int | str


async def test_structured_output_is_a_value_of_its_schema(models: Models) -> None:
    agent = Agent(name="Triage", output_type=Triage)
    choices: dict[str, Literal["orders", "order returns"]] = {"Hello": "orders", "My order (returns)": "order returns"}
    for message, category in choices.items():
        output = (await Runner.run(agent, message, run_config=run_config(models))).final_output
        assert output == Triage(
            category=category,
            kind="triage",
            question=message,
            count=2,
            is_complete=True,
            note=None,
            first=Item(name=message, next=None),
            items=[],
            pair=[0, 0],
            number_or_text=0,
        )


async def test_it_streams_at_the_configured_rate() -> None:
    models = open_models(Settings(model="demo", demo_tokens_per_second=400))
    start = time.monotonic()
    result = await run(models, "hello")
    deltas = sum(event.type == "response.output_text.delta" for event in result.events)
    assert deltas / 400 * 0.9 <= time.monotonic() - start
