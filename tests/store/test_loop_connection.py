"""Short writes to a SQLite file, and short reads, run on the event loop's thread wherever they need not wait."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import ThreadMetadata
from sqlalchemy import Connection, Engine, bindparam, delete, event, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import (
    IdClash,
    LimitReached,
    NotFound,
    SqlStore,
    StoreUnavailable,
    ThreadBusy,
    TurnEnd,
    TurnLimits,
    TurnStore,
    loop_connection,
    new_id,
    sqlite_threads,
)
from chatkit_store.acting import ALL_USERS
from chatkit_store.database import Database
from chatkit_store.driver_connection import DriverConnection
from chatkit_store.loop_connection import SHORT_TEXT, LoopConnection
from chatkit_store.prepared import NotPrepared
from chatkit_store.tables import turns, workers
from tests.conftest import checked_out, opened
from tests.store.factories import (
    ALICE,
    BOB,
    User,
    assistant_message,
    make_thread,
    make_turn,
    text_of,
    user_message,
    widget_with,
)
from tests.store.test_sqlite_threads import locked_by_another_process

HERE, THREAD = "here", "thread"
Turn = Callable[..., Awaitable[Any]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{tmp_path / 'file.db'}"


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the writes of the test were committed, in order. No write is too slow."""
    noted: list[str] = []
    monkeypatch.setattr(loop_connection, "SLOW_SECONDS", 60.0)
    note_places(monkeypatch, noted, "_write")
    return noted


