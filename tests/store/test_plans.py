"""No statement of the store visits more rows because other threads and users have more: each is tried beside 100,000.

A plan of SQLite does not show how many rows a statement visits, so its instructions are counted, too; PostgreSQL counts
the rows. SQLite is tried with and without statistics: no server runs ANALYZE there.
"""

import pkgutil
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest
from chatkit.types import FileAttachment
from sqlalchemy import Connection, Delete, Insert, Select, Update, text
from sqlalchemy.ext.asyncio import AsyncEngine

import chatkit_store
from chatkit_store import (
    AllThreadsStore,
    ApiKeyStore,
    ApprovalDecision,
    ChatSessionStore,
    Cursors,
    Entry,
    HeartbeatStore,
    ImportStore,
    JournalStore,
    LimitReached,
    NewApproval,
    Owner,
    RequestKey,
    SqlStore,
    Starter,
    StatisticsStore,
    StoreError,
    SyncRun,
    TooManyUnsent,
    TurnEnd,
    TurnLimits,
    TurnStore,
    UploadStore,
    UserDataStore,
    WorkerRecord,
    new_id,
    notice_id,
)
from chatkit_store.acting import ALL_USERS
from chatkit_store.database import Database
from tests.conftest import fresh_database, opened
from tests.store.classes import public_methods, store_classes
from tests.store.crowd import GROWING, LONG_THREAD, fill
from tests.store.explainer import Execution, Explainer
from tests.store.factories import (
    ALICE,
    BOB,
    User,
    assistant_message,
    make_key,
    make_session,
    make_thread,
    make_turn,
    tool_call,
    user_message,
    widget_with,
)

pytestmark = pytest.mark.no_cover

MAX_INSTRUCTIONS = 15_000
"""Of SQLite's virtual machine, for one statement. 200 running turns take 6,000; 12,500 turns of a user 200,000."""
MAX_ROWS = 2_500
"""That PostgreSQL visits for one statement, counted at each step of its plan."""

SMALL_INDEXES = (
    "uq_turns_running",
    "ix_turns_running_worker",
    "ix_turns_running_user",
    "ix_attachments_unsent",
    "ix_turns_of_address",
)
"""Indexes of running turns, of files that were not sent and of the last minute's visitors: limits keep them few, so a
scan of one reads few rows."""
FIRST_ROWS = re.compile(r"\bFROM threads ORDER BY threads\.position (?:ASC|DESC)\s+LIMIT\b")
"""Reads the threads of all users in the order of their key, up to a limit: no index would spare it a row."""
LIMITS = TurnLimits(
    threads_per_user=900,
    items_per_thread=2_000,
    tokens_per_day=1000,
    turns_per_minute=30,
    turns_per_minute_of_session=20,
    turns_per_minute_of_address=40,
    running_turns=5,
)

ONLY_ON_POSTGRESQL = {
    "turns._LOCK_THREAD",
    "items.TAKE_FOR_TURN",
    "limits._LOCK",
    "acting._SET",
    "acting._SET_SCOPE",
    "notifications._NOTIFY",
    "journal._OF_ALL_POSTGRESQL",
}
ONLY_ON_SQLITE = {"journal._OF_ALL_SQLITE", "items._TAKE_FOR_TURN"}
PARTS = {
    "approvals._RUN",
    "approvals._UNDECIDED",
    "items._ALL",
    "items._OWN_TURN",
    "items._WITH_NOTICES",
    "journal._ENDED",
    "journal._ENTRY",
    "journal._OWN_TURN",
    "turns._END_PLAIN",
    "turns._NEWEST",
}
"""Statements that are only parts of others."""


def statements() -> dict[int, str]:
    """Return the names of all statements that modules of the store build, by id."""
    named: dict[int, str] = {}
    for module in pkgutil.iter_modules(chatkit_store.__path__):
        for name, member in vars(import_module(f"chatkit_store.{module.name}")).items():
            if isinstance(member, Select | Insert | Update | Delete):
                named.setdefault(id(member), f"{module.name}.{name}")
    return named


