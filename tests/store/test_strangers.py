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
    IdClash,
    JournalStore,
    NewApproval,
    NewTurn,
    RequestKey,
    SqlStore,
    SyncRun,
    TurnEnd,
    TurnStore,
    UploadStore,
    new_id,
)
from chatkit_store.limits import Starter, TurnLimits
from tests.conftest import also_guarded
from tests.store.classes import public_methods, store_classes
from tests.store.conftest import Query
from tests.store.factories import ALICE, BOB, User, assistant_message, make_thread, make_turn, user_message, widget_with

OF_THE_SERVER = {
    "HeartbeatStore",
    "StatisticsStore",
    "ChatSessionStore",
    "ApiKeyStore",
    "ImportStore",
    "AllThreadsStore",
    "UserDataStore",
}
"""Stores whose methods have no user: the server calls them for itself, or finds out by them who sends a request; or an
administrator does, who names the owner (tests/store/test_imports.py) or reads the threads of all."""

WITHOUT_USER = {
    "TurnStore.adopt",
    "TurnStore.running_by",
    "TurnStore.tenant_tokens",
    "TurnStore.prune_limits",
    "JournalStore.write",
    "JournalStore.prune",
    "JournalStore.read_all",
    "JournalStore.read_signals",
    "SyncActionStore.prune",
    "UploadStore.delete_unsent",
    "UploadStore.list_unsent",
    "UploadStore.existing",
    "UploadStore.unsent_bytes",
}
"""Methods that a worker calls for itself: they take no context, and their result goes to no user."""

QUIET = {
    "SqlStore.has_withdrawn_action",
    "SqlStore.saved_ids",
    "SqlStore.is_replaced",
    "TurnStore.finish",
    "TurnStore.running_on",
    "TurnStore.check_limits",
    "TurnStore.find_duplicate",
    "TurnStore.ask_to_stop",
    "TurnStore.join",
    "TurnStore.count_reader",
    "TurnStore.release_key",
    "TurnStore.finish_closed",
    "ApprovalStore.take",
    "SyncActionStore.load",
    "SyncActionStore.end",
    "SyncActionStore.forget",
}
"""Methods that return nothing or False instead of raising, like for a turn whose thread was deleted."""

TWIN = User(ALICE.user_id, tenant="other")
"""A user with Alice's id in another tenant."""

LOWEST = TurnLimits(items_per_thread=1, turns_per_minute=1, turns_per_minute_of_session=1, running_turns=1)
"""Limits that she has reached, and the stranger has not."""
KEY = RequestKey("hers", 60)
RUN = SyncRun(new_id("act"), "her click", "", "worker")
TABLES = ("threads", "thread_items", "turns", "attachments", "feedback", "paused_runs", "approvals", "sync_actions")


@pytest.fixture(params=[BOB, TWIN], ids=["another user", "another tenant"])
def stranger(request: pytest.FixtureRequest) -> User:
    """Someone else than Alice."""
    assert isinstance(request.param, User)
    return request.param


@dataclass
class Hers:
    """Data of Alice, and a thread of the stranger."""

    thread: ThreadMetadata
    item_id: str
    widget_id: str
    approval_id: str
    run_id: str
    turn: NewTurn
    attachment: FileAttachment
    strangers: ThreadMetadata


@pytest.fixture
async def hers(store: SqlStore[User], turns: TurnStore, stranger: User) -> Hers:
    """A thread of Alice with everything in it."""
    thread, strangers, item = make_thread(title="hers"), make_thread(), user_message()
    attachment = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain", thread_id=thread.id)
    turn = make_turn(thread.id)
    await store.save_thread(strangers, stranger)
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
    return Hers(thread, item.id, widget.id, call.id, decided, turn, attachment, strangers)


