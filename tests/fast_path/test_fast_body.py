"""Which way the events of a body go while the slow path is busy."""

import asyncio
from typing import Any

from openai.types.responses import ResponseTextDeltaEvent

from chatkit_server.fast_path.chunks import chunk
from chatkit_server.fast_path.fast_body import EVENTS_PER_CALL, MAX_HELD, FastBody
from chatkit_server.fast_path.plain_text import TextTemplate
from chatkit_server.fast_path.tap import Tap
from tests.fast_path.recorded_streams import wire_events
from tests.support.openai_answers import Answer, Text


class Wire:
    """The connection of a body: notes what goes the slow path, and whether the socket is read."""

    def __init__(self) -> None:
        self.slow: list[bytes] = []
        self.is_held = False

    def receive(self, data: bytes) -> None:
        self.slow.append(data)

    def hold(self) -> None:
        self.is_held = True

    def release(self) -> None:
        self.is_held = False

    def end_body(self) -> None:
        pass


class Heard:
    """A tap, and the calls with text that it got."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.tap = Tap(lambda event: None, self._hear_text)

    def _hear_text(self, event: Any, text: str, tokens: int) -> None:
        self.texts.append(text)


def deltas(count: int, text: str = "w") -> list[bytes]:
    events = wire_events(Answer(Text("", tokens=[text] * count)), "responses")
    return [event for event in events if b"output_text.delta" in event]


def delta_event(text: str = "w") -> ResponseTextDeltaEvent:
    return ResponseTextDeltaEvent(
        content_index=0,
        delta=text,
        item_id="msg_1",
        logprobs=[],
        output_index=0,
        sequence_number=1,
        type="response.output_text.delta",
    )


def take(body: FastBody, heard: Heard, event: bytes, text: str = "w") -> None:
    """Let the slow path take an event and hear it."""
    body.note_taken(len(event))
    heard.tap.hear(delta_event(text))
    body.note_waiting()


async def test_text_waits_until_the_slow_path_is_empty() -> None:
    wire, heard = Wire(), Heard()
    body = FastBody(wire, heard.tap, 64)
    first, second, third, *_ = deltas(3)
    body.note_waiting()
    body.feed(chunk(first))
    body.feed(chunk(second))
    assert wire.slow == [chunk(first)]
    assert body.is_holding
    take(body, heard, first)
    assert heard.texts == []  # what the run has heard so far is shown first
    await asyncio.sleep(0)
    assert heard.texts == ["w"]
    body.feed(chunk(third))
    assert heard.texts == ["w", "w"]
    assert wire.slow == [chunk(first)]


async def test_an_event_of_another_kind_goes_on_behind_the_text_before_it() -> None:
    wire, heard = Wire(), Heard()
    body = FastBody(wire, heard.tap, 64)
    first, second, *_ = deltas(2)
    body.note_waiting()
    body.feed(chunk(first + second + b": ping\n\n"))
    assert wire.slow == [chunk(first)]
    take(body, heard, first)
    await asyncio.sleep(0)
    assert heard.texts == ["w"]
    assert wire.slow == [chunk(first), chunk(b": ping\n\n")]


async def test_a_burst_is_given_out_call_by_call_while_the_socket_is_not_read() -> None:
    wire, heard = Wire(), Heard()
    body = FastBody(wire, heard.tap, 1000)
    first, *rest = deltas(1 + 3 * EVENTS_PER_CALL, "w" * 1000)
    body.note_waiting()
    body.feed(chunk(first))
    take(body, heard, first, "w" * 1000)
    burst = b"".join(map(chunk, rest))
    assert len(burst) - len(burst) // 3 > MAX_HELD
    body.feed(burst)
    assert (len(heard.texts), wire.is_held) == (1, True)
    await asyncio.sleep(0)
    assert len(heard.texts) == 2
    await asyncio.sleep(0)
    assert "".join(heard.texts) == "w" * 1000 * 3 * EVENTS_PER_CALL
    assert not wire.is_held


async def test_a_frame_has_no_more_tokens_than_the_settings_allow() -> None:
    wire, heard = Wire(), Heard()
    body = FastBody(wire, heard.tap, 3)
    first, *rest = deltas(8)
    body.note_waiting()
    body.feed(chunk(first))
    take(body, heard, first)
    body.feed(b"".join(map(chunk, rest)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert heard.texts == ["www", "www", "w"]


async def test_nothing_is_heard_once_the_tap_is_closed() -> None:
    wire, heard = Wire(), Heard()
    body = FastBody(wire, heard.tap, 64)
    first, second, *_ = deltas(2)
    body.note_waiting()
    body.feed(chunk(first))
    take(body, heard, first)
    heard.tap.close()
    body.feed(chunk(second))
    assert heard.texts == []
    assert wire.slow == [chunk(first), chunk(second)]


async def test_text_goes_the_slow_way_once_the_run_has_closed_its_tap() -> None:
    wire, heard = Wire(), Heard()
    body = FastBody(wire, heard.tap, 64)
    first, second, third = deltas(3)
    body.note_waiting()
    body.feed(chunk(first))
    take(body, heard, first)
    body.feed(chunk(second))
    heard.tap.close()
    body.feed(chunk(third))
    assert heard.texts == ["w"]
    assert wire.slow == [chunk(first), chunk(third)]


async def test_the_end_behind_a_text_is_passed_on_with_it() -> None:
    wire, heard = Wire(), Heard()
    body = FastBody(wire, heard.tap, 64)
    first, second = deltas(2)
    body.note_waiting()
    body.feed(chunk(first))
    take(body, heard, first)
    body.feed(chunk(second) + b"0\r\n\r\n")
    assert heard.texts == ["w"]
    assert wire.slow == [chunk(first), b"0\r\n\r\n"]


def test_answers_share_what_their_templates_have_in_common() -> None:
    """What is read for each token of many answers has to fit into the processor's cache."""
    first, second = (TextTemplate.of(event) for event in (deltas(1)[0], deltas(1)[0].replace(b'"msg_', b'"msg_other')))
    assert first is not None
    assert second is not None
    assert first._head != second._head
    assert [id(gap) for gap in first._gaps] == [id(gap) for gap in second._gaps]
