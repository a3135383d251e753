"""When a reader of a turn's log gets what is new: at once, with what came at the same time, or by its window."""

import asyncio

import pytest
from chatkit.types import ProgressUpdateEvent

from chatkit_server.turns import subscription, turn_log
from chatkit_server.turns.subscription import Pace, Subscription
from chatkit_server.turns.turn_log import TurnLog
from tests.support.sse import parse
from tests.turns.test_turn_log import notice, read_all, texts

LONG = 3600.0
DEFAULT = Pace()


class Time:
    """The time, which passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Stop the time of logs and readers: what comes within a millisecond comes together, also on a busy machine."""
    time = Time()
    monkeypatch.setattr(subscription, "monotonic", time)
    monkeypatch.setattr(turn_log, "monotonic", time)
    return time


class Client:
    """A connection that takes what is pushed, and the task that reads for it."""

    def __init__(self, log: TurnLog, pace: Pace = DEFAULT, position: int = 0) -> None:
        self.news = log.subscribe(position, pace)
        self.pushed: list[bytes] = []
        self.takes = True
        self.wakes = 0
        self.task = asyncio.create_task(self._sleep())

    def push(self, frames: bytes) -> bool:
        if self.takes:
            self.pushed.append(frames)
        return self.takes

    async def _sleep(self) -> None:
        while True:
            await self.news.changed(self.push)
            self.wakes += 1

    def texts(self) -> list[list[tuple[str | None, str]]]:
        """Return number and text of the deltas of each push."""
        return [texts(parse(frames)) for frames in self.pushed]

    def close(self) -> None:
        self.task.cancel()
        self.news.__exit__()


async def test_the_first_token_is_pushed_in_the_call_and_what_comes_with_it_at_the_end_of_the_iteration(
    time: Time,
) -> None:
    log = TurnLog()
    client = Client(log)
    await asyncio.sleep(0)
    log.append_text("msg", 0, "a")
    assert client.texts() == [[("1", "a")]], "in the same call"
    for token in "bcd":
        log.append_text("msg", 0, token)
    assert len(client.pushed) == 1
    await asyncio.sleep(0)
    assert client.texts() == [[("1", "a")], [("4", "bcd")]]
    time.now += 0.002
    log.append_text("msg", 0, "e")
    assert client.texts()[2:] == [[("5", "e")]]
    assert client.wakes == 0
    client.close()


@pytest.mark.usefixtures("time")
async def test_a_burst_is_cut_into_frames_of_the_most_tokens() -> None:
    log = TurnLog()
    client = Client(log, Pace(most=100))
    await asyncio.sleep(0)
    for number in range(2000):
        log.append_text("msg", 0, f"{number} ")
    await asyncio.sleep(0)
    assert len(client.pushed) == 1 + 1999 // 100 + 1
    text = "".join(text for frames in client.texts() for _, text in frames)
    assert text == "".join(f"{number} " for number in range(2000))
    client.close()


async def test_events_that_come_together_are_one_push() -> None:
    log = TurnLog()
    client = Client(log)
    await asyncio.sleep(0)
    log.append(notice(1))
    log.append_text("msg", 0, "a")
    log.append(notice(2))
    assert client.pushed == []
    await asyncio.sleep(0)
    assert [frame.id for frames in client.pushed for frame in parse(frames)] == ["1", "2", "3"]
    assert len(client.pushed) == 1
    client.close()


@pytest.mark.usefixtures("time")
async def test_with_a_window_text_waits_for_its_end_for_enough_tokens_or_for_an_event() -> None:
    log = TurnLog()
    short, long = Client(log, Pace(0.03)), Client(log, Pace(LONG, most=3))
    await asyncio.sleep(0)
    for token in "abcd":
        log.append_text("msg", 0, token)
    assert long.texts() == [[("1", "a")], [("4", "bcd")]], "three are a frame"
    assert short.texts() == [[("1", "a")]]
    async with asyncio.timeout(30):
        while len(short.pushed) < 2:  # noqa: ASYNC110 - the task sleeps when its frames are pushed
            await asyncio.sleep(0.005)
    assert short.texts()[1:] == [[("4", "bcd")]]
    log.append_text("msg", 0, "e")
    assert len(long.pushed) == 2
    log.append(notice(1))
    await asyncio.sleep(0)
    assert [frame.id for frame in parse(long.pushed[2])] == ["5", "6"]
    short.close()
    long.close()