@pytest.fixture(params=["sqlite", "sqlite without statistics", "postgresql"])
async def crowded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """A database with the rows of others."""
    kind, _, lack = request.param.partition(" ")
    with fresh_database(kind, tmp_path, request) as url:
        async with opened(url) as engine:
            await fill(engine, analyze=not lack)
            yield engine


@pytest.fixture
def explainer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Explainer]:
    """Explains what runs within the public methods of all stores."""
    explainer = Explainer()
    for name, kind in store_classes().items():
        for method in public_methods(kind):
            monkeypatch.setattr(kind, method, _traced(explainer, f"{name}.{method}", getattr(kind, method)))
    with explainer.listening():
        yield explainer


def _traced(explainer: Explainer, name: str, method: Any) -> Any:
    @wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        outer, explainer.call = explainer.call, name
        explainer.calls.add(name)
        try:
            return await method(*args, **kwargs)
        finally:
            explainer.call = outer

    return call


async def test_no_statement_reads_the_rows_of_others(crowded: AsyncEngine, explainer: Explainer) -> None:
    store, turns, uploads = SqlStore[User](crowded), TurnStore(crowded), UploadStore(crowded)
    journal = JournalStore(crowded)
    for thread_id in (new_id("thr"), LONG_THREAD):
        await use_thread(thread_id, store, turns, journal)
    await use_approvals(store, turns)
    await use_sync_actions(store)
    await use_uploads(store, uploads)
    await use_workers(turns, journal, HeartbeatStore(crowded), StatisticsStore(crowded))
    await use_sessions(ChatSessionStore(crowded), ApiKeyStore(crowded))
    await use_imports(ImportStore(crowded))
    await use_all_threads(AllThreadsStore(crowded))
    await use_user_data(UserDataStore(crowded))
    await use_views(crowded, explainer)
    await use_limits(store, turns)
    faults = [str(execution) for execution in explainer.executions if is_wasteful(execution)]
    assert not faults, "\n\n".join(dict.fromkeys(faults))
    methods = {f"{name}.{method}" for name, kind in store_classes().items() for method in public_methods(kind)}
    assert methods - explainer.calls == set()
    missed = {name for key, name in statements().items() if key not in explainer.executed}
    assert missed - ONLY_ON_POSTGRESQL - ONLY_ON_SQLITE == PARTS


def is_wasteful(execution: Execution) -> bool:
    """Return whether a statement scans a table that grows, or does much more than its own rows need."""
    plan = [line for line in execution.plan if not any(index in line for index in SMALL_INDEXES)]
    scans = any(re.search(rf"\b(?:SCAN|Seq Scan) (?:{'|'.join(GROWING)})\b", line) for line in plan)
    scans = scans and not FIRST_ROWS.search(execution.statement)
    return scans or execution.instructions > MAX_INSTRUCTIONS or execution.rows > MAX_ROWS


async def small_thread(store: SqlStore[User]) -> str:
    thread = make_thread()
    await store.save_thread(thread, ALICE)
    await store.add_thread_items(thread.id, [user_message(), assistant_message()], ALICE)
    return thread.id


