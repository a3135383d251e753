"""A tapped model: the listener gets every event in order, the Agents SDK only those it needs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import Agent, RunContextWrapper, Runner, function_tool
from agents.stream_events import RawResponsesStreamEvent
from openai.types.responses import ResponseTextDeltaEvent

from chatkit_server.fast_path.tap import EVENTS_PER_TURN, open_tap, tapped
from chatkit_server.models import Models, open_models
from chatkit_server.settings import Settings
from tests.models.running import run_config
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer


@pytest.fixture(params=["responses", "chat_completions"])
async def models(request: pytest.FixtureRequest) -> AsyncIterator[tuple[OpenAIServer, Models]]:
    async with OpenAIServer() as upstream:
        settings = Settings(base_url=upstream.base_url, model="gpt-test", api=request.param, model_retries=0)
        async with open_models(settings) as models:
            yield upstream, models


async def test_the_listener_gets_every_event_once_and_the_run_succeeds(models: tuple[OpenAIServer, Models]) -> None:
    upstream, opened = models
    upstream.script(Answer("one two three"))
    result = Runner.run_streamed(Agent(name="A"), "hi", run_config=run_config(opened))
    heard: list[Any] = []
    tap = open_tap(result.run_loop_task, heard.append)
    raw = [event.data async for event in result.stream_events() if isinstance(event, RawResponsesStreamEvent)]
    assert "".join(event.delta for event in heard if isinstance(event, ResponseTextDeltaEvent)) == "one two three"
    assert not any(isinstance(event, ResponseTextDeltaEvent) for event in raw)
    # By identity: the SDK passes on the same objects that the tap saw, so no event is shown twice.
    assert [id(event) for event in raw] == [id(e) for e in heard if not isinstance(e, ResponseTextDeltaEvent)]
    assert all(tap.was_heard(event) for event in raw)
    assert not any(tap.was_heard(event) for event in raw)
    assert result.final_output == "one two three"


async def test_without_a_tap_the_run_gets_everything(models: tuple[OpenAIServer, Models]) -> None:
    upstream, opened = models
    upstream.script(Answer("one two three"))
    result = Runner.run_streamed(Agent(name="A"), "hi", run_config=run_config(opened))
    raw = [event.data async for event in result.stream_events() if isinstance(event, RawResponsesStreamEvent)]
    assert "".join(event.delta for event in raw if isinstance(event, ResponseTextDeltaEvent)) == "one two three"


async def test_a_run_does_not_hear_a_run_inside_its_tool(models: tuple[OpenAIServer, Models]) -> None:
    upstream, opened = models
    inner = Agent(name="Inner")

    @function_tool
    async def ask(context: RunContextWrapper[Any]) -> str:
        """Ask the inner agent."""
        result = Runner.run_streamed(inner, "inner question", run_config=run_config(opened))
        async for _ in result.stream_events():
            pass
        return str(result.final_output)

    upstream.script(Answer(tool_calls=[ToolCall("ask", "{}")]), Answer("inner words"), Answer("outer words"))
    result = Runner.run_streamed(Agent(name="Outer", tools=[ask]), "hi", run_config=run_config(opened))
    heard: list[Any] = []
    open_tap(result.run_loop_task, heard.append)
    async for _ in result.stream_events():
        pass
    assert "".join(event.delta for event in heard if isinstance(event, ResponseTextDeltaEvent)) == "outer words"
    assert result.final_output == "outer words"


async def test_the_event_loop_gets_its_turn_while_a_model_yields_without_a_pause() -> None:
    turns = 0
    loop = asyncio.get_running_loop()

    def count() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(count)

    async def events() -> AsyncIterator[Any]:
        for _ in range(10 * EVENTS_PER_TURN):
            yield object()

    loop.call_soon(count)
    async for _ in tapped(events()):
        pass
    assert turns >= 10


async def test_closing_a_tapped_stream_closes_the_models_stream() -> None:
    closed = asyncio.Event()

    async def events() -> AsyncIterator[Any]:
        try:
            while True:
                yield object()
        finally:
            closed.set()

    stream = tapped(events())
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert closed.is_set()