@pytest.fixture
def reads(places: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the test has read, in order."""
    noted: list[str] = []
    note_places(monkeypatch, noted, "_read")
    return noted


def note_places(monkeypatch: pytest.MonkeyPatch, noted: list[str], name: str) -> None:
    """Note when the method of either class has returned."""
    for owner, place in ((LoopConnection, HERE), (sqlite_threads.SqliteThreads, THREAD)):
        original: Any = getattr(owner, name)

        def noting(*arguments: Any, original: Any = original, place: str = place) -> Any:
            result = original(*arguments)
            noted.append(place)
            return result

        monkeypatch.setattr(owner, name, noting)


@pytest.fixture
async def file(url: str, places: list[str]) -> AsyncIterator[AsyncEngine]:
    """An engine on a file, whose connection for short writes is open."""
    async with opened(url) as engine:
        await touch(engine)
        assert places == [THREAD]  # it opens the connection
        places.clear()
        yield engine


@pytest.fixture
def store(file: AsyncEngine) -> SqlStore[User]:
    """A store on the file."""
    return SqlStore(file)


@pytest.fixture
async def thread(store: SqlStore[User], places: list[str]) -> ThreadMetadata:
    """A saved thread of Alice."""
    thread = make_thread()
    await store.save_thread(thread, ALICE)
    places.clear()
    return thread


def nothing(connection: Connection) -> None:
    connection.execute(delete(workers).where(workers.c.id == literal("nobody")), {})


async def touch(engine: AsyncEngine, work: Callable[[Connection], Any] = nothing) -> None:
    """Write what is short."""
    await Database(engine).write(work, ALL_USERS, is_short=True)


def connection_of(engine: AsyncEngine) -> LoopConnection:
    return Database(engine)._shared.sqlite_threads()._loop_connection


async def texts(store: SqlStore[User], thread: ThreadMetadata) -> list[str]:
    return [text_of(item) for item in (await store.load_thread_items(thread.id, None, 500, "asc", ALICE)).data]


async def start_turn(turn_store: TurnStore, thread: ThreadMetadata, **options: Any) -> str:
    """Start a turn of one message in a new thread."""
    turn, message = make_turn(thread.id, worker_id="worker", user_item_id=new_id("msg")), user_message()
    options = dict[str, Any](new_thread=thread, items=[message]) | options
    await turn_store.start(turn, ALICE, **options)
    return turn.id


async def test_a_plain_turn_makes_no_trip_to_the_thread(
    file: AsyncEngine, store: SqlStore[User], places: list[str]
) -> None:
    turn_store, thread = TurnStore(file), make_thread()
    turn_id = await start_turn(turn_store, thread)
    await store.add_thread_items(thread.id, [assistant_message()], ALICE, turn_id=turn_id, worker_id="worker")
    assert await turn_store.finish(turn_id, TurnEnd("completed", transcript={}), ALICE, worker_id="worker")
    assert await store.name_thread(thread.id, "Tea", ALICE, instead_of=None)
    turn_id = await start_turn(turn_store, thread, new_thread=None, seen_position=2)
    answer = assistant_message()
    assert await turn_store.finish(turn_id, TurnEnd("failed"), ALICE, items=[answer], worker_id="worker")
    assert places == [HERE] * 6
    assert len(await texts(store, thread)) == 4


async def test_limits_are_checked_without_a_trip(file: AsyncEngine, store: SqlStore[User], places: list[str]) -> None:
    turn_store = TurnStore(file)
    allowed = TurnLimits(
        threads_per_user=2, items_per_thread=9, turns_per_minute=2, turns_per_minute_of_address=9, running_turns=9
    )
    for _ in range(2):
        await start_turn(turn_store, make_thread(), allowed=allowed)
    for kind in ("threads_per_user", "turns_per_minute"):
        with pytest.raises(LimitReached) as reached:
            await start_turn(turn_store, make_thread(), allowed=TurnLimits(**{kind: 2}))
        assert reached.value.kind == kind
    assert len((await store.load_threads(9, None, "asc", ALICE)).data) == 2
    assert places == [HERE, HERE]


async def test_a_direct_write_does_not_suspend_its_caller(store: SqlStore[User], thread: ThreadMetadata) -> None:
    call = store.add_thread_item(thread.id, user_message(), ALICE)
    with pytest.raises(StopIteration):
        call.send(None)


async def test_what_is_not_short_runs_in_the_thread(
    file: AsyncEngine, store: SqlStore[User], thread: ThreadMetadata, places: list[str]
) -> None:
    turn_store, long = TurnStore(file), "x" * SHORT_TEXT
    await store.add_thread_item(thread.id, assistant_message(long), ALICE)
    await store.add_thread_items(thread.id, [user_message(), user_message()], ALICE)
    await store.add_thread_item(thread.id, widget_with("buy"), ALICE)
    await start_turn(turn_store, make_thread(), items=[user_message(long)])
    await start_turn(turn_store, make_thread(), allowed=TurnLimits(tokens_per_day=5))
    turn_id = await start_turn(turn_store, thread, new_thread=None, replace_after=(await first_id(store, thread)))
    assert await turn_store.finish(turn_id, TurnEnd("completed", transcript=long), ALICE, worker_id="worker")
    assert await turn_store.finish(turn_id, TurnEnd("failed"), ALICE, restore_replaced=True, worker_id="worker")
    for items in ([assistant_message(long)], [assistant_message(), assistant_message()], [widget_with("buy")]):
        assert await turn_store.finish(turn_id, TurnEnd("failed"), ALICE, items=items, worker_id="worker")
    assert places == [THREAD] * 11


async def first_id(store: SqlStore[User], thread: ThreadMetadata) -> str:
    return (await store.load_thread_items(thread.id, None, 1, "asc", ALICE)).data[0].id


async def test_a_short_write_does_not_overtake_the_queue(
    file: AsyncEngine, store: SqlStore[User], thread: ThreadMetadata, places: list[str]
) -> None:
    with locked_by_another_process(file) as release:
        calls = [asyncio.ensure_future(store.add_thread_items(thread.id, [user_message("0")] * 2, ALICE))]
        calls += [asyncio.ensure_future(store.add_thread_item(thread.id, user_message(f"{n}"), ALICE)) for n in (1, 2)]
        await asyncio.wait(calls, timeout=0.05)
        assert not any(call.done() for call in calls)
        release()
        await asyncio.gather(*calls)
    assert await texts(store, thread) == ["0", "1", "2"]
    await store.add_thread_item(thread.id, user_message("3"), ALICE)
    assert places == [THREAD] * 3 + [HERE]


async def test_a_short_write_waits_in_the_thread_for_the_lock_of_another_process(
    file: AsyncEngine, store: SqlStore[User], thread: ThreadMetadata, places: list[str]
) -> None:
    with locked_by_another_process(file) as release:
        call = asyncio.ensure_future(store.add_thread_item(thread.id, user_message(), ALICE))
        async with asyncio.timeout(30):
            while not checked_out(file):  # noqa: ASYNC110 - taken by a thread
                await asyncio.sleep(0.01)
        assert not call.done()
        release()
        await call
    assert places == [THREAD]


async def test_a_cancelled_write_leaves_the_queue(file: AsyncEngine, places: list[str]) -> None:
    started, release = threading.Event(), threading.Event()

    def wait(connection: Connection) -> None:
        started.set()
        release.wait(10)

    queue = Database(file)._shared.sqlite_threads()
    waiting = queue.write(wait, 10)
    await asyncio.get_running_loop().run_in_executor(None, started.wait, 10)
    behind = queue.write(nothing, 10, is_short=True)
    behind.cancel()
    await asyncio.sleep(0)
    release.set()
    await waiting
    await touch(file)
    assert places == [THREAD, HERE]


async def test_the_first_write_after_a_checkpoint_runs_in_the_thread(file: AsyncEngine, places: list[str]) -> None:
    """SQLite syncs the log for it. Any process may have made the checkpoint."""
    await touch(file, add_worker)
    await asyncio.sleep(0.02)  # the file's time has the accuracy of the kernel's clock
    with contextlib.closing(sqlite3.connect(str(file.url.database))) as other:
        assert other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
    await touch(file)
    await touch(file)
    assert places == [HERE, THREAD, HERE]


def add_worker(connection: Connection) -> None:
    columns = {"id": new_id("wrk"), "host": "h", "process": "p", "started_at": NOON, "seen_at": NOON}
    connection.execute(_ADD_WORKER, columns)


_ADD_WORKER = insert(workers)
NOON = make_thread().created_at


async def test_the_log_stays_bounded(
    file: AsyncEngine, store: SqlStore[User], thread: ThreadMetadata, places: list[str]
) -> None:
    log = f"{file.url.database}-wal"
    for _ in range(600):
        await store.add_thread_item(thread.id, assistant_message("x" * 10_000), ALICE)
    assert Counter(places)[HERE] > 500
    pages = os.stat(log).st_size / 4096
    assert pages < 1000 + loop_connection.COMMITS * 15, pages  # 600 writes change 6,000 pages


class Clock:
    """What `loop_connection` reads instead of the time, and of how often this thread has waited."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.waits, self.next_takes = 1000.0, 0, 0.0
        monkeypatch.setattr(loop_connection, "time", self)
        monkeypatch.setattr(loop_connection, "_waits", lambda: self.waits)

    def monotonic(self) -> float:
        return self.now

    def work(self, seconds: float, waits: int = 1) -> Callable[[Connection], None]:
        """Return work that takes so long."""

        def work(connection: Connection) -> None:
            nothing(connection)
            self.now += seconds
            self.waits += waits

        return work


async def test_after_a_slow_write_the_thread_writes_for_a_while(
    file: AsyncEngine, places: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_connection, "SLOW_SECONDS", 0.005)
    clock = Clock(monkeypatch)

    async def place(seconds: float = 0.0, waits: int = 1) -> str:
        await touch(file, clock.work(seconds, waits))
        return places[-1]

    async def pause() -> float:
        """Return how long the thread writes, after a slow write."""
        assert await place(0.02) == HERE
        start = clock.now
        while await place() == THREAD:
            clock.now += 0.5
        return clock.now - start

    assert await pause() == 1.0
    assert await place(0.02, waits=0) == HERE  # preempted: the thread would be, too
    assert await place(0.004) == HERE
    assert await place() == HERE
    assert await place(0.02) == HERE
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):  # each try is slow
        clock.now += seconds - 0.1
        assert await place() == THREAD
        clock.now += 0.2
        assert await place(0.02) == HERE


