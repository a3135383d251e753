"""The log of one turn's frames, and its journal page."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    NoticeEvent,
    ProgressUpdateEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
)

from chatkit_server.events.fold import TurnItems
from chatkit_server.events.frames import encode_event
from chatkit_server.memory import Transcript
from chatkit_server.turns.journal import Journal
from chatkit_server.turns.journal_page import Page
from chatkit_server.turns.log_entries import DELTA_SIZE, RUN_SIZE, STORED_SIZE
from chatkit_server.turns.subscription import Pace
from chatkit_server.turns.turn_log import KEPT_SIZE, TurnLog
from chatkit_store import Entry, JournalStore
from chatkit_store.journal import Signal
from tests.store.factories import NOON
from tests.support.openai_answers import Answer
from tests.support.sse import Frame, parse
from tests.turns.conftest import Start

NEVER = 3600.0
DEFAULT_PACE = Pace()
NOW = 1000.0


def notice(number: int) -> NoticeEvent:
    """Return a lasting event."""
    return NoticeEvent(level="info", message=str(number))


def message(item_id: str = "msg") -> AssistantMessageItem:
    return AssistantMessageItem(id=item_id, thread_id="thr", created_at=NOON, content=[])


def read(log: TurnLog, last_read: int = 0) -> list[Frame]:
    return parse(log.since(last_read))


def texts(frames: list[Frame]) -> list[tuple[str | None, str]]:
    """Return number and text of each text delta."""
    return [(f.id, f.json["update"]["delta"]) for f in frames if f.json["type"] == "thread.item.updated"]


async def read_all(log: TurnLog, gate: asyncio.Semaphore, pace: Pace = DEFAULT_PACE) -> list[bytes]:
    """A reader that reads once each time the gate opens."""
    pieces: list[bytes] = []
    with log.subscribe(0, pace) as news:
        while True:
            await gate.acquire()
            while not news.has_frames() and not log.closed:
                await news.changed()
            if not news.has_frames():
                return pieces
            pieces.append(news.take())


async def test_two_readers_get_every_frame_at_their_own_pace() -> None:
    log = TurnLog()
    eager, lazy = asyncio.Semaphore(1000), asyncio.Semaphore(0)
    tasks = [asyncio.create_task(read_all(log, gate)) for gate in (eager, lazy)]
    for number in range(5):
        log.append(notice(number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    log.close()
    async with asyncio.timeout(30):
        one_by_one = await tasks[0]
        for _ in range(3):
            lazy.release()
        at_once = await tasks[1]
    assert len(one_by_one) == 5
    assert len(at_once) == 1
    assert b"".join(one_by_one) == at_once[0]
    frames = parse(at_once[0])
    assert [(frame.id, frame.json["message"]) for frame in frames] == [(str(n + 1), str(n)) for n in range(5)]


async def test_a_late_reader_gets_everything() -> None:
    log = TurnLog()
    log.append(ProgressUpdateEvent(text="x"))
    log.close()
    async with asyncio.timeout(30):
        (piece,) = await read_all(log, asyncio.Semaphore(9))
    assert piece == b'id: 1\ndata: {"type":"progress_update","text":"x"}\n\n'


async def test_text_of_different_parts_is_never_merged() -> None:
    log = TurnLog()
    for item_id, index, token in [("m", 0, "a"), ("m", 0, "b"), ("m", 1, "c"), ("n", 1, "d"), ("n", 1, "e")]:
        log.append_text(item_id, index, token)
    deltas = [(f.json["item_id"], f.json["update"]["content_index"], f.json["update"]["delta"]) for f in read(log)]
    assert deltas == [("m", 0, "ab"), ("m", 1, "c"), ("n", 1, "de")]


async def test_text_can_be_read_from_any_delta_on() -> None:
    log = TurnLog()
    tokens = [str(number % 10) for number in range(3 * RUN_SIZE // (1 + DELTA_SIZE))]
    for token in tokens:
        log.append_text("msg", 0, token)
    for position in range(0, len(tokens), 97):
        assert texts(read(log, position)) == [(str(len(tokens)), "".join(tokens[position:]))]
    log.append(notice(1))
    log.append_text("msg", 0, "k")
    assert [(frame.id, frame.json["type"]) for frame in read(log, len(tokens) - 1)] == [
        (str(len(tokens)), "thread.item.updated"),
        (str(len(tokens) + 1), "notice"),
        (str(len(tokens) + 2), "thread.item.updated"),
    ]
    assert read(log, len(tokens) + 2) == []


async def test_a_reader_beyond_the_kept_frames_gets_a_catch_up() -> None:
    items = TurnItems()
    log = TurnLog(still_open=lambda: [ThreadItemAddedEvent(item=item) for item in items.open])

    def say(event: ThreadItemAddedEvent | ThreadItemDoneEvent | ThreadItemRemovedEvent) -> None:
        items.apply(event)
        log.append(event)

    say(ThreadItemDoneEvent(item=message("first")))
    say(ThreadItemAddedEvent(item=message("gone")))
    say(ThreadItemRemovedEvent(item_id="gone"))
    say(ThreadItemAddedEvent(item=message("open")))
    count = 2 * KEPT_SIZE // (1 + DELTA_SIZE)
    for _ in range(count):
        items.open.add_text("open", 0, "x")
        log.append_text("open", 0, "x")
    assert sum(entry.size for entry in log._entries) <= KEPT_SIZE + RUN_SIZE + DELTA_SIZE + 1
    assert log._kept_size == sum(entry.size for entry in log._entries if entry is not log._run)
    caught_up = read(log)
    assert [frame.json["type"] for frame in caught_up] == [
        "thread.item.done",
        "thread.item.removed",
        "thread.item.added",
    ]
    assert caught_up[-1].json["item"]["content"][0]["text"] == "x" * count
    assert caught_up[-1].id == str(log.last)
    assert [frame.json["type"] for frame in read(log, 1)] == ["thread.item.removed", "thread.item.added"]
    assert texts(read(log, log.last - count // 3)) == [(str(log.last), "x" * (count // 3))]


async def test_two_thousand_tokens_of_one_burst_stay_readable_as_deltas() -> None:
    log = TurnLog(still_open=lambda: pytest.fail("a catch-up"))
    for number in range(2000):
        log.append_text("msg", 0, f"token {number} ")
    assert texts(read(log)) == [("2000", "".join(f"token {number} " for number in range(2000)))]


async def test_a_number_of_another_log_gets_a_catch_up() -> None:
    """The log of a remote turn has gaps."""
    log = TurnLog()
    log.append_encoded(b'{"type":"progress_update","text":""}', is_lasting=True, number=4)
    log.append_encoded(b'{"type":"progress_update","text":"b"}', is_lasting=True, number=9)
    assert [frame.id for frame in read(log, 4)] == ["9"]
    assert [frame.id for frame in read(log, 6)] == ["9"]
    assert [frame.id for frame in read(log, 0)] == ["4", "9"]


async def test_the_page_records_all_events_with_merged_text() -> None:
    page = Page("turn", Transcript())
    log = TurnLog(page=page)
    for token in "abc":
        log.append_text("msg", 0, token)
    log.append(notice(7))
    log.append_text("msg", 0, "d")
    taken = page.take(NOW)
    assert [entry.seq for entry in taken.entries] == [3, 4, 5]
    assert '"delta":"abc"' in taken.entries[0].payload
    assert '"message":"7"' in taken.entries[1].payload
    assert page.take(NOW).entries == []
    log.append_text("msg", 0, "e")
    page.give_back(taken)
    assert [entry.seq for entry in page.take(NOW).entries] == [3, 4, 5, 6]


async def test_each_batch_has_one_entry_with_what_is_new_of_a_text_however_often_its_run_is_sealed() -> None:
    page = Page("turn", Transcript())
    log = TurnLog(page=page)
    written, sent = "", []
    for length in (1, RUN_SIZE, 3, 3 * RUN_SIZE, 0, 2):
        for number in range(length):
            sent.append(f"{number} ")
            log.append_text("msg", 0, sent[-1])
        entries = page.take(NOW).entries
        assert [entry.seq for entry in entries] == [log.last] * bool(length)
        written += "".join(json.loads(entry.payload)["update"]["delta"] for entry in entries)
    assert written == "".join(sent)


async def test_the_page_keeps_the_order_of_texts_of_several_parts_and_an_empty_delta() -> None:
    page = Page("turn", Transcript())
    log = TurnLog(page=page)
    log.append_text("msg", 0, "a")
    page.take(NOW)
    log.append_text("msg", 1, "b")  # nothing is new of the text before it
    log.append_text("msg", 0, "c")
    log.append_text("msg", 0, "")
    log.append(notice(5))
    log.append_text("msg", 0, "")
    entries = page.take(NOW).entries
    assert [entry.seq for entry in entries] == [2, 4, 5, 6]
    updates = [json.loads(entries[number].payload)["update"] for number in (0, 1, 3)]
    assert [(update["content_index"], update["delta"]) for update in updates] == [(1, "b"), (0, "c"), (0, "")]


async def test_a_transcript_is_taken_if_it_changed_and_adds_to_the_items() -> None:
    transcript = Transcript()
    beginning = transcript.mark()
    page = Page("turn", transcript)
    transcript.add_shown("msg_1")
    assert not page.take(NOW).has_transcript
    transcript.add_item({"type": "function_call", "call_id": "1", "name": "look_up", "arguments": "{}"})
    taken = page.take(NOW)
    assert taken.has_transcript
    assert not page.take(NOW + 1).has_transcript
    page.give_back(taken)
    assert page.take(NOW + 1).has_transcript
    transcript.add_shown("msg_2")
    assert page.take(NOW + 2).has_transcript
    transcript.revert(beginning)
    assert page.take(NOW + 2).has_transcript, "what was taken back is taken back there too"


async def test_a_long_transcript_is_taken_less_often_the_longer_it_is() -> None:
    transcript = Transcript()
    beginning = transcript.mark()
    page = Page("turn", transcript)
    written = 0
    for batch in range(400):  # four per second; a tool returns 200 kB in each of the first hundred
        if batch < 100:
            transcript.add_item({"type": "function_call_output", "call_id": str(batch), "output": "x" * 200_000})
        written += transcript.size * page.take(NOW + batch / 4).has_transcript
    assert transcript.size > 20_000_000
    assert written <= 4 * transcript.size, "and not fifty times"
    assert not page.take(NOW + 200).has_transcript, "the last of it is written"
    transcript.add_shown("msg")
    assert page.take(NOW + 200).has_transcript
    transcript.add_shown("msg_2")
    assert not page.take(NOW + 201).has_transcript
    assert page.take(NOW + 201, is_last=True).has_transcript, "nothing comes after it"
    transcript.revert(beginning)
    assert page.take(NOW + 201).has_transcript, "what was taken back does not wait"


async def test_a_turn_with_an_unsaved_end_gets_its_whole_transcript_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatkit_server.turns.journal.time", SimpleNamespace(monotonic=lambda: NOW))  # at one moment
    written: list[str] = []

    def write(entries: list[Entry], worker_id: str, transcripts: dict[str, Any], *_: Any, **__: Any) -> list[Signal]:
        written.append(json.dumps(transcripts))
        return []

    store = AsyncMock(JournalStore)
    store.write.side_effect = write
    journal = Journal(store, "here", interval=NEVER, on_signal=lambda turn_id, reason: None)
    transcript = Transcript()
    journal.open_page("turn", transcript)
    for call_id in ("first", "last"):
        output = "x" * 200_000
        transcript.add_item({"type": "function_call_output", "call_id": call_id, "output": output})
        await journal.write()
    journal.close_page("turn", is_saved=False)
    await journal.write()
    assert ['"last"' in transcripts for transcripts in written] == [False, False, True]


async def test_pings_are_sent_only_in_silence(start: Start) -> None:
    chat = await start(ping_seconds=0.5)
    chat.upstream.default = Answer("one two three four five six", rate=10)
    async with await chat.visitor() as tab:
        for _ in range(10):  # a busy machine may be silent for so long
            async with await chat.ask(tab, "Count") as stream:
                frames = await stream.read_to_end()
            if all(frame.comment is None for frame in frames):
                break
        assert all(frame.comment is None for frame in frames)
        chat.upstream.script(Answer("one two", hang_after=1))
        async with await chat.ask(tab, "Count") as stream:
            for _ in range(2):
                await stream.read_until(lambda frame: frame.comment == "ping")
            chat.upstream.release()
            await stream.read_to_end()
            assert stream.ended
            ids = [frame.id for frame in stream.frames if frame.comment is None]
            assert [int(number or 0) for number in ids] == sorted(int(number or 0) for number in set(ids)), (
                "a ping took an id"
            )
        await tab.session.close()
        await chat.quiet()


async def test_a_shortened_log_loads_long_items_one_at_a_time() -> None:
    """Also those that come from the journal, as JSON."""
    log, loaded = TurnLog(), []

    async def load(item_id: str) -> bytes:
        loaded.append(item_id)
        return b'{"loaded":"%b"}' % item_id.encode()

    long = AssistantMessageContent(text="x" * STORED_SIZE)
    log.append(notice(1))
    for item_id in ("msg_a", "msg_b"):
        event = ThreadItemDoneEvent(item=message(item_id).model_copy(update={"content": [long]}))
        log.append_encoded(encode_event(event), is_lasting=True)
    log.append(ThreadItemDoneEvent(item=message("msg_c")))
    with log.subscribe(0, DEFAULT_PACE) as news:
        log.close(load)
        log.shorten()
        parts = [parse(await news.read()) for _ in range(4)]
        assert not news.has_frames()
    assert [[frame.id for frame in frames] for frames in parts] == [["1"], ["2"], ["3"], ["4"]]
    assert [frames[0].json.get("loaded") for frames in parts] == [None, "msg_a", "msg_b", None]
    assert loaded == ["msg_a", "msg_b"]
