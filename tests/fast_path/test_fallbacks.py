"""What is not plain goes the slow path, and the run hears the same."""

import gzip
import itertools
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from agents import Runner

from chatkit_server.fast_path import fast_connection as connection_module
from chatkit_server.fast_path.fast_body import MAX_HELD, MAX_TRIES, FastBody
from chatkit_server.fast_path.tap import pass_text_on
from chatkit_server.models import Models, open_models
from chatkit_server.settings import Settings
from tests.fast_path.listening import listen
from tests.fast_path.recorded_streams import wire_events
from tests.fast_path.replay import HEAD, ReplayEndpoint, as_response
from tests.support.openai_answers import Answer, Text

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKENS = [f"w{number} " for number in range(30)]
HOT = len(TOKENS) - 1
"""How many events are hot: the first text delta is the template."""
READ_BYTES = 256 * 1024
"""The most that uvloop reads at once."""
Events = list[bytes]


class Place:
    """An endpoint and models of both APIs."""

    def __init__(self, endpoint: ReplayEndpoint, models: dict[str, Models]) -> None:
        self.endpoint = endpoint
        self.models = models

    async def counts(self, writes: list[bytes], api: str = "responses") -> tuple[int, int]:
        """Check that both paths hear the same, and return how many events were hot and slow."""
        self.endpoint.plays = [writes]
        hot, slow = FastBody.total.hot, FastBody.total.slow
        fast = await listen(self.models[api])
        counts = FastBody.total.hot - hot, FastBody.total.slow - slow
        assert fast == await listen(self.models[api], is_fast=False)
        assert FastBody.total.hot - hot == counts[0]
        return counts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    async with ReplayEndpoint() as endpoint:
        options: dict[str, Any] = {"base_url": endpoint.base_url, "model": "m", "model_retries": 0}
        async with (
            open_models(Settings(_env_file=None, api="responses", **options)) as responses,
            open_models(Settings(_env_file=None, api="chat_completions", **options)) as chat,
        ):
            yield Place(endpoint, {"responses": responses, "chat_completions": chat})


def events(api: str = "responses", tokens: list[str] = TOKENS) -> Events:
    return wire_events(Answer(Text("", tokens=tokens)), api)


def each(change: Callable[[bytes, int], bytes]) -> Callable[[Events], Events]:
    """Return what changes each text delta, by its number."""
    numbers = itertools.count()
    is_text = re.compile(rb'output_text\.delta|"content":"w')
    return lambda stream: [change(event, next(numbers)) if is_text.search(event) else event for event in stream]


def with_field(event: bytes, field: bytes) -> bytes:
    return event.replace(b"data: {", b"data: {" + field + b",")


PLAIN: dict[str, Callable[[Events], Events]] = {
    "as it is": lambda stream: stream,
    "without names of events": lambda stream: [re.sub(rb"^event: .*\n", b"", event) for event in stream],
    "with spaces": lambda stream: [event.replace(b'":', b'": ') for event in stream],
    "another moment of creation": each(lambda event, n: event.replace(b'"created":1', b'"created":%d1' % (n + 1))),
    "a field that nobody knows": each(lambda event, n: with_field(event, b'"p":{"x":["y"]}')),
    "a ping before and behind the text": lambda stream: [b": ping\n\n", *stream[:-1], b": ping\n\n", stream[-1]],
}


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize("name", PLAIN)
async def test_plain_text_is_hot(place: Place, api: str, name: str) -> None:
    assert (await place.counts(as_response(PLAIN[name](events(api))), api))[0] == HOT


SLOW: dict[str, Callable[[Events], Events]] = {
    "line ends with carriage returns": lambda stream: [event.replace(b"\n", b"\r\n") for event in stream],
    "two lines of data": lambda stream: [re.sub(rb'"obfuscation"', rb'\ndata: "obfuscation"', e) for e in stream],
    "ids that change": each(lambda event, n: with_field(event, b'"x_id":"%d"' % n)),
    "log probabilities": each(
        lambda event, n: re.sub(rb'"logprobs":(\[\]|null)', b'"logprobs":[{"token":"a","logprob":-1.0}]', event)
    ),
    "comments between": each(lambda event, n: b": ping\n\n" + event),
    "fields of an event": each(lambda event, n: b"id: 7\n" + event),
}


@pytest.mark.parametrize("name", SLOW)
async def test_what_is_not_plain_is_slow(place: Place, name: str) -> None:
    hot, slow = await place.counts(as_response(SLOW[name](events())))
    assert hot == 0
    assert slow >= len(TOKENS) or name.startswith("line ends")


SLOW_CHUNKS: dict[str, Callable[[Events], Events]] = {
    "usage in each": each(lambda event, n: event.replace(b'"usage":null', b'"usage":{"prompt_tokens":%d}' % n)),
    "thoughts beside the text": each(lambda event, n: event.replace(b'"content"', b'"reasoning":"t%d","content"' % n)),
    "another choice": each(lambda event, n: event.replace(b'"index":0', b'"index":1')),
    "text in parts": each(lambda event, n: re.sub(rb'"content":("[^"]*")', rb'"content":[{"text":\1}]', event)),
}


