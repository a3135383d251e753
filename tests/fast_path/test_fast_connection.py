"""The fast path on real connections: what it needs of aiohttp, time limits, reuse, a stop, TLS."""

import asyncio
import gc
import ssl
import weakref
from collections.abc import AsyncIterator
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agents import Agent, Runner
from aiohttp.client_proto import ResponseHandler

from chatkit_server.fast_path.fast_body import FastBody
from chatkit_server.fast_path.fast_connection import (
    PRIVATE_NAMES,
    FastConnection,
    has_private_names,
    use_fast_connections,
)
from chatkit_server.fast_path.tap import close_tap, open_tap
from chatkit_server.models import Models, open_models
from chatkit_server.models.client.openai_client import EndpointClient, ModelHttpClient
from chatkit_server.models.endpoint import EndpointProvider
from chatkit_server.settings import Settings
from tests.fast_path.listening import Heard, listen
from tests.fast_path.recorded_streams import wire_events
from tests.fast_path.replay import ReplayEndpoint, as_response
from tests.models.running import run_config
from tests.store.tls import local_certificate
from tests.support.openai_answers import Answer, Text

TOKENS = [f"w{number} " for number in range(20)]
WRITES = as_response(wire_events(Answer(Text("", tokens=TOKENS)), "responses"))
TRIES = 10
"""On a busy machine, a connection may be closed since its response has not quite ended: one of these keeps its own."""
PAUSE = b""
"""The endpoint waits here for `ReplayEndpoint.pause`."""


@pytest.fixture
async def endpoint() -> AsyncIterator[ReplayEndpoint]:
    async with ReplayEndpoint() as endpoint:
        endpoint.plays = [WRITES]
        yield endpoint


def models_of(endpoint: ReplayEndpoint, **options: Any) -> Models:
    values: dict[str, Any] = {"base_url": endpoint.base_url, "model": "m", "api": "responses", "model_retries": 0}
    return open_models(Settings(_env_file=None, **values | options))


async def test_aiohttp_has_what_the_fast_path_needs() -> None:
    async with aiohttp.ClientSession() as session:
        factory: Any = session.connector._factory  # type: ignore[union-attr]
        assert isinstance(factory, partial)
        assert (factory.func, factory.args, set(factory.keywords)) == (ResponseHandler, (), {"loop"})
        protocol = factory()
        missing = [name for name in PRIVATE_NAMES if not hasattr(protocol, name)]
        assert missing == []
        assert use_fast_connections(session, 64)
        assert isinstance(session.connector._factory(), FastConnection)  # type: ignore[union-attr]
    assert not has_private_names(object())


async def test_an_unknown_connector_stays_as_it_is() -> None:
    async with aiohttp.ClientSession() as session:
        connector: Any = session.connector
        connector._factory = lambda: ResponseHandler(asyncio.get_running_loop())
        assert not use_fast_connections(session, 64)
        assert type(connector._factory()) is ResponseHandler


async def test_the_openai_clients_transport_opens_such_sessions() -> None:
    async with ModelHttpClient(merged_tokens=64, proxy="http://127.0.0.1:9") as client:
        for transport in (client._transport, *client._mounts.values()):
            session = transport.get_client()  # type: ignore[union-attr]
            assert isinstance(session.connector._factory(), FastConnection)
            await session.close()


async def test_a_connection_is_used_again(endpoint: ReplayEndpoint) -> None:
    for _ in range(TRIES):
        hot, before = FastBody.total.hot, endpoint.connections
        async with models_of(endpoint) as models:
            for _ in range(3):
                assert (await listen(models)).output == "".join(TOKENS)
        assert FastBody.total.hot - hot == 3 * (len(TOKENS) - 1)
        if endpoint.connections - before == 1:
            break
    assert endpoint.connections - before == 1


async def test_a_connection_is_used_again_after_all_came_at_once(endpoint: ReplayEndpoint) -> None:
    endpoint.plays = [[b"".join(WRITES)]]
    for _ in range(TRIES):
        before = endpoint.connections
        async with models_of(endpoint) as models:
            for _ in range(3):
                assert (await listen(models)).output == "".join(TOKENS)
        if endpoint.connections - before == 1:
            break
    assert endpoint.connections - before == 1


