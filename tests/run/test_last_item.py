"""The end of an answer's last item waits for the end of its run, but not for long, and for nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from agents import Agent
from chatkit.types import (
    ThreadItemDoneEvent,
    ThreadStreamEvent,
)

from chatkit_server import stream_agent_response
from chatkit_server.events.last_item import LastItemDoneEvent
from chatkit_server.models import Models, open_models
from chatkit_server.models.client.wire_items import FittedItems
from chatkit_server.run import held_item
from chatkit_server.run.direct_run import start_run
from chatkit_server.run.held_item import HeldItem
from chatkit_server.settings import Settings
from chatkit_store import plain_text
from tests.fast_path.recorded_streams import wire_events
from tests.fast_path.replay import END, HEAD, ReplayEndpoint, chunk
from tests.run.test_direct_run import a_context, an_agent, run_config
from tests.support.openai_answers import Answer, Reasoning, Text, ToolCall

PAUSE = b""
"""The endpoint waits here for `ReplayEndpoint.pause`."""
APIS = ("responses", "chat_completions")
LAST, DONE = LastItemDoneEvent, ThreadItemDoneEvent


@pytest.fixture(params=APIS)
async def models(request: pytest.FixtureRequest) -> AsyncIterator[tuple[ReplayEndpoint, Models, str]]:
    async with ReplayEndpoint() as endpoint:
        settings = Settings(base_url=endpoint.base_url, model="m", api=request.param, model_retries=0)
        async with open_models(settings) as models:
            yield endpoint, models, request.param


def started(models: Models, *, ends_turn: bool = True, agent: Agent[Any] | None = None) -> Any:
    context = a_context()
    items = FittedItems([{"role": "user", "content": "Hi"}], are_messages=True)
    result = start_run(agent or an_agent(), items, context, run_config(models), max_turns=5)
    return stream_agent_response(context, result, sink=lambda *text: None, ends_turn=lambda: ends_turn)


async def ends(events: Any) -> list[type[ThreadStreamEvent]]:
    """Return the types of the events that say that an item is done."""
    async with aclosing(events):
        return [type(event) async for event in events if isinstance(event, ThreadItemDoneEvent)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer("Hello."), [LAST]),
        (Answer("Hello.", reasoning=Reasoning(["Hm"])), [DONE, LAST]),
        (Answer(output=[Text("One."), Text("Two.")]), [DONE, DONE]),
        (Answer("Hel", incomplete="max_output_tokens"), [DONE]),  # a notice follows
    ],
    ids=["text", "thoughts", "two messages", "a cut"],
)
async def test_only_an_item_that_nothing_follows_is_the_last(
    models: tuple[ReplayEndpoint, Models, str], answer: Answer, expected: list[type]
) -> None:
    endpoint, own, api = models
    events = wire_events(answer, api)
    endpoint.plays = [[HEAD, chunk(b"".join(events)), END]]
    is_joined = api == "chat_completions" and len(answer.output) == 2  # it has one message
    assert await ends(started(own)) == ([LAST] if is_joined else expected)
    assert LAST not in await ends(started(own, ends_turn=False))


async def test_a_call_after_the_message_is_not_kept_waiting(models: tuple[ReplayEndpoint, Models, str]) -> None:
    endpoint, own, api = models
    call = wire_events(Answer(Text("I count."), tool_calls=[ToolCall("double", {"number": 2})]), api)
    endpoint.plays = [
        [HEAD, chunk(b"".join(call)), END],
        [HEAD, chunk(b"".join(wire_events(Answer("Four."), api))), END],
    ]
    assert LAST not in await ends(started(own))  # only the Runner knows when its run ends


@pytest.mark.parametrize("behind", ["completed", "done"])
async def test_the_end_of_the_item_does_not_wait_for_that_of_the_body(
    models: tuple[ReplayEndpoint, Models, str], behind: str
) -> None:
    endpoint, own, api = models
    if api == "chat_completions":
        pytest.skip("a mark in the stream is its end")
    events = wire_events(Answer("Hello."), api)
    count = len(events) if behind == "completed" else len(events) - 1
    endpoint.plays = [[HEAD, chunk(b"".join(events[:count])), PAUSE, chunk(b"".join(events[count:]) or b"\n"), END]]
    seen: list[type] = []
    run = started(own)
    async with aclosing(run), asyncio.timeout(20):
        async for event in run:
            if isinstance(event, ThreadItemDoneEvent):
                seen.append(type(event))
                assert not endpoint.pause.is_set()
                endpoint.pause.set()
    assert seen == [DONE]


@pytest.mark.parametrize("has_deltas", [True, False])
async def test_a_stop_while_the_end_of_the_item_waits_keeps_the_whole_item(
    models: tuple[ReplayEndpoint, Models, str], has_deltas: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, own, api = models
    if api == "chat_completions":
        pytest.skip("a mark in the stream is its end")
    held = asyncio.Event()
    hold = HeldItem.hold

    def note_hold(self: HeldItem, events: list[ThreadStreamEvent]) -> None:
        hold(self, events)
        held.set()

    monkeypatch.setattr(HeldItem, "hold", note_hold)
    monkeypatch.setattr(held_item, "HOLD_SECONDS", 60.0)
    events = [event for event in wire_events(Answer("Hello."), api) if has_deltas or b"output_text.delta" not in event]
    endpoint.plays = [[HEAD, chunk(b"".join(events)), PAUSE, END]]
    seen: list[ThreadStreamEvent] = []

    async def read() -> None:
        run = started(own)
        async with aclosing(run):
            async for event in run:
                seen.append(event)

    async with asyncio.timeout(20):
        reading = asyncio.create_task(read())
        await held.wait()
        reading.cancel()
        await asyncio.wait([reading])
    assert reading.cancelled()
    done = [event.item for event in seen if isinstance(event, ThreadItemDoneEvent)]
    assert [plain_text(item) for item in done] == ["Hello."]