async def use_thread(thread_id: str, store: SqlStore[User], turns: TurnStore, journal: JournalStore) -> None:
    """Call what a conversation calls."""
    question, answer, turn, retry = user_message(), assistant_message(), make_turn(thread_id), None
    attachment = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain")
    await store.save_attachment(attachment, ALICE)
    question = question.model_copy(update={"attachments": [attachment]})
    if thread_id != LONG_THREAD:
        await store.save_thread(make_thread(id=thread_id), ALICE)
    thread = await store.load_thread(thread_id, ALICE)
    thread.title = "Tea"
    await store.save_thread(thread, ALICE)
    await store.save_thread(thread, ALICE)
    await store.name_thread(thread_id, "More tea", ALICE, instead_of="Tea")
    await store.name_thread(thread_id, "No tea", ALICE, instead_of="Tea")
    key = RequestKey(new_id("key"), 60)
    turn = replace(turn, user_item_id=question.id, worker_id="live")
    await turns.start(turn, ALICE, items=[question], key=key)
    with suppress(StoreError):
        await turns.start(make_turn(thread_id), ALICE, key=key)
    with suppress(StoreError):
        await turns.start(make_turn(thread_id), ALICE)
    await turns.running_on(thread_id, ALICE)
    await turns.find_duplicate(key, ALICE)
    await store.add_thread_items(thread_id, [answer], ALICE, turn.id, [answer.id], "live")
    await store.add_thread_items(thread_id, [answer, assistant_message()], ALICE, turn.id, [], "live")
    await store.saved_ids(thread_id, [answer.id], ALICE)
    await store.check_item_id(thread_id, answer.id, ALICE)
    entry = Entry(turn.id, 1, '{"type":"x"}')
    await journal.write([entry, Entry(turn.id, 2, "{}", ('{"type"',))], "live", {turn.id: []})
    await journal.write([], "live", None, [turn.id], changed_ids=[turn.id])
    await journal.read(turn.id, 0, ALICE)
    await journal.read_all({turn.id: 0, new_id("turn"): 7})
    await journal.read_signals("live")
    await turns.join(turn.id, ALICE)
    await turns.count_reader(turn.id, ALICE)
    await turns.ask_to_stop(turn.id, "user", ALICE)
    await turns.finish(turn.id, TurnEnd("completed"), ALICE, items=[answer], worker_id="live")
    await turns.start(make_turn(thread_id), ALICE, key=replace(key, seconds=0.0))
    running = await turns.running_on(thread_id, ALICE)
    assert running is not None
    await turns.finish(running.id, TurnEnd("interrupted", stop_reason="crash"), ALICE)
    await turns.finish_closed(running.id, TurnEnd("completed"), ALICE, items=[assistant_message()])
    await turns.release_key(running.id, ALICE)
    for should_restore in (True, False):
        retry = make_turn(thread_id, kind="threads.retry_after_item", user_item_id=question.id)
        await turns.start(retry, ALICE, replace_after=question.id)
        notice = widget_with("chatkit.retry", id=notice_id(retry.id))
        await turns.finish(retry.id, TurnEnd("failed"), ALICE, items=[notice], restore_replaced=should_restore)
    await read_thread(thread_id, question.id, turn.id, store, turns)
    widget = widget_with("click")
    await store.add_thread_item(thread_id, widget, ALICE)
    await store.has_withdrawn_action(thread_id, widget.id, "click", ALICE)
    await store.change_item(thread_id, widget.id, lambda item: item, ALICE)
    await store.add_feedback(thread_id, [widget.id], "positive", ALICE)
    await store.save_item(thread_id, widget, ALICE)
    await store.delete_thread_item(thread_id, widget.id, ALICE)


async def read_thread(thread_id: str, item_id: str, turn_id: str, store: SqlStore[User], turns: TurnStore) -> None:
    """Call what reads a conversation."""
    for order in ("asc", "desc"):
        await store.load_threads(20, None, order, ALICE)
        await store.load_threads(20, thread_id, order, ALICE)
        await store.load_threads(20, None, order, ALICE, newest=30)
        await store.load_threads(20, thread_id, order, ALICE, newest=30)
        for after in (None, item_id):
            await store.load_thread_items(thread_id, after, 20, order, ALICE)
            await store.load_visible_items(thread_id, after, 20, order, ALICE)
    page = await store.load_history(thread_id, None, 50, ALICE)
    assert page.window is not None
    await store.load_history(thread_id, page.before, 50, ALICE)
    await store.load_history(thread_id, None, 50, ALICE, page.window)
    await store.load_turn_items(thread_id, turn_id, ALICE)
    await store.load_since_user(thread_id, ALICE)
    await store.load_thread_state(thread_id, ALICE)
    await store.last_position(thread_id, ALICE)
    await store.load_item(thread_id, item_id, ALICE)
    await store.is_replaced(thread_id, item_id, ALICE)
    await turns.load(turn_id, ALICE)
    await turns.list(ALICE)
    await turns.list(ALICE, thread_id)
    if thread_id != LONG_THREAD:  # these read the items of one thread, however many
        await store.load_changed_items(thread_id, turn_id, ALICE)
        with suppress(StoreError):
            await store.load_visible_items(thread_id, None, 20, "asc", BOB)


