"""Every store method treats another user's ids as nonexistent, and changes nothing of that user."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from chatkit.store import NotFoundError, Store
from chatkit.types import FileAttachment, ThreadMetadata

from chatkit_store import (
    ApprovalDecision,
    ApprovalStore,
    IdClash,
    JournalStore,
    NewApproval,
    NewTurn,
    RequestKey,
    SqlStore,
    SyncActionStore,
    SyncRun,
    TurnEnd,
    TurnStore,
    UploadStore,
    new_id,
)
from tests.store.conftest import Query
from tests.store.factories import ALICE, BOB, User, assistant_message, make_thread, make_turn, user_message, widget_with

WITHOUT_USER = {"adopt", "running_by", "write", "prune", "delete_unsent", "list_unsent", "existing", "unsent_bytes"}
"""Methods that a worker calls for itself: they take no context, and their result goes to no user."""

QUIET = {
    "finish",
    "has_withdrawn_action",
    "saved_ids",
    "running_on",
    "find_duplicate",
    "ask_to_stop",
    "join",
    "count_reader",
    "release_key",
    "finish_closed",
    "is_replaced",
    "take",
    "load run",
    "end",
    "forget",
}
"""Methods that return nothing or False instead of raising, like for a turn whose thread was deleted."""

KEY = RequestKey("hers", 60)
RUN = SyncRun(new_id("act"), "her click", "", "worker")
TABLES = ("threads", "thread_items", "turns", "attachments", "feedback", "paused_runs", "approvals", "sync_actions")


@dataclass
class Hers:
    """Data of Alice, and a thread of Bob."""

    thread: ThreadMetadata
    item_id: str
    widget_id: str
    approval_id: str
    run_id: str
    turn: NewTurn
    attachment: FileAttachment
    bobs: ThreadMetadata


@pytest.fixture
async def hers(store: SqlStore[User], turns: TurnStore) -> Hers:
    """A thread of Alice with everything in it."""
    thread, bobs, item = make_thread(title="hers"), make_thread(), user_message()
    attachment = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain", thread_id=thread.id)
    turn = make_turn(thread.id)
    await store.save_thread(bobs, BOB)
    decided = await _decided_run(store, turns, thread)
    await turns.start(turn, ALICE, items=[item], key=KEY)
    await store.save_attachment(attachment, ALICE)
    await store.add_feedback(thread.id, [item.id], "positive", ALICE)
    widget = widget_with("gone")
    await store.add_thread_item(thread.id, widget, ALICE)
    await store.add_thread_item(thread.id, widget_with(id=widget.id), ALICE)
    assert await store.has_withdrawn_action(thread.id, widget.id, "gone", ALICE)
    call = NewApproval(id=new_id("apr"), item_id=widget.id, call_id="call_1", tool="buy", arguments="{}")
    await store.approvals.pause(thread.id, new_id("run"), "Clerk", {"any": "state"}, [call], ALICE)
    await store.sync_actions.begin(replace(RUN, thread_id=thread.id), 60, ALICE)
    return Hers(thread, item.id, widget.id, call.id, decided, turn, attachment, bobs)


async def _decided_run(store: SqlStore[User], turns: TurnStore, thread: ThreadMetadata) -> str:
    """Save a run of Alice that can be taken; return its id."""
    run_id, click = new_id("run"), make_turn(thread.id)
    call = NewApproval(id=new_id("apr"), item_id="card", call_id="call_0", tool="buy", arguments="{}")
    await store.save_thread(thread, ALICE)
    await store.approvals.pause(thread.id, run_id, "Clerk", {"any": "state"}, [call], ALICE)
    await turns.start(click, ALICE, decision=ApprovalDecision(call.id, "approved"))
    await turns.finish(click.id, TurnEnd("completed"), ALICE)
    return run_id


def attempts_on(
    store: SqlStore[User], turns: TurnStore, journal: JournalStore, hers: Hers
) -> dict[str, list[Callable[[], Awaitable[Any]]]]:
    """Return calls that Bob may try with her ids, by method name."""
    thread, item, bobs, approval = hers.thread.id, hers.item_id, hers.bobs.id, hers.approval_id
    copied = hers.attachment.model_copy(update={"id": new_id("atc")})
    stolen = hers.attachment.model_copy(update={"thread_id": None})
    again = make_turn(bobs, id=hers.turn.id)
    return {
        "load_thread": [lambda: store.load_thread(thread, BOB)],
        "load_threads": [lambda: store.load_threads(10, thread, "asc", BOB)],
        "save_thread": [
            lambda: store.save_thread(hers.thread, BOB),
            lambda: store.save_thread(hers.thread.model_copy(update={"title": "mine"}), BOB),
        ],
        "name_thread": [lambda: store.name_thread(thread, "mine", BOB, instead_of="hers")],
        "delete_thread": [lambda: store.delete_thread(thread, BOB)],
        "load_thread_items": [
            lambda: store.load_thread_items(thread, None, 10, "asc", BOB),
            lambda: store.load_thread_items(thread, item, 10, "asc", BOB),
            lambda: store.load_thread_items(bobs, item, 10, "asc", BOB),
        ],
        "load_visible_items": [
            lambda: store.load_visible_items(thread, None, 10, "desc", BOB),
            lambda: store.load_visible_items(bobs, item, 10, "desc", BOB),
        ],
        "load_history": [lambda: store.load_history(thread, None, 10, BOB)],
        "load_turn_items": [lambda: store.load_turn_items(thread, hers.turn.id, BOB)],
        "load_changed_items": [lambda: store.load_changed_items(thread, hers.turn.id, BOB)],
        "load_item": [lambda: store.load_item(thread, item, BOB), lambda: store.load_item(bobs, item, BOB)],
        "add_thread_item": [
            lambda: store.add_thread_item(thread, user_message(), BOB),
            lambda: store.add_thread_item(bobs, user_message(id=item), BOB),
        ],
        "save_item": [
            lambda: store.save_item(thread, user_message(id=item), BOB),
            lambda: store.save_item(bobs, user_message(id=item), BOB),
        ],
        "add_thread_items": [
            lambda: store.add_thread_items(thread, [], BOB),
            lambda: store.add_thread_items(bobs, [user_message(), user_message(id=item)], BOB),
        ],
        "is_replaced": [lambda: store.is_replaced(thread, item, BOB)],
        "last_position": [lambda: store.last_position(thread, BOB)],
        "load_since_user": [lambda: store.load_since_user(thread, BOB)],
        "change_item": [
            lambda: store.change_item(thread, item, lambda _: user_message(id=item), BOB),
            lambda: store.change_item(bobs, item, lambda _: user_message(id=item), BOB),
        ],
        "has_withdrawn_action": [lambda: store.has_withdrawn_action(thread, hers.widget_id, "gone", BOB)],
        "delete_thread_item": [
            lambda: store.delete_thread_item(thread, item, BOB),
            lambda: store.delete_thread_item(bobs, item, BOB),
        ],
        "add_feedback": [
            lambda: store.add_feedback(thread, [item], "negative", BOB),
            lambda: store.add_feedback(bobs, [item], "negative", BOB),
        ],
        "save_attachment": [
            lambda: store.save_attachment(stolen, BOB),
            lambda: store.save_attachment(hers.attachment, BOB),
            lambda: store.save_attachment(copied, BOB),
        ],
        "load_attachment": [lambda: store.load_attachment(hers.attachment.id, BOB)],
        "delete_attachment": [lambda: store.delete_attachment(hers.attachment.id, BOB)],
        "start": [
            lambda: turns.start(make_turn(thread), BOB, items=[user_message()]),
            lambda: turns.start(make_turn(thread), BOB, new_thread=make_thread(id=thread)),
            lambda: turns.start(make_turn(bobs), BOB, replace_after=item),
            lambda: turns.start(make_turn(bobs), BOB, items=[user_message(id=item)]),
            lambda: turns.start(again, BOB, items=[user_message()]),
            lambda: turns.start(make_turn(thread), BOB, decision=ApprovalDecision(approval, "approved")),
            lambda: turns.start(make_turn(bobs), BOB, decision=ApprovalDecision(approval, "approved")),
        ],
        "pause": [lambda: store.approvals.pause(thread, new_id("run"), "Clerk", {}, [], BOB)],
        "load approval": [
            lambda: store.approvals.load(thread, approval, BOB),
            lambda: store.approvals.load(bobs, approval, BOB),
        ],
        "load_run": [
            lambda: store.approvals.load_run(thread, hers.run_id, BOB),
            lambda: store.approvals.load_run(bobs, hers.run_id, BOB),
        ],
        "take": [
            lambda: store.approvals.take(thread, hers.run_id, BOB),
            lambda: store.approvals.take(bobs, hers.run_id, BOB),
        ],
        "waiting": [lambda: store.approvals.waiting(thread, BOB)],
        "expire": [lambda: store.approvals.expire(thread, BOB)],
        "finish": [
            lambda: turns.finish(
                hers.turn.id, TurnEnd("failed"), BOB, items=[assistant_message()], restore_replaced=True
            )
        ],
        "saved_ids": [lambda: store.saved_ids(thread, [item], BOB), lambda: store.saved_ids(bobs, [item], BOB)],
        "running_on": [lambda: turns.running_on(thread, BOB)],
        "find_duplicate": [lambda: turns.find_duplicate(KEY, BOB)],
        "ask_to_stop": [lambda: turns.ask_to_stop(hers.turn.id, "user", BOB)],
        "join": [lambda: turns.join(hers.turn.id, BOB)],
        "count_reader": [lambda: turns.count_reader(hers.turn.id, BOB)],
        "release_key": [lambda: turns.release_key(hers.turn.id, BOB)],
        "finish_closed": [
            lambda: turns.finish_closed(hers.turn.id, TurnEnd("completed"), BOB, items=[assistant_message()])
        ],
        "begin": [
            lambda: store.sync_actions.begin(replace(RUN, thread_id=thread), 60, BOB),
            lambda: store.sync_actions.begin(replace(RUN, key="his click", thread_id=thread), 60, BOB),
        ],
        "load run": [lambda: store.sync_actions.load(RUN.key, RUN.id, BOB)],
        "end": [lambda: store.sync_actions.end(RUN, "done", "{}", BOB)],
        "forget": [lambda: store.sync_actions.forget(RUN.key, RUN.id, BOB)],
        "read": [lambda: journal.read(hers.turn.id, 0, BOB)],
        "load": [lambda: turns.load(hers.turn.id, BOB)],
        "list": [lambda: turns.list(BOB, thread)],
    }


async def test_stranger_reads_and_changes_nothing_with_any_method(
    store: SqlStore[User], turns: TurnStore, journal: JournalStore, hers: Hers, sql: Query
) -> None:
    before = [await sql(f"SELECT * FROM {table} ORDER BY id") for table in TABLES]
    attempts = attempts_on(store, turns, journal, hers)
    for method, calls in attempts.items():
        for call in calls:
            if method in QUIET:
                assert not await call()
                continue
            with pytest.raises((NotFoundError, IdClash)):
                await call()
    assert [await sql(f"SELECT * FROM {table} ORDER BY id") for table in TABLES] == before
    assert [thread.id for thread in (await store.load_threads(10, None, "asc", BOB)).data] == [hers.bobs.id]
    assert await turns.list(BOB) == []
    stores = (SqlStore, TurnStore, ApprovalStore, JournalStore, SyncActionStore)
    methods = set[str]().union(*map(methods_of, stores))
    assert {method.split()[0] for method in attempts} == methods - WITHOUT_USER


async def test_stranger_reads_and_changes_no_upload(uploads: UploadStore, sql: Query) -> None:
    hers = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain")
    assert await uploads.add(hers, ALICE, size=3, limit=9)
    for step in (uploads.claim, uploads.release, uploads.forget, uploads.drop):
        assert not await step(hers.id, BOB)
    assert await uploads.claim(hers.id, ALICE)
    before = await sql("SELECT * FROM attachments")
    assert not await uploads.finish(hers.model_copy(update={"name": "his"}), 3, BOB)
    assert not await uploads.release(hers.id, BOB)
    with pytest.raises(NotFoundError):
        await uploads.load(hers.id, BOB)
    assert await sql("SELECT * FROM attachments") == before
    assert await uploads.finish(hers, 3, ALICE)
    assert (await uploads.stored([hers.id], BOB), await uploads.stored([hers.id], ALICE)) == (set(), {hers.id})
    assert (await uploads.sizes([hers.id], BOB), await uploads.sizes([hers.id], ALICE)) == ({}, {hers.id: 3})
    assert not await uploads.forget(hers.id, BOB)
    assert await uploads.add(hers.model_copy(update={"id": new_id("atc")}), BOB, size=3, limit=1)
    with pytest.raises((NotFoundError, IdClash)):
        await uploads.keep(hers, 9, BOB)
    covered = {"keep", "add", "claim", "release", "forget", "drop", "finish", "load", "stored", "sizes"}
    assert covered == methods_of(UploadStore) - WITHOUT_USER


def methods_of(kind: type) -> set[str]:
    """Return the names of all public coroutine methods."""
    return {name for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction) if not name.startswith("_")}


async def test_missing_ids_raise_the_same_error_as_another_users(store: SqlStore[User], hers: Hers) -> None:
    for thread_id in (hers.thread.id, "thr_missing"):
        with pytest.raises(NotFoundError) as raised:
            await store.load_thread(thread_id, BOB)
        assert str(raised.value) == f"Thread {thread_id} not found"


def test_store_has_every_method_of_chatkits() -> None:
    assert SqlStore.__abstractmethods__ == frozenset()
    assert methods_of(Store) <= methods_of(SqlStore)