@pytest.mark.parametrize("name", SLOW_CHUNKS)
async def test_chunks_that_are_not_plain_are_slow(place: Place, name: str) -> None:
    assert (await place.counts(as_response(SLOW_CHUNKS[name](events("chat_completions"))), "chat_completions"))[0] == 0


async def test_a_stream_whose_text_never_fits_is_given_up(place: Place) -> None:
    writes = as_response(SLOW["ids that change"](events(tokens=TOKENS * 20)))
    assert (await place.counts([b"".join(writes)]))[0] == 0
    assert MAX_TRIES < len(TOKENS)


@pytest.mark.parametrize("text", [rb"\ud83e", rb"\u0000", b"\xff"])
async def test_text_that_needs_to_be_cleaned_is_slow(place: Place, text: bytes) -> None:
    stream = [event.replace(b"w15 ", text) for event in events()]
    hot, _ = await place.counts(as_response(stream))
    # It and the next one are slow; after half of a character, which is added to the next one, one more.
    assert hot == (HOT - 3 if text == rb"\ud83e" else HOT - 2)


async def test_text_is_hot_again_after_other_events(place: Place) -> None:
    stream = events()
    stream.insert(12, b": ping\n\n")
    assert (await place.counts(as_response(stream)))[0] == HOT - 1


HEADS = {
    "not chunked": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
    "another type": HEAD.replace(b"text/event-stream", b"text/plain"),
    "another status": HEAD.replace(b"200", b"201"),
}


@pytest.mark.parametrize("name", [*HEADS, "compressed"])
async def test_other_responses_have_no_fast_body(place: Place, name: str) -> None:
    place.endpoint.closes = True
    if name == "not chunked":
        writes = [HEADS[name], *events()]
    elif name == "compressed":
        head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        writes = as_response([gzip.compress(b"".join(events()))], head=head)
    else:
        writes = as_response(events(), head=HEADS[name])
    assert await place.counts(writes) == (0, 0)
    place.endpoint.closes = False


async def test_a_head_may_follow_interim_responses_and_come_in_pieces(place: Place) -> None:
    head = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HEAD
    pieces = [bytes([byte]) for byte in head]
    assert (await place.counts([*pieces, *as_response(events())[1:]]))[0] == HOT


async def test_a_chunk_with_an_extension_ends_the_fast_path(place: Place) -> None:
    stream = events()
    writes = as_response(stream)
    writes[20] = writes[20].replace(b"\r\n", b";a=b\r\n", 1)
    hot, _ = await place.counts(writes)
    assert 0 < hot < HOT


async def test_an_event_that_is_too_long_is_not_held(place: Place) -> None:
    long = b": " + b"x" * (3 * MAX_HELD) + b"\n\n"
    stream = events()
    stream.insert(12, long)
    pieces = [piece for event in stream for piece in (event[:40_000], event[40_000:90_001], event[90_001:])]
    assert (await place.counts(as_response(pieces)))[0] == HOT - 1


async def test_a_run_whose_events_are_read_by_others_has_no_fast_body(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.endpoint.plays = [as_response(events())]
    run = Runner.run_streamed

    def read_by_others(*args: Any, **options: Any) -> Any:
        result = run(*args, **options)
        pass_text_on(result.run_loop_task)
        return result

    monkeypatch.setattr(Runner, "run_streamed", read_by_others)
    before = (FastBody.total.hot, FastBody.total.slow)
    heard = await listen(place.models["responses"])
    assert heard.output == "".join(TOKENS)
    assert (FastBody.total.hot, FastBody.total.slow) == before


async def test_a_switch_turns_it_off(place: Place) -> None:
    place.endpoint.plays = [as_response(events())]
    options: dict[str, Any] = {"base_url": place.endpoint.base_url, "model": "m", "api": "responses"}
    before = FastBody.total.slow
    async with open_models(Settings(_env_file=None, fast_path=False, **options)) as models:
        heard = await listen(models)
        assert (heard.output, heard.events) == ("".join(TOKENS), [])  # all events go through the Agents SDK
    assert FastBody.total.slow == before


async def test_without_aiohttps_private_names_all_is_slow(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "PRIVATE_NAMES", ("_gone",))
    place.endpoint.plays = [as_response(events())]
    options: dict[str, Any] = {"base_url": place.endpoint.base_url, "model": "m", "api": "responses"}
    before = FastBody.total.slow
    async with open_models(Settings(_env_file=None, **options)) as models:
        assert (await listen(models)).output == "".join(TOKENS)
    assert FastBody.total.slow == before


async def test_what_waits_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.endpoint.plays = [[b"".join(as_response(events(tokens=["x" * 1000] * 5000)))]]
    held: list[int] = []
    advance = FastBody._advance

    def measured(body: FastBody) -> None:
        held.append(len(body._data) - body._start)
        advance(body)

    monkeypatch.setattr(FastBody, "_advance", measured)
    heard = await listen(place.models["responses"])
    assert heard.output == "x" * 5_000_000
    assert MAX_HELD < max(held) <= MAX_HELD + READ_BYTES
