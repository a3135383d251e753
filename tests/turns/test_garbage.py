"""A turn that has ended leaves nothing to the garbage collector, which would stop all answers while it looks for it."""

import asyncio
import gc
from collections.abc import Iterator
from math import prod

import pytest
from starlette.requests import Request

from chatkit_server import AgentContext, cli
from chatkit_server.run.stream import RunStream
from chatkit_server.turns.live_turn import Reader
from chatkit_server.turns.output import Output
from chatkit_server.turns.turn import Turn
from chatkit_server.turns.turn_log import TurnLog
from tests.turns.conftest import Start

KINDS = (Turn, Output, TurnLog, RunStream, AgentContext, Request, Reader)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing is freed that needs the garbage collector."""
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def garbage() -> set[str]:
    """Return the kinds of what only the garbage collector could free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    return {type(thing).__name__ for thing in gc.garbage if isinstance(thing, KINDS)}


async def test_what_a_turn_needed_is_freed_without_the_collector(start: Start, no_collector: None) -> None:
    chat = await start()
    async with chat.tab() as tab:
        created = await tab.create("Hello")
        await tab.send(created.thread_id, "More")
    await chat.quiet()
    await asyncio.sleep(0.6)  # the turns wait half a second to see whether their readers stay
    assert garbage() == set()


def test_circles_of_the_code_of_agents_are_freed_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that outlive two collections of the young are kept for as many allocations as the thresholds allow."""
    before = gc.get_threshold()
    monkeypatch.setattr(gc, "freeze", lambda: None)
    try:
        cli._tame_garbage_collector()
        assert prod(gc.get_threshold()) <= 10_000_000
    finally:
        gc.set_threshold(*before)