async def use_approvals(store: SqlStore[User], turns: TurnStore) -> None:
    """Pause runs, and decide, take and expire them."""
    for _ in range(2):
        run_id, click = new_id("run"), make_turn(LONG_THREAD)
        call = NewApproval(id=new_id("apr"), item_id="card", call_id="call", tool="buy", arguments="{}")
        await store.approvals.pause(LONG_THREAD, run_id, "Clerk", {}, [call], ALICE)
        await store.approvals.waiting(LONG_THREAD, ALICE)
        await store.approvals.load(LONG_THREAD, call.id, ALICE)
        await store.approvals.load_run(LONG_THREAD, run_id, ALICE)
        await turns.start(click, ALICE, decisions=[ApprovalDecision(call.id, "approved")])
        await turns.finish(click.id, TurnEnd("completed"), ALICE)
        await store.approvals.take(LONG_THREAD, run_id, ALICE)
    await store.approvals.expire(LONG_THREAD, ALICE)


async def use_sync_actions(store: SqlStore[User]) -> None:
    """Run synchronous actions."""
    for _ in range(2):
        run = SyncRun(new_id("act"), "click", LONG_THREAD, "live")
        await store.sync_actions.begin(run, 60, ALICE)
        await store.sync_actions.begin(run, 60, ALICE)
        await store.sync_actions.load(run.key, run.id, ALICE)
        await store.sync_actions.forget(run.key, run.id, ALICE)
    await store.sync_actions.end(run, "done", "{}", ALICE)
    await store.sync_actions.prune()


async def use_uploads(store: SqlStore[User], uploads: UploadStore) -> None:
    """Upload, send and delete files."""
    for is_sent in (True, False):
        attachment = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain")
        await uploads.add(attachment, ALICE, size=3, limit=100_000, owner_bytes=10**9)
        await uploads.claim(attachment.id, ALICE)
        await uploads.release(attachment.id, ALICE)
        await uploads.claim(attachment.id, ALICE)
        await uploads.finish(attachment, 3, ALICE)
        await uploads.load(attachment.id, ALICE)
        await uploads.sizes([attachment.id], ALICE)
        await uploads.stored([attachment.id], ALICE)
        await uploads.existing([attachment.id])
        await store.load_attachment(attachment.id, ALICE)
        await (uploads.keep(attachment, 3, ALICE) if is_sent else uploads.forget(attachment.id, ALICE))
        await (uploads.drop(attachment.id, ALICE) if is_sent else uploads.add(attachment, BOB, size=3, limit=0))
    await store.save_attachment(attachment, ALICE)
    await store.delete_attachment(attachment.id, ALICE)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    newcomer = attachment.model_copy(update={"id": new_id("atc")})
    with pytest.raises(TooManyUnsent):
        await uploads.add(newcomer, User(new_id("user")), size=3, limit=9, newcomers=50, since=yesterday)
    await uploads.unsent_bytes()
    await uploads.list_unsent(yesterday)
    await uploads.delete_unsent(yesterday)


