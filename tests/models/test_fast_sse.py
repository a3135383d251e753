"""The event decoder equals openai's, however a stream is cut into chunks."""

import asyncio
import gc
import importlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from chatkit_server.models import client as client_package
from chatkit_server.models.client.events import FastEventsClient
from chatkit_server.models.client.sse import FastDecoder
from chatkit_server.models.incoming.answer_decoder import AnswerDecoder

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


async def _parse(*events: str, end: str = "\n\n") -> list[Any]:
    stream = "".join(f"data: {event}{end}" for event in events).encode()
    return [event.json() async for event in FastDecoder().aiter_bytes(_chunks(stream, []))]


@pytest.mark.parametrize("data", ['{"a": [1, 2.5, null, "é"]}', '"\\ud83d\\ude00"', "NaN"])
async def test_data_parses_as_the_json_module_parses_it(data: str) -> None:
    assert repr(await _parse(data)) == repr([openai._streaming.ServerSentEvent(data=data).json()])


async def test_data_that_is_not_json_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        await _parse("{")


def _chat(content: str) -> str:
    return f'{{"choices": [{{"delta": {{"content": "{content}"}}}}]}}'


def _call(arguments: str) -> str:
    return f'{{"choices": [{{"delta": {{"tool_calls": [{{"function": {{"arguments": "{arguments}"}}}}]}}}}]}}'


def _response(delta: str) -> str:
    return f'{{"type": "response.output_text.delta", "delta": "{delta}"}}'


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
@pytest.mark.parametrize("wrap", [_chat, _call, _response])
async def test_a_character_split_over_two_deltas_is_joined(wrap: Callable[[str], str], end: str) -> None:
    events = await _parse(wrap("a \\ud83e"), wrap("\\udd8a b"), wrap("c"), end=end)
    assert events == [json.loads(wrap(text)) for text in ("a ", "🦊 b", "c")]


async def test_text_that_cannot_be_encoded_is_replaced() -> None:
    events = await _parse(
        _chat("a \\ud83e"), _chat("b \\udd8a"), _chat("c\\u0000\\ud83e"), '{"choices": [{"delta": {}}]}'
    )
    assert [event["choices"][0]["delta"]["content"] for event in events] == [
        "a ",
        "\ufffdb \ufffd",
        "c\ufffd",
        "\ufffd",
    ]


async def test_half_a_character_at_the_end_of_a_whole_text_is_replaced_at_once() -> None:
    done = '{"type": "response.output_text.done", "text": "a \\ud83e"}'
    assert (await _parse(_response("a \\ud83e"), done))[1]["text"] == "a \ufffd"


def test_the_installed_client_creates_its_decoder_in_the_method_that_we_override() -> None:
    client = FastEventsClient(api_key="k", base_url="http://127.0.0.1:9")
    assert "_make_sse_decoder" in vars(openai._base_client.BaseClient)
    decoder: Any = client._make_sse_decoder()
    assert isinstance(decoder, AnswerDecoder)
    assert isinstance(decoder.decoder, FastDecoder)


def test_without_the_private_module_the_stock_decoder_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sse", "events"):
        monkeypatch.delitem(sys.modules, f"chatkit_server.models.client.{name}")
        monkeypatch.setattr(client_package, name, None)  # restores the real one after the test
    monkeypatch.setitem(sys.modules, "openai._streaming", None)
    client = importlib.import_module("chatkit_server.models.client.events").FastEventsClient(api_key="k", base_url="x")
    assert type(client._make_sse_decoder().decoder) is SSEDecoder


async def test_the_first_bytes_of_an_answer_are_released_once_they_are_read() -> None:
    """They contain whole responses, with the instructions and tools of the agent, and an answer may take minutes."""
    kinds = ("response.created", "response.in_progress")
    first = [b"".join(b'data: {"type":"%b","response":{}}\n\n' % kind.encode() for kind in kinds)]

    async def chunks() -> AsyncIterator[bytes]:
        yield first[0]
        await asyncio.Event().wait()

    events = AnswerDecoder(FastDecoder()).aiter_bytes(chunks())
    assert [(await anext(events)).json()["type"] for _ in kinds] == list(kinds)
    waiting = asyncio.ensure_future(anext(events))
    for _ in range(3):
        await asyncio.sleep(0)
    assert [holder for holder in gc.get_referrers(first[0]) if holder is not first] == []
    waiting.cancel()


async def test_the_values_of_events_are_not_kept_by_the_parser() -> None:
    """It would keep 16,384 of them, which is memory that grows with the first thousands of turns."""
    first, second = await _parse('{"id": "resp_1234"}', '{"id": "resp_1234"}')
    assert first == second
    assert first["id"] is not second["id"]