async def test_a_client_that_does_not_keep_up_wakes_its_task_which_gets_all_that_is_missing() -> None:
    log = TurnLog()
    client = Client(log)
    await asyncio.sleep(0)
    client.takes = False
    log.append_text("msg", 0, "a")
    log.append_text("msg", 0, "b")
    client.takes = True
    log.append_text("msg", 0, "c")
    assert client.pushed == [], "the task has its turn first"
    await asyncio.sleep(0.002)
    assert client.wakes >= 1
    assert client.news.has_frames()
    assert texts(parse(client.news.take())) == [("3", "abc")]
    log.append_text("msg", 0, "d")
    await asyncio.sleep(0.002)
    assert client.texts() == [[("4", "d")]], "pushed again"
    client.close()


async def test_a_writer_that_raises_harms_only_its_reader(caplog: pytest.LogCaptureFixture) -> None:
    log = TurnLog()
    client = Client(log)
    client.push = lambda frames: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    await asyncio.sleep(0)
    log.append_text("msg", 0, "a")
    assert client.news.has_frames()
    assert "frames could not be pushed" in caplog.text
    client.close()


@pytest.mark.parametrize("signal", ["append", "text", "wake", "close"])
async def test_a_reader_without_a_writer_is_woken(signal: str) -> None:
    log = TurnLog()
    news = [log.subscribe(0, Pace()) for _ in range(2)]
    waiting = [asyncio.create_task(each.changed()) for each in news]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    match signal:
        case "append":
            log.append(notice(1))
        case "text":
            log.append_text("msg", 0, "a")
        case _:
            getattr(log, signal)()
    async with asyncio.timeout(30):
        await asyncio.gather(*waiting)
    assert [each.has_frames() for each in news] == [signal in ("append", "text")] * 2


async def test_a_closed_log_gives_the_rest_although_its_window_is_open() -> None:
    log = TurnLog()
    gate = asyncio.Semaphore(9)
    reading = asyncio.create_task(read_all(log, gate, Pace(LONG)))
    await asyncio.sleep(0)
    for token in "abc":
        log.append_text("msg", 0, token)
    log.close()
    async with asyncio.timeout(30):
        pieces = await reading
    assert b"".join(pieces) == log.since(0)
    assert log._readers == []


async def test_many_readers_of_one_turn_share_a_window(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "WINDOW_PER_READER", 0.005)  # half a second for all
    log = TurnLog()
    clients = [Client(log) for _ in range(100)]
    await asyncio.sleep(0)
    for _ in range(10):
        log.append_text("msg", 0, "x")
        await asyncio.sleep(0)
    assert {len(client.pushed) for client in clients} == {1}
    async with asyncio.timeout(30):
        while any(len(client.pushed) < 2 for client in clients):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
    assert {text for client in clients for _, text in client.texts()[1]} == {"x" * 9}
    assert len({id(client.pushed[1]) for client in clients}) == 1, "encoded once for all"
    for client in clients[1:]:
        client.close()
    time.now += 0.002
    log.append_text("msg", 0, "y")
    assert clients[0].texts()[2:] == [[("11", "y")]], "alone, it gets each token at once"
    clients[0].close()


async def test_a_silent_reader_needs_a_ping_again_and_again() -> None:
    log = TurnLog()
    with log.subscribe(0, Pace(ping_seconds=0.05)) as news:
        for _ in range(2):
            assert not news.needs_ping()
            async with asyncio.timeout(30):
                while not news.needs_ping():
                    await news.changed()
            news.has_sent()
        log.append(ProgressUpdateEvent(text="x"))
        assert news.has_frames() is False
        await asyncio.sleep(0)
        assert news.has_frames()
    assert not any(wait.callback == news._check_silence for waits in news._clock._waits.values() for wait in waits)


async def test_a_cancelled_reader_leaves_nothing() -> None:
    log = TurnLog()

    async def read(news: Subscription) -> None:
        with news:
            await news.changed()

    gone, stays = (asyncio.create_task(read(log.subscribe(0, Pace()))) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    assert len(log._readers) == 1
    log.append(notice(1))
    async with asyncio.timeout(30):
        await stays
    assert log._readers == []