async def use_limits(store: SqlStore[User], turns: TurnStore) -> None:
    """Start turns under limits, and delete threads with what limits count."""
    thread_id = await small_thread(store)
    for thread in (None, make_thread()):
        turn = make_turn(thread_id if thread is None else thread.id, session_id="cksess", address_key="address")
        await turns.start(turn, ALICE, new_thread=thread, items=[user_message()], allowed=LIMITS)
        await turns.finish(turn.id, TurnEnd("completed", input_tokens=3, output_tokens=4), ALICE)
    with pytest.raises(LimitReached, match="items_per_thread"):
        await turns.check_limits(LIMITS, Starter(LONG_THREAD), ALICE)
    await turns.tenant_tokens("acme", datetime.now(UTC) - timedelta(days=1))
    await store.delete_thread(thread_id, ALICE)
    await turns.prune_limits()


async def use_workers(
    turns: TurnStore, journal: JournalStore, heartbeats: HeartbeatStore, statistics: StatisticsStore
) -> None:
    """Call what workers call for themselves."""
    await heartbeats.beat(WorkerRecord("other", "far", "2"))
    await turns.start(make_turn(LONG_THREAD, worker_id="dead"), ALICE)
    await turns.running_by("live")
    for turn in await turns.adopt("other", ["run_1"]):
        await turns.finish(turn.id, TurnEnd("interrupted"), ALICE)
    await journal.prune(60)
    await statistics.load(300)
    await heartbeats.forget(["other"])


async def use_sessions(sessions: ChatSessionStore, keys: ApiKeyStore) -> None:
    """Make, find, renew and cancel sessions, and keys."""
    session, key = make_session(), make_key()
    await sessions.create(session)
    assert await sessions.create_for_page(make_session())
    assert not await sessions.create_for_page(make_session(user_id="user1")), "this user has too many"
    await sessions.find(session.secret_hash)
    await sessions.renew(session.secret_hash, new_id("cksess"), new_id("hash"), 60)
    await sessions.cancel(session.session_id)
    await sessions.prune(datetime.now(UTC))
    await keys.create(key)
    await keys.find(key.key_hash)
    await keys.list()
    await keys.is_empty()
    await keys.revoke(key.id)


async def use_imports(imports: ImportStore) -> None:
    """Take threads over, under free ids and others."""
    owner, call = Owner(ALICE.tenant, ALICE.user_id), tool_call()
    for source_id in (new_id("cthr"), LONG_THREAD):
        for _ in range(2):
            await imports.begin(source_id, make_thread(id=source_id), owner)
            await imports.append(source_id, [user_message(id="msg_x1"), call], "msg_x1", owner)
            await imports.count_new(source_id, [user_message(id="msg_x1"), call], owner)
        await imports.find(source_id, owner)


async def use_all_threads(threads: AllThreadsStore) -> None:
    """Read the threads of all users."""
    orders: tuple[Literal["asc", "desc"], ...] = ("asc", "desc")
    for order, after, before in product(orders, (None, "thr_x100"), (None, "thr_x2000")):
        for user, tenant in product((None, "bob", "alice"), (None, "", "nobody's")):
            await threads.load_threads(Cursors(after, before), 20, order, user_id=user, tenant=tenant)
    for order, after, before in product(orders, (None, "msg_x100"), (None, "msg_x2000")):
        await threads.load_items(LONG_THREAD, Cursors(after, before), 20, order)
    await threads.load_thread("thr_x100")


async def use_user_data(data: UserDataStore) -> None:
    """Forget a user."""
    await data.delete(Owner("", "bob"))


async def use_views(engine: AsyncEngine, explainer: Explainer) -> None:
    """Query the views as an administrator would, for a thread and for a user."""
    database = Database(engine)
    for view, column, value in (
        ("messages", "thread_id", "thr_x2001"),
        ("messages", "user_id", "bob"),
        ("thread_overview", "thread_id", "thr_x2001"),
        ("thread_overview", "user_id", "bob"),
        ("turn_stats", "thread_id", "thr_x2001"),
        ("turn_stats", "user_id", "bob"),
    ):
        explainer.call = f"the view {view} by {column}"
        query = text(f"SELECT * FROM {view} WHERE {column} = :value").bindparams(value=value)
        await database.read(partial(Connection.execute, statement=query), ALL_USERS)
    explainer.call = ""