async def test_errors_are_those_of_the_thread_and_leave_nothing(
    file: AsyncEngine, store: SqlStore[User], places: list[str]
) -> None:
    turn_store, thread, item = TurnStore(file), make_thread(), user_message()
    turn_id = await start_turn(turn_store, thread, items=[item])
    with pytest.raises(ThreadBusy):
        await start_turn(turn_store, thread, new_thread=None)
    with pytest.raises(IdClash):
        await start_turn(turn_store, make_thread(), items=[item])
    with pytest.raises(NotFound):
        await store.add_thread_item("thr_none", user_message(), ALICE)
    with pytest.raises(NotFound):
        await store.add_thread_items(thread.id, [user_message()], ALICE, turn_id=turn_id, worker_id="another")
    assert not await turn_store.finish(turn_id, TurnEnd("completed"), ALICE, worker_id="another")
    assert await turn_store.finish(turn_id, TurnEnd("completed"), ALICE, worker_id="worker")
    with pytest.raises(IdClash):
        await start_turn(turn_store, make_thread(id=thread.id))
    assert len(await texts(store, thread)) == 1
    assert len((await store.load_threads(10, None, "asc", ALICE)).data) == 1
    driver = connection_of(file)._driver
    assert driver is not None
    assert not driver.in_transaction


