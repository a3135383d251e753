"""Few turns are set up at once, and those that wait for something else keep nobody waiting."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import StreamOptions, ThreadMetadata, ThreadsCreateReq, ThreadStreamEvent, UserMessageItem
from pydantic import TypeAdapter

from chatkit_server import ChatServer, RequestContext
from chatkit_server.errors.http import InvalidParams, ServerStopping
from chatkit_server.limits import starts
from chatkit_server.limits.starts import PLACES, Starts
from chatkit_server.models.usage import turn_usage
from chatkit_server.turns.accept import Accepted, accept
from chatkit_store import Owner
from tests.serving import Served, serve
from tests.support.chatkit import user_input
from tests.support.openai_server import OpenAIServer

ALICE, BOB = Owner("", "alice"), Owner("", "bob")
CROWD = 24
BOUND = 60.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No turn loses its place because this machine is slow."""
    monkeypatch.setattr(starts, "TICK_SECONDS", 600.0)


async def turned() -> None:
    """Let everything happen that needs no time."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_users_get_places_in_turn_and_each_user_in_order(patient: None) -> None:
    gate, order = Starts(1), list[str]()
    first = await gate.enter(ALICE)

    async def start(name: str, owner: Owner) -> None:
        with await gate.enter(owner):
            order.append(name)

    waiting = [asyncio.create_task(start(name, owner)) for name, owner in (("a1", ALICE), ("a2", ALICE), ("b1", BOB))]
    await turned()
    assert order == []
    first.release()
    await asyncio.gather(*waiting)
    assert order == ["a1", "b1", "a2"]


async def test_who_waits_for_something_else_loses_the_place_while_the_loop_has_time() -> None:
    gate = Starts(2)
    held = [await gate.enter(ALICE) for _ in range(2)]
    async with asyncio.timeout(BOUND):
        places = [await gate.enter(BOB) for _ in range(6)]
    for place in [*held, *places]:
        place.hand_over().release()  # what they lost is not given twice
    assert not gate._queue.is_full
    assert gate._queue._used.total() == 0
    assert not gate._held


async def test_a_server_that_stops_ends_the_wait(patient: None) -> None:
    gate = Starts(1)
    place = await gate.enter(ALICE)
    refused = asyncio.create_task(gate.enter(BOB))
    await turned()
    gate.close()
    with pytest.raises(ServerStopping):
        await refused
    with pytest.raises(ServerStopping):
        await gate.enter(ALICE)
    place.release()


class Counted(ChatServer):
    """Counts the turns between their acceptance and their first request to the model."""

    in_set_up: set[str]
    most = 0
    per_round: list[int]

    async def load_stream_options(self, thread: ThreadMetadata, context: RequestContext) -> StreamOptions:
        self.in_set_up.add(thread.id)
        self.per_round[-1] += 1
        self.most = max(self.most, len(self.in_set_up))
        return await super().load_stream_options(thread, context)

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        usage = turn_usage.get()
        assert usage is not None
        assert usage.on_request is not None
        usage.on_request = partial(self._leave, thread.id, usage.on_request)
        async for event in super().respond(thread, input_user_message, context):
            yield event

    def _leave(self, thread_id: str, release: Callable[[], Any]) -> None:
        self.in_set_up.discard(thread_id)
        release()


REQUEST: TypeAdapter[ThreadsCreateReq] = TypeAdapter(ThreadsCreateReq)


async def start(served: Served, number: int, accepting: Any = accept) -> None:
    """Start a turn of a user of its own and wait for its end."""
    request = REQUEST.validate_python({"type": "threads.create", "params": {"input": user_input("Hello")}})
    context = RequestContext(user_id=f"user {number}")
    services = served.services
    turn = await services.turns.start(lambda: accepting(request, services.server, context), None, context)
    await turn.ended()


def rounds(counts: list[int]) -> Callable[[], None]:
    """Begin a new count in each round of the event loop, until the returned function is called."""
    loop, is_over = asyncio.get_running_loop(), False

    def begin() -> None:
        counts.append(0)
        if not is_over:
            loop.call_soon(begin)

    def end() -> None:
        nonlocal is_over
        is_over = True

    begin()
    return end


async def test_a_crowd_is_set_up_a_few_at_a_time_and_the_loop_turns_in_between(tmp_path: Path, patient: None) -> None:
    async with OpenAIServer() as upstream:
        address: dict[str, Any] = {"model": "gpt-test", "base_url": upstream.base_url, "api": "responses"}
        async with serve(tmp_path, server=Counted, **address) as served:
            server = served.services.server
            assert isinstance(server, Counted)
            server.in_set_up, server.per_round = set(), []
            end = rounds(server.per_round)
            async with asyncio.timeout(BOUND):
                await asyncio.gather(*(start(served, number) for number in range(CROWD)))
            end()
            assert server.most == PLACES
            assert max(server.per_round) <= PLACES
            assert sum(server.per_round) == CROWD
            assert not server.in_set_up
            assert not served.services.turns._starts._held


async def test_turns_that_fail_or_ask_no_model_give_their_place_back(tmp_path: Path, patient: None) -> None:
    async def refuse(*_: object) -> Accepted:
        raise InvalidParams("no")

    async with serve(tmp_path) as served:  # the demo model sends no requests
        async with asyncio.timeout(BOUND):
            results = await asyncio.gather(
                *(start(served, number, refuse) for number in range(2 * PLACES)), return_exceptions=True
            )
            assert {type(result) for result in results} == {InvalidParams}
            await asyncio.gather(*(start(served, number) for number in range(2 * PLACES)))
        assert not served.services.turns._starts._held
