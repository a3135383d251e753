"""The event decoder gives what openai's own gives, for every way in which a stream can be cut into chunks."""

import importlib
import sys
from collections.abc import AsyncIterator

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from chatkit_server.models import fast
from chatkit_server.models.fast.events import FastEventsClient
from chatkit_server.models.fast.sse import FastDecoder, FastEvent

Seen = list[tuple[str | None, str, str | None, int | None]]

STREAMS = {
    "responses": b'event: response.created\ndata: {"a":1}\n\nevent: x\ndata: {"b":"\xc3\xa9"}\n\n',
    "chat": b'data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n',
    "comments": b': ping\n\ndata: {"a":1}\n\n: ping\n\n',
    "several data lines": b'data: {"a":\ndata: 1}\n\n',
    "ids and retry": b'id: 7\nretry: 5\ndata: {"a":1}\n\nevent: y\nid: 8\ndata: {}\n\n',
    "no space after the colon": b'event:z\ndata:{"a":1}\n\n',
    "carriage returns": b'event: x\r\ndata: {"a":1}\r\n\r\ndata: {"b":2}\r\n\r\n',
    "carriage returns later": b'data: {"a":1}\n\ndata: {"b":2}\r\n\r\ndata: {"c":3}\n\n',
    "more empty lines": b'data: {"a":1}\n\n\n\ndata: {"b":2}\n\n\n',
    "a cut end": b'data: {"a":1}\n\ndata: {"b":2}\n',
    "no end at all": b'data: {"a":1}',
    "empty data": b"event: x\ndata: \n\ndata:\n\n",
    "event without data": b"event: x\n\n",
}


async def _chunks(whole: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    for start, end in zip(places, places[1:], strict=False):
        yield whole[start:end]


async def _decoded(decoder: SSEDecoder, whole: bytes, cuts: list[int]) -> Seen:
    return [(one.event, one.data, one.id, one.retry) async for one in decoder.aiter_bytes(_chunks(whole, cuts))]


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
@given(cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=6))
async def test_every_cut_of_every_stream_gives_what_stock_gives(stream: bytes, cuts: list[int]) -> None:
    assert await _decoded(FastDecoder(), stream, cuts) == await _decoded(SSEDecoder(), stream, cuts)


async def test_a_long_event_in_small_chunks_is_joined_once() -> None:
    whole = b"data: " + b"x" * 200_000 + b"\n\n"
    (event,) = await _decoded(FastDecoder(), whole, list(range(0, len(whole), 100)))
    assert event[1] == "x" * 200_000


@pytest.mark.parametrize("data", ['{"a": [1, 2.5, null, "é"]}', '"\\ud83d"', "NaN"])
def test_data_parses_as_the_json_module_parses_it(data: str) -> None:
    assert repr(FastEvent(data=data).json()) == repr(openai._streaming.ServerSentEvent(data=data).json())


def test_data_that_is_no_json_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        FastEvent(data="{").json()


def test_the_installed_client_asks_for_its_decoder_by_the_hook_that_we_override() -> None:
    client = FastEventsClient(api_key="k", base_url="http://127.0.0.1:9")
    assert "_make_sse_decoder" in vars(openai._base_client.BaseClient)
    assert isinstance(client._make_sse_decoder(), FastDecoder)


def test_in_a_version_without_the_private_module_the_stock_decoder_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sse", "events"):
        monkeypatch.delitem(sys.modules, f"chatkit_server.models.fast.{name}")
        monkeypatch.setattr(fast, name, None)  # puts the real one back after the test
    monkeypatch.setitem(sys.modules, "openai._streaming", None)
    client = importlib.import_module("chatkit_server.models.fast.events").FastEventsClient(api_key="k", base_url="x")
    assert type(client._make_sse_decoder()) is SSEDecoder
