"""The threads that serve a SQLite file start with the first call and end with the engine."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chatkit.types import AssistantMessageContent, ThreadMetadata
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import (
    Entry,
    JournalStore,
    SchemaOutdated,
    SqlStore,
    StoreUnavailable,
    TurnStore,
    create_schema,
    open_engine,
)
from chatkit_store.acting import ALL_USERS
from chatkit_store.database import Database
from tests.conftest import checked_out, opened
from tests.store.conftest import Query
from tests.store.factories import ALICE, User, assistant_message, make_thread, make_turn, text_of, user_message

Store = SqlStore[User]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{tmp_path / 'file.db'}"


@pytest.fixture
async def file(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the file, with the schema."""
    async with opened(url) as engine:
        yield engine


def thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("store-")]


async def test_threads_start_with_the_first_call_and_end_with_the_engine(file: AsyncEngine) -> None:
    store, thread = Store(file), make_thread()
    assert thread_names() == []
    for _ in range(2):  # an engine may be used again after dispose
        await store.save_thread(thread, ALICE)
        await asyncio.gather(*(store.load_thread(thread.id, ALICE) for _ in range(50)))
        names = thread_names()
        assert len([name for name in names if "writer" in name]) == 1
        assert 1 <= len([name for name in names if "reader" in name]) <= 4
        await file.dispose()
        assert thread_names() == []


async def test_many_stores_on_one_engine_share_its_threads(file: AsyncEngine) -> None:
    await asyncio.gather(*(Store(file).save_thread(make_thread(), ALICE) for _ in range(20)))
    await asyncio.gather(*(TurnStore(file).list(ALICE) for _ in range(20)))
    assert len(thread_names()) <= 5


async def test_waiting_writers_hold_one_connection(file: AsyncEngine, url: str) -> None:
    store, other = Store(file), open_engine(url)
    async with other.connect() as connection:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        calls = [asyncio.create_task(store.save_thread(make_thread(), ALICE)) for _ in range(5)]
        async with asyncio.timeout(30):
            while not checked_out(file):  # noqa: ASYNC110 - taken by a thread
                await asyncio.sleep(0.01)
        assert checked_out(file) == 1
        assert await TurnStore(file).list(ALICE) == []  # readers do not wait
        assert not any(call.done() for call in calls)
    await asyncio.gather(*calls)
    assert checked_out(file) == 0
    await other.dispose()


async def test_cancelled_caller_waits_for_its_write(file: AsyncEngine, url: str) -> None:
    store, thread, other = Store(file), make_thread(), open_engine(url)
    async with other.connect() as connection:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        call = asyncio.create_task(store.save_thread(thread, ALICE))
        await asyncio.sleep(0)
        for _ in range(3):
            call.cancel()
            await asyncio.wait([call], timeout=0.02)
        assert not call.done()
    await asyncio.wait([call])
    assert call.cancelled()
    assert checked_out(file) == 0
    assert (await store.load_thread(thread.id, ALICE)).id == thread.id
    await other.dispose()