async def test_what_fails_here_is_written_by_the_thread(
    file: AsyncEngine, store: SqlStore[User], thread: ThreadMetadata, places: list[str]
) -> None:
    driver = connection_of(file)._driver
    assert driver is not None
    (pages,) = driver.execute("PRAGMA page_count").fetchone()
    driver.execute(f"PRAGMA max_page_count = {pages}")  # of this connection: it takes the disk for full
    await store.add_thread_item(thread.id, assistant_message("x" * 20_000), ALICE)
    driver.execute("PRAGMA query_only = ON")
    await store.add_thread_item(thread.id, assistant_message("y"), ALICE)
    driver.close()
    await store.add_thread_item(thread.id, assistant_message("z"), ALICE)
    await store.add_thread_item(thread.id, assistant_message("again"), ALICE)
    assert places == [THREAD] * 3 + [HERE]
    assert [text[0] for text in await texts(store, thread)] == ["x", "y", "z", "a"]


async def test_a_full_disk_is_unavailable_on_both_ways(
    file: AsyncEngine, store: SqlStore[User], thread: ThreadMetadata
) -> None:
    def fill(connection: Any) -> None:
        if isinstance(connection, DriverConnection):
            raise sqlite3.OperationalError("database or disk is full")
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.exec_driver_sql("CREATE TABLE more (text)")

    with pytest.raises(StoreUnavailable, match="SQLITE_FULL"):
        await touch(file, fill)


async def test_a_listener_of_statements_sees_all(file: AsyncEngine, places: list[str]) -> None:
    """As monitoring tools do."""
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await touch(file)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    await touch(file)
    assert places == [THREAD, HERE]
    assert len([statement for statement in statements if "DELETE FROM workers" in statement]) == 1


async def test_a_message_is_checked_without_a_trip(
    file: AsyncEngine, store: SqlStore[User], thread: ThreadMetadata, reads: list[str]
) -> None:
    for load in (store.load_thread, store.load_thread_state):
        with pytest.raises(StopIteration):  # it does not suspend its caller
            load(thread.id, ALICE).send(None)
        with pytest.raises(NotFound):
            await load(thread.id, BOB)
    with locked_by_another_process(file):  # readers wait for no writer
        assert (await store.load_thread_state(thread.id, ALICE)).thread == thread
    assert reads == [HERE] * 5