async def _decided_run(store: SqlStore[User], turns: TurnStore, thread: ThreadMetadata) -> str:
    """Save a run of Alice that can be taken; return its id."""
    run_id, click = new_id("run"), make_turn(thread.id)
    call = NewApproval(id=new_id("apr"), item_id="card", call_id="call_0", tool="buy", arguments="{}")
    await store.save_thread(thread, ALICE)
    await store.approvals.pause(thread.id, run_id, "Clerk", {"any": "state"}, [call], ALICE)
    await turns.start(click, ALICE, decisions=[ApprovalDecision(call.id, "approved")])
    await turns.finish(click.id, TurnEnd("completed"), ALICE)
    return run_id


def attempts_on(
    store: SqlStore[User], turns: TurnStore, journal: JournalStore, hers: Hers, stranger: User
) -> dict[str, list[Callable[[], Awaitable[Any]]]]:
    """Return calls that the stranger may try with her ids, by method."""
    thread, item, own, approval = hers.thread.id, hers.item_id, hers.strangers.id, hers.approval_id
    copied = hers.attachment.model_copy(update={"id": new_id("atc")})
    stolen = hers.attachment.model_copy(update={"thread_id": None})
    again = make_turn(own, id=hers.turn.id)
    return {
        "SqlStore.load_thread": [lambda: store.load_thread(thread, stranger)],
        "SqlStore.load_threads": [lambda: store.load_threads(10, thread, "asc", stranger)],
        "SqlStore.save_thread": [
            lambda: store.save_thread(hers.thread, stranger),
            lambda: store.save_thread(hers.thread.model_copy(update={"title": "mine"}), stranger),
        ],
        "SqlStore.name_thread": [lambda: store.name_thread(thread, "mine", stranger, instead_of="hers")],
        "SqlStore.delete_thread": [lambda: store.delete_thread(thread, stranger)],
        "SqlStore.load_thread_items": [
            lambda: store.load_thread_items(thread, None, 10, "asc", stranger),
            lambda: store.load_thread_items(thread, item, 10, "asc", stranger),
            lambda: store.load_thread_items(own, item, 10, "asc", stranger),
        ],
        "SqlStore.load_visible_items": [
            lambda: store.load_visible_items(thread, None, 10, "desc", stranger),
            lambda: store.load_visible_items(own, item, 10, "desc", stranger),
        ],
        "SqlStore.load_history": [lambda: store.load_history(thread, None, 10, stranger)],
        "SqlStore.load_turn_items": [lambda: store.load_turn_items(thread, hers.turn.id, stranger)],
        "SqlStore.load_changed_items": [lambda: store.load_changed_items(thread, hers.turn.id, stranger)],
        "SqlStore.load_item": [
            lambda: store.load_item(thread, item, stranger),
            lambda: store.load_item(own, item, stranger),
        ],
        "SqlStore.add_thread_item": [
            lambda: store.add_thread_item(thread, user_message(), stranger),
            lambda: store.add_thread_item(own, user_message(id=item), stranger),
        ],
        "SqlStore.save_item": [
            lambda: store.save_item(thread, user_message(id=item), stranger),
            lambda: store.save_item(own, user_message(id=item), stranger),
        ],
        "SqlStore.add_thread_items": [
            lambda: store.add_thread_items(thread, [], stranger),
            lambda: store.add_thread_items(own, [user_message(), user_message(id=item)], stranger),
        ],
        "SqlStore.is_replaced": [lambda: store.is_replaced(thread, item, stranger)],
        "SqlStore.last_position": [lambda: store.last_position(thread, stranger)],
        "SqlStore.load_thread_state": [lambda: store.load_thread_state(thread, stranger)],
        "SqlStore.load_since_user": [lambda: store.load_since_user(thread, stranger)],
        "SqlStore.change_item": [
            lambda: store.change_item(thread, item, lambda _: user_message(id=item), stranger),
            lambda: store.change_item(own, item, lambda _: user_message(id=item), stranger),
        ],
        "SqlStore.has_withdrawn_action": [lambda: store.has_withdrawn_action(thread, hers.widget_id, "gone", stranger)],
        "SqlStore.delete_thread_item": [
            lambda: store.delete_thread_item(thread, item, stranger),
            lambda: store.delete_thread_item(own, item, stranger),
        ],
        "SqlStore.add_feedback": [
            lambda: store.add_feedback(thread, [item], "negative", stranger),
            lambda: store.add_feedback(own, [item], "negative", stranger),
        ],
        "SqlStore.save_attachment": [
            lambda: store.save_attachment(stolen, stranger),
            lambda: store.save_attachment(hers.attachment, stranger),
            lambda: store.save_attachment(copied, stranger),
        ],
        "SqlStore.load_attachment": [lambda: store.load_attachment(hers.attachment.id, stranger)],
        "SqlStore.delete_attachment": [lambda: store.delete_attachment(hers.attachment.id, stranger)],
        "TurnStore.start": [
            lambda: turns.start(make_turn(thread), stranger, items=[user_message()]),
            lambda: turns.start(make_turn(thread), stranger, new_thread=make_thread(id=thread)),
            lambda: turns.start(make_turn(own), stranger, replace_after=item),
            lambda: turns.start(make_turn(own), stranger, items=[user_message(id=item)]),
            lambda: turns.start(again, stranger, items=[user_message()]),
            lambda: turns.start(make_turn(thread), stranger, decisions=[ApprovalDecision(approval, "approved")]),
            lambda: turns.start(make_turn(own), stranger, decisions=[ApprovalDecision(approval, "approved")]),
        ],
        "ApprovalStore.pause": [lambda: store.approvals.pause(thread, new_id("run"), "Clerk", {}, [], stranger)],
        "ApprovalStore.load": [
            lambda: store.approvals.load(thread, approval, stranger),
            lambda: store.approvals.load(own, approval, stranger),
        ],
        "ApprovalStore.load_run": [
            lambda: store.approvals.load_run(thread, hers.run_id, stranger),
            lambda: store.approvals.load_run(own, hers.run_id, stranger),
        ],
        "ApprovalStore.take": [
            lambda: store.approvals.take(thread, hers.run_id, stranger),
            lambda: store.approvals.take(own, hers.run_id, stranger),
        ],
        "ApprovalStore.waiting": [lambda: store.approvals.waiting(thread, stranger)],
        "ApprovalStore.expire": [lambda: store.approvals.expire(thread, stranger)],
        "TurnStore.finish": [
            lambda: turns.finish(
                hers.turn.id, TurnEnd("failed"), stranger, items=[assistant_message()], restore_replaced=True
            )
        ],
        "SqlStore.saved_ids": [
            lambda: store.saved_ids(thread, [item], stranger),
            lambda: store.saved_ids(own, [item], stranger),
        ],
        "SqlStore.check_item_id": [
            lambda: store.check_item_id(thread, item, stranger),
            lambda: store.check_item_id(own, item, stranger),
        ],
        "TurnStore.check_limits": [lambda: turns.check_limits(LOWEST, Starter(thread), stranger)],
        "TurnStore.running_on": [lambda: turns.running_on(thread, stranger)],
        "TurnStore.find_duplicate": [lambda: turns.find_duplicate(KEY, stranger)],
        "TurnStore.ask_to_stop": [lambda: turns.ask_to_stop(hers.turn.id, "user", stranger)],
        "TurnStore.join": [lambda: turns.join(hers.turn.id, stranger)],
        "TurnStore.count_reader": [lambda: turns.count_reader(hers.turn.id, stranger)],
        "TurnStore.release_key": [lambda: turns.release_key(hers.turn.id, stranger)],
        "TurnStore.finish_closed": [
            lambda: turns.finish_closed(hers.turn.id, TurnEnd("completed"), stranger, items=[assistant_message()])
        ],
        "SyncActionStore.begin": [
            lambda: store.sync_actions.begin(replace(RUN, thread_id=thread), 60, stranger),
            lambda: store.sync_actions.begin(replace(RUN, key="his click", thread_id=thread), 60, stranger),
        ],
        "SyncActionStore.load": [lambda: store.sync_actions.load(RUN.key, RUN.id, stranger)],
        "SyncActionStore.end": [lambda: store.sync_actions.end(RUN, "done", "{}", stranger)],
        "SyncActionStore.forget": [lambda: store.sync_actions.forget(RUN.key, RUN.id, stranger)],
        "JournalStore.read": [lambda: journal.read(hers.turn.id, 0, stranger)],
        "TurnStore.load": [lambda: turns.load(hers.turn.id, stranger)],
        "TurnStore.list": [lambda: turns.list(stranger, thread)],
    }


