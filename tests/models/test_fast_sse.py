"""The event decoder equals openai's, however a stream is cut into chunks."""

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

Decoded = list[tuple[str | None, str, str | None, int | None]]

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


async def _chunks(stream: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    positions = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in zip(positions, positions[1:], strict=False):
        yield stream[start:end]


async def _decode(decoder: SSEDecoder, stream: bytes, cuts: list[int]) -> Decoded:
    return [(e.event, e.data, e.id, e.retry) async for e in decoder.aiter_bytes(_chunks(stream, cuts))]


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
@given(cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=6))
async def test_every_stream_is_decoded_like_stock_however_it_is_cut(stream: bytes, cuts: list[int]) -> None:
    assert await _decode(FastDecoder(), stream, cuts) == await _decode(SSEDecoder(), stream, cuts)


async def test_a_long_event_in_small_chunks_is_joined_once() -> None:
    stream = b"data: " + b"x" * 200_000 + b"\n\n"
    (event,) = await _decode(FastDecoder(), stream, list(range(0, len(stream), 100)))
    assert event[1] == "x" * 200_000


@pytest.mark.parametrize("data", ['{"a": [1, 2.5, null, "é"]}', '"\\ud83d"', "NaN"])
def test_data_parses_as_the_json_module_parses_it(data: str) -> None:
    assert repr(FastEvent(data=data).json()) == repr(openai._streaming.ServerSentEvent(data=data).json())


def test_data_that_is_not_json_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        FastEvent(data="{").json()


def test_the_installed_client_creates_its_decoder_in_the_method_that_we_override() -> None:
    client = FastEventsClient(api_key="k", base_url="http://127.0.0.1:9")
    assert "_make_sse_decoder" in vars(openai._base_client.BaseClient)
    assert isinstance(client._make_sse_decoder(), FastDecoder)


def test_without_the_private_module_the_stock_decoder_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sse", "events"):
        monkeypatch.delitem(sys.modules, f"chatkit_server.models.fast.{name}")
        monkeypatch.setattr(fast, name, None)  # restores the real one after the test
    monkeypatch.setitem(sys.modules, "openai._streaming", None)
    client = importlib.import_module("chatkit_server.models.fast.events").FastEventsClient(api_key="k", base_url="x")
    assert type(client._make_sse_decoder()) is SSEDecoder