async def test_a_hot_stream_that_goes_silent_fails(endpoint: ReplayEndpoint) -> None:
    endpoint.plays = [[*WRITES[:-5], PAUSE]]
    async with models_of(endpoint, model_timeout=0.2) as models:
        heard = await asyncio.wait_for(listen(models), 30)
    assert heard.error == "APITimeoutError"
    assert heard.events[-1][1].startswith("w0 w1 ")


async def test_bytes_of_a_hot_stream_restart_its_time_limit(
    endpoint: ReplayEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, started, checked = 0.3, [], asyncio.Event()
    restart, check = ResponseHandler._reschedule_timeout, FastConnection._on_read_timeout

    def restarted(protocol: ResponseHandler) -> None:
        started.append(protocol)
        restart(protocol)

    def check_and_tell(connection: FastConnection) -> None:
        check(connection)
        checked.set()

    monkeypatch.setattr(ResponseHandler, "_reschedule_timeout", restarted)
    monkeypatch.setattr(FastConnection, "_on_read_timeout", check_and_tell)
    pauses = [each for write in WRITES for each in (write, PAUSE)]
    endpoint.plays = [pauses]

    async def speak_until_checked() -> None:
        while not checked.is_set():
            endpoint.pause.set()
            await asyncio.sleep(0)
            endpoint.pause.clear()
            await asyncio.sleep(limit / 10)
        endpoint.pause.set()

    async with models_of(endpoint, model_timeout=limit) as models:
        speaking = asyncio.create_task(speak_until_checked())
        heard = await asyncio.wait_for(listen(models), 30)
        await speaking
    assert heard.output == "".join(TOKENS)
    assert len(started) < len(TOKENS)  # not once per read


async def test_a_stop_closes_the_connection(endpoint: ReplayEndpoint) -> None:
    endpoint.plays = [[*WRITES[:15], PAUSE]]
    async with models_of(endpoint) as models:
        heard = Heard()
        spoken = asyncio.Event()

        def hear_text(event: Any, text: str, tokens: int) -> None:
            heard.hear_text(event, text, tokens)
            spoken.set()

        result = Runner.run_streamed(Agent(name="A"), "hi", run_config=run_config(models))
        open_tap(result.run_loop_task, heard.hear, hear_text)
        reading = asyncio.create_task(_read(result))
        await asyncio.wait_for(spoken.wait(), 30)
        result.cancel()
        await reading
        close_tap(result.run_loop_task)
        endpoint.pause.set()
        await asyncio.wait_for(endpoint.closed.wait(), 30)


_turn: ContextVar[object] = ContextVar("turn")


async def test_a_connection_keeps_nothing_of_the_turn_that_opened_it(endpoint: ReplayEndpoint) -> None:
    class Turn:
        pass

    async def answer(models: Models) -> "weakref.ref[Turn]":
        turn = Turn()
        _turn.set(turn)
        await listen(models)
        return weakref.ref(turn)

    for _ in range(TRIES):
        before = endpoint.connections
        async with models_of(endpoint) as models:
            turn = await asyncio.create_task(answer(models))
            async with asyncio.timeout(30):
                while turn() is not None:
                    gc.collect()
                    await asyncio.sleep(0.01)
            assert (await listen(models)).output == "".join(TOKENS)
        if endpoint.connections - before == 1:
            break
    assert endpoint.connections - before == 1


async def test_tls_changes_nothing(tmp_path: Path) -> None:
    context, certificate = local_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=certificate)
    async with ReplayEndpoint(context) as endpoint, models_of(endpoint) as models:
        http = ModelHttpClient(merged_tokens=64, verify=trust)
        options: dict[str, Any] = {"base_url": endpoint.base_url, "api_key": "k", "max_retries": 0}
        async with EndpointClient(deadline=9.0, http_client=http, **options) as client:
            models.provider = EndpointProvider(client, name="m", api="responses")
            hot = FastBody.total.hot
            for writes in (WRITES, [b"".join(WRITES)]):
                endpoint.plays = [writes]
                assert (await listen(models)).output == "".join(TOKENS)
            assert FastBody.total.hot - hot == 2 * (len(TOKENS) - 1)
        assert endpoint.connections == 1


async def _read(result: Any) -> None:
    async for _ in result.stream_events():
        pass