@also_guarded
async def test_stranger_reads_and_changes_nothing_with_any_method(
    store: SqlStore[User], turns: TurnStore, journal: JournalStore, hers: Hers, stranger: User, sql: Query
) -> None:
    before = [await sql(f"SELECT * FROM {table} ORDER BY id") for table in TABLES]
    attempts = attempts_on(store, turns, journal, hers, stranger)
    for method, calls in attempts.items():
        for call in calls:
            if method in QUIET:
                assert not await call()
                continue
            with pytest.raises((NotFoundError, IdClash)):
                await call()
    assert [await sql(f"SELECT * FROM {table} ORDER BY id") for table in TABLES] == before
    assert [thread.id for thread in (await store.load_threads(10, None, "asc", stranger)).data] == [hers.strangers.id]
    assert await turns.list(stranger) == []
    others = {method for method in user_methods() if not method.startswith("UploadStore.")}
    assert set(attempts) == others, "a method has no case here"


@also_guarded
async def test_stranger_reads_and_changes_no_upload(uploads: UploadStore, stranger: User, sql: Query) -> None:
    hers = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain")
    assert await uploads.add(hers, ALICE, size=3, limit=9)
    for step in (uploads.claim, uploads.release, uploads.forget, uploads.drop):
        assert not await step(hers.id, stranger)
    assert await uploads.claim(hers.id, ALICE)
    before = await sql("SELECT * FROM attachments")
    assert not await uploads.finish(hers.model_copy(update={"name": "his"}), 3, stranger)
    assert not await uploads.release(hers.id, stranger)
    with pytest.raises(NotFoundError):
        await uploads.load(hers.id, stranger)
    assert await sql("SELECT * FROM attachments") == before
    assert await uploads.finish(hers, 3, ALICE)
    assert (await uploads.stored([hers.id], stranger), await uploads.stored([hers.id], ALICE)) == (set(), {hers.id})
    assert (await uploads.sizes([hers.id], stranger), await uploads.sizes([hers.id], ALICE)) == ({}, {hers.id: 3})
    assert not await uploads.forget(hers.id, stranger)
    assert await uploads.add(hers.model_copy(update={"id": new_id("atc")}), stranger, size=3, limit=1)
    with pytest.raises((NotFoundError, IdClash)):
        await uploads.keep(hers, 9, stranger)
    covered = {"keep", "add", "claim", "release", "forget", "drop", "finish", "load", "stored", "sizes"}
    assert {f"UploadStore.{method}" for method in covered} == {
        m for m in user_methods() if m.startswith("UploadStore.")
    }


def user_methods() -> set[str]:
    """Return all public methods of stores that act for a user, except those that are known to act for all."""
    stores = {name: kind for name, kind in store_classes().items() if name not in OF_THE_SERVER}
    return {f"{name}.{method}" for name, kind in stores.items() for method in public_methods(kind)} - WITHOUT_USER


def test_every_method_with_a_user_takes_the_context() -> None:
    for name, kind in store_classes().items():
        for method in public_methods(kind):
            has_user = "context" in inspect.signature(getattr(kind, method)).parameters
            is_known = name in OF_THE_SERVER or f"{name}.{method}" in WITHOUT_USER
            assert has_user is not is_known, f"{name}.{method}"


@also_guarded
async def test_missing_ids_raise_the_same_error_as_another_users(
    store: SqlStore[User], hers: Hers, stranger: User
) -> None:
    for thread_id in (hers.thread.id, "thr_missing"):
        with pytest.raises(NotFoundError) as raised:
            await store.load_thread(thread_id, stranger)
        assert str(raised.value) == f"Thread {thread_id} not found"


def test_store_has_every_method_of_chatkits() -> None:
    assert SqlStore.__abstractmethods__ == frozenset()
    assert public_methods(Store) <= public_methods(SqlStore)