async def test_what_cannot_be_read_here_is_read_in_a_thread(
    file: AsyncEngine,
    store: SqlStore[User],
    thread: ThreadMetadata,
    reads: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a thread uses the connection, after a slow call, and if it fails."""
    connection = connection_of(file)
    with connection._turn:
        assert await store.load_thread(thread.id, ALICE) == thread
    monkeypatch.setattr(connection, "_paused_until", float("inf"))
    assert await store.load_thread(thread.id, ALICE) == thread
    monkeypatch.setattr(connection, "_paused_until", 0.0)
    assert not await Database(file).read(lambda connection: connection.in_nested_transaction(), ALICE, is_short=True)
    assert reads == [THREAD] * 3
    for _ in range(2 * loop_connection.READS):  # in a loop, which gives way to others
        await store.load_thread(thread.id, ALICE)
    assert 1 <= Counter(reads[3:])[THREAD] <= 2


async def test_event_loops_in_two_threads_share_an_engine(
    file: AsyncEngine, store: SqlStore[User], thread: ThreadMetadata, places: list[str]
) -> None:
    """While one writes, the other neither waits for it on its loop nor writes into its transaction."""
    started, release = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        nothing(connection)
        started.set()
        release.wait(10)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(lambda: asyncio.run(touch(file, hold)))
        assert started.wait(10)
        call = asyncio.ensure_future(store.add_thread_item(thread.id, user_message(), ALICE))
        await asyncio.wait([call], timeout=0.05)
        assert not call.done()
        release.set()
        await call
        held.result(10)
    assert places == [HERE, THREAD]


KILLED = """
import asyncio, os, signal, sys
from chatkit_store import SqlStore, loop_connection, open_engine
from tests.store.factories import ALICE, user_message

async def write(url, thread_id):
    store = SqlStore(open_engine(url))
    for number in range(20):
        await store.add_thread_item(thread_id, user_message(str(number)), ALICE)
    connection = store._database._shared.sqlite_threads()._loop_connection
    print(connection._commits, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

loop_connection.SLOW_SECONDS = 60.0
asyncio.run(write(*sys.argv[1:]))
"""


async def test_a_killed_process_loses_nothing_that_was_written(
    store: SqlStore[User], thread: ThreadMetadata, url: str
) -> None:
    command = [sys.executable, "-c", KILLED, url, thread.id]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, env=os.environ
    )
    output, _ = await process.communicate()
    assert (process.returncode, output) == (-signal.SIGKILL, b"19\n")  # all but the one that opened the connection
    assert await texts(store, thread) == [str(number) for number in range(20)]


async def test_the_engine_closes_the_connection(file: AsyncEngine, places: list[str]) -> None:
    connection = connection_of(file)
    driver = connection._driver
    assert driver is not None
    await file.dispose()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        driver.execute("SELECT 1")
    await touch(file)
    await touch(file)
    assert places == [THREAD, HERE]
    assert connection_of(file) is not connection


# What a `DriverConnection` runs


@pytest.fixture
def connection() -> Iterator[Any]:
    """A connection to a database in memory with the tables."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as driver:
        driver.execute("CREATE TABLE turns (id, status, readers INTEGER, started_at)")
        driver.execute(f"INSERT INTO turns VALUES ('a', 'running', 1, '{NOON}'), ('b', 'running', 2, '{NOON}')")
        yield DriverConnection(driver)


def test_rows_have_the_names_of_their_columns(connection: Any) -> None:
    statement = update(turns).values(readers=turns.c.readers + 1).returning(turns.c.id, turns.c.readers)
    rows = connection.execute(statement, {"status": "stopped"}).all()
    assert [(row.id, row.readers) for row in rows] == [("a", 2), ("b", 3)]
    assert connection.scalars(statement, {}).all() == ["a", "b"]
    assert connection.scalar(statement.where(turns.c.id == "none"), {}) is None
    started = connection.scalar(select(turns.c.started_at), {})
    assert started == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert connection.execute(statement.where(turns.c.id == "b"), {}).one_or_none().readers == 5


def test_a_statement_runs_once_for_each_set_of_parameters(connection: Any) -> None:
    statement = update(turns).where(turns.c.id == bindparam("turn")).values(readers=turns.c.readers + bindparam("more"))
    assert connection.execute(statement, [{"turn": "a", "more": 1}, {"turn": "b", "more": 2}]).all() == []
    assert connection.scalars(select(turns.c.readers).order_by(turns.c.id), {}).all() == [2, 4]


def test_other_statements_are_refused(connection: Any) -> None:
    with pytest.raises(NotPrepared):
        connection.execute(delete(turns).where(turns.c.id.in_(["a", "b"])), {})
    assert connection.scalar(select(func.count()).select_from(turns), {}) == 2


def test_other_methods_are_refused(connection: Any) -> None:
    with pytest.raises(NotPrepared):
        connection.begin_nested()