async def test_error_in_a_thread_has_the_drivers_error_as_its_cause(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all " * 100, encoding="utf-8")
    engine = open_engine(f"sqlite:///{tmp_path / 'text.db'}")
    with pytest.raises(StoreUnavailable) as raised:
        await Store(open_engine("sqlite:////nowhere/at/all.db")).load_thread("thr_1", ALICE)
    assert isinstance(getattr(raised.value.__cause__, "orig", None), sqlite3.OperationalError)
    with pytest.raises(Exception, match="SQLITE_NOTADB") as error:
        await Store(engine).load_thread("thr_1", ALICE)
    assert isinstance(getattr(error.value.__cause__, "orig", None), sqlite3.DatabaseError)
    await engine.dispose()


def test_stores_on_concurrent_event_loops(url: str) -> None:
    engine = open_engine(url)
    asyncio.run(create_schema(engine))
    thread = make_thread()
    asyncio.run(Store(engine).save_thread(thread, ALICE))

    def write(n: int) -> None:
        async def write_ten() -> None:
            store = Store(engine)
            await asyncio.gather(*(store.add_thread_item(thread.id, user_message(f"{n}"), ALICE) for _ in range(10)))

        asyncio.run(write_ten())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    page = asyncio.run(Store(engine).load_thread_items(thread.id, None, 100, "asc", ALICE))
    assert sorted(text_of(item) for item in page.data) == sorted(f"{n}" for n in range(4) for _ in range(10))
    asyncio.run(engine.dispose())


FORK = """
import asyncio, os, sys
from chatkit_store import SqlStore, create_schema, open_engine
from tests.store.conftest import Query
from tests.store.factories import ALICE, make_thread, user_message

engine = open_engine(sys.argv[1])
store = SqlStore(engine)
asyncio.run(create_schema(engine))
thread = make_thread()

async def write():
    for _ in range(3):  # short writes, which this thread runs
        await store.add_thread_item(thread.id, user_message(), ALICE)

asyncio.run(store.save_thread(thread, ALICE))
asyncio.run(write())
child = os.fork()
asyncio.run(write())
asyncio.run(store.save_thread(make_thread(), ALICE))
assert len(asyncio.run(store.load_threads(10, None, "asc", ALICE)).data) >= 2
if child == 0:
    asyncio.run(store.save_thread(make_thread(), ALICE))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert len(asyncio.run(store.load_thread_items(thread.id, None, 10, "asc", ALICE)).data) == 9
assert len(asyncio.run(store.load_threads(10, None, "asc", ALICE)).data) == 4
asyncio.run(engine.dispose())
"""


def test_engine_used_before_a_fork_serves_both_processes(url: str) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-c", FORK, url]
    process = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert (process.returncode, process.stderr) == (0, "")


async def test_concurrent_saves_of_one_object_leave_no_wrong_baseline(store: Store) -> None:
    """On PostgreSQL either may be committed last; the next save writes the object's values, changed or not."""
    thread = make_thread(title="a")
    await store.save_thread(thread, ALICE)
    for _ in range(20):
        thread.title = "b"
        first = asyncio.ensure_future(store.save_thread(thread, ALICE))
        await asyncio.sleep(0)
        thread.title = "a"
        await asyncio.gather(first, store.save_thread(thread, ALICE))
        await store.save_thread(thread, ALICE)
        assert (await store.load_thread(thread.id, ALICE)).title == "a"


async def test_next_save_writes_what_a_failed_one_did_not(store: Store, thread: ThreadMetadata, sql: Query) -> None:
    await sql("ALTER TABLE threads RENAME TO renamed")
    thread.title = "new"
    with pytest.raises(SchemaOutdated):
        await store.save_thread(thread, ALICE)
    await sql("ALTER TABLE renamed RENAME TO threads")
    await store.save_thread(thread, ALICE)
    assert (await store.load_thread(thread.id, ALICE)).title == "new"


async def test_objects_are_saved_as_they_were_at_the_start_of_the_call(store: Store, turns: TurnStore) -> None:
    """A turn keeps changing its items while a thread saves them."""
    thread, turn, item = make_thread(metadata={"n": 1}), make_turn("thr_x"), assistant_message("before")
    thread.id = "thr_x"
    call = asyncio.ensure_future(turns.start(turn, ALICE, new_thread=thread, items=[item]))
    await asyncio.sleep(0)
    item.content = [AssistantMessageContent(text="after")]
    thread.metadata["n"] = 2
    await call
    assert [text_of(item) for item in (await store.load_thread_items("thr_x", None, 9, "asc", ALICE)).data] == [
        "before"
    ]
    assert (await store.load_thread("thr_x", ALICE)).metadata == {"n": 1}
    await store.save_thread(thread, ALICE)
    assert (await store.load_thread("thr_x", ALICE)).metadata == {"n": 2}


HOLD_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


@contextlib.contextmanager
def locked_by_another_process(engine: AsyncEngine) -> Iterator[Callable[[], None]]:
    """Hold the file's write lock; yield a function that releases it."""
    command = [sys.executable, "-c", HOLD_LOCK, str(engine.url.database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process.stdin.close
        process.stdin.close()


async def test_writers_that_wait_for_a_lock_share_one_limit(url: str) -> None:
    """Each counts from its own start. They were refused one after another, the eighth after eight limits."""
    async with opened(f"{url}?timeout=1") as engine:
        store = Store(engine)
        with locked_by_another_process(engine):
            start = time.monotonic()
            calls = (store.save_thread(make_thread(), ALICE) for _ in range(8))
            results = await asyncio.gather(*calls, return_exceptions=True)
            seconds = time.monotonic() - start
        assert {type(result) for result in results} == {StoreUnavailable}
        assert all("SQLITE_BUSY" in str(result) for result in results)
        assert 0.9 < seconds < 5
        await store.save_thread(make_thread(), ALICE)


async def test_writers_that_wait_for_a_lock_all_write_once_it_is_released(url: str) -> None:
    async with opened(f"{url}?timeout=60") as engine:
        store, threads = Store(engine), [make_thread() for _ in range(8)]
        with locked_by_another_process(engine) as release:
            writers = asyncio.gather(*(store.save_thread(thread, ALICE) for thread in threads))
            assert (await store.load_threads(10, None, "asc", ALICE)).data == []  # readers do not wait
            release()
            await writers
        assert len((await store.load_threads(10, None, "asc", ALICE)).data) == 8


async def test_the_journal_says_that_the_file_is_locked(url: str) -> None:
    """It writes without SQLAlchemy, whose errors those of all other writes are."""
    async with opened(f"{url}?timeout=0.2") as engine:
        thread, journal = make_thread(), JournalStore(engine)
        turn = make_turn(thread.id)
        await Store(engine).save_thread(thread, ALICE)
        await TurnStore(engine).start(turn, ALICE)
        with locked_by_another_process(engine), pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
            await journal.write([Entry(turn.id, 1, "{}")], "here")
        await journal.write([Entry(turn.id, 1, "{}")], "here")
        assert (await journal.read(turn.id, 0, ALICE)).entries == [Entry(turn.id, 1, "{}")]


async def test_a_writer_in_memory_waits_for_its_turn_no_longer_than_for_the_rest() -> None:
    engine = open_engine("sqlite://?timeout=0.2")
    await create_schema(engine)
    database = Database(engine)
    async with database._shared.writer():
        with pytest.raises(StoreUnavailable):
            await database.write(lambda connection: None, ALL_USERS)
    await Store(engine).save_thread(make_thread(), ALICE)
    await engine.dispose()
