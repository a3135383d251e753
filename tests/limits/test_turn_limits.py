"""What the transaction that starts a turn refuses: exactly, also for calls at once, and whatever is deleted since."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatkit.types import FileAttachment, ThreadMetadata
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import (
    LimitReached,
    NewTurn,
    SqlStore,
    Starter,
    TurnEnd,
    TurnLimits,
    TurnStore,
    UploadStore,
    new_id,
    open_engine,
)
from chatkit_store.errors import ThreadBusy
from tests.conftest import also_guarded
from tests.store.conftest import Query
from tests.store.factories import ALICE, BOB, User, make_thread, make_turn, user_message

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class TenantUser(User):
    """A user of a tenant."""

    tenant: str = "acme"


async def begin(turns: TurnStore, limits: TurnLimits, user: User = ALICE, **fields: Any) -> NewTurn:
    """Start a turn on a new thread."""
    thread = make_thread()
    turn = make_turn(thread.id, **fields)
    await turns.start(turn, user, new_thread=thread, items=[user_message()], allowed=limits)
    return turn


async def begin_many(
    places: Sequence[TurnStore], limits: TurnLimits, count: int = 50, **fields: Any
) -> list[NewTurn | LimitReached]:
    """Start that many turns at once, at each place in turn."""
    starts = (begin(places[number % len(places)], limits, **fields) for number in range(count))
    results = await asyncio.gather(*starts, return_exceptions=True)
    for result in results:
        assert isinstance(result, NewTurn | LimitReached), result
    return results  # type: ignore[return-value]  # checked just now


def refused(results: Sequence[NewTurn | LimitReached]) -> list[LimitReached]:
    return [result for result in results if isinstance(result, LimitReached)]


@pytest.mark.parametrize(
    ("limits", "fields"),
    [
        (TurnLimits(turns_per_minute=7), {}),
        (TurnLimits(turns_per_minute_of_session=7), {"session_id": "cksess_1"}),
        (TurnLimits(turns_per_minute_of_address=7), {"address_key": "address"}),
        (TurnLimits(running_turns=7), {}),
        (TurnLimits(threads_per_user=7), {}),
    ],
    ids=["minute", "session", "address", "running", "threads"],
)
async def test_of_fifty_starts_at_once_the_limit_is_allowed(
    turns: TurnStore, database_url: str, sql: Query, limits: TurnLimits, fields: dict[str, Any]
) -> None:
    other = open_engine(database_url)
    try:
        results = await begin_many([turns, TurnStore(other)], limits, **fields)
    finally:
        await other.dispose()
    assert len(refused(results)) == 43
    assert len(await sql("SELECT id FROM turns")) == len(await sql("SELECT id FROM threads")) == 7


async def test_a_minute_later_there_is_room_again(turns: TurnStore, sql: Query) -> None:
    limits = TurnLimits(turns_per_minute=3)
    begun = [await begin(turns, limits) for _ in range(3)]
    with pytest.raises(LimitReached) as caught:
        await begin(turns, limits)
    ((oldest,),) = await sql("SELECT started_at FROM turns WHERE id = :id", id=begun[0].id)
    until = caught.value.until
    assert until is not None
    if not isinstance(oldest, str):
        assert until == oldest + MINUTE
    lower = TurnLimits(turns_per_minute=1)  # as after a restart: three must leave the window, not one
    with pytest.raises(LimitReached) as caught:
        await begin(turns, lower)
    assert caught.value.until is not None
    assert caught.value.until > until
    await age(sql, begun[0], timedelta(seconds=61))
    await begin(turns, limits)
    with pytest.raises(LimitReached):
        await begin(turns, limits)


async def age(sql: Query, turn: NewTurn, by: timedelta) -> None:
    """Make a turn older than it is."""
    moment = datetime.now(UTC) - by
    is_text = isinstance((await sql("SELECT started_at FROM turns LIMIT 1"))[0][0], str)
    value = moment.strftime("%Y-%m-%d %H:%M:%S.%fZ") if is_text else moment
    await sql("UPDATE turns SET started_at = :value WHERE id = :id", value=value, id=turn.id)


async def test_deleting_threads_resets_nothing(turns: TurnStore, store: SqlStore[User], sql: Query) -> None:
    limits = TurnLimits(
        turns_per_minute=3, turns_per_minute_of_session=3, turns_per_minute_of_address=3, tokens_per_day=30
    )
    fields: dict[str, Any] = {"session_id": "cksess_1", "address_key": "address"}
    for _ in range(3):
        turn = await begin(turns, limits, **fields)
        await turns.finish(turn.id, TurnEnd("completed", input_tokens=6, output_tokens=4), ALICE)
        await store.delete_thread(turn.thread_id, ALICE)
    assert await sql("SELECT id FROM turns") == []
    subjects: dict[str, dict[str, Any]] = {
        "turns_per_minute": {},
        "turns_per_minute_of_session": {"session_id": "cksess_1"},
        "turns_per_minute_of_address": {"address_key": "address"},
        "tokens_per_day": {},
    }
    for kind, subject in subjects.items():
        with pytest.raises(LimitReached, match=kind):
            await begin(turns, TurnLimits(**{kind: limits.in_use()[kind]}), **subject)
    await turns.prune_limits()
    assert len(await sql("SELECT id FROM deleted_turns")) == 3


async def test_pruning_forgets_what_nothing_counts(turns: TurnStore, store: SqlStore[User], sql: Query) -> None:
    old, young = [await begin(turns, TurnLimits(), address_key="address") for _ in range(2)]
    await age(sql, old, timedelta(hours=25))
    await turns.prune_limits()
    assert dict(map(tuple, await sql("SELECT id, address_key FROM turns"))) == {old.id: None, young.id: "address"}
    await store.delete_thread(old.thread_id, ALICE)
    assert await sql("SELECT id FROM deleted_turns") == []


@also_guarded
async def test_limits_count_their_own_subject_only(turns: TurnStore) -> None:
    one = TurnLimits(turns_per_minute=1)
    await begin(turns, one, ALICE)
    await begin(turns, one, BOB)
    await begin(turns, one, TenantUser("alice"))
    session = TurnLimits(turns_per_minute_of_session=1)
    await begin(turns, session, session_id="cksess_1")
    await begin(turns, session, session_id="cksess_2")
    await begin(turns, session)
    address = TurnLimits(turns_per_minute_of_address=1)
    await begin(turns, address, ALICE, address_key="here")
    with pytest.raises(LimitReached):
        await begin(turns, address, BOB, address_key="here")
    await begin(turns, address, BOB, address_key="there")


async def test_the_turn_that_a_new_one_replaces_does_not_count_as_running(
    turns: TurnStore, thread: ThreadMetadata
) -> None:
    limits = TurnLimits(running_turns=1)
    await turns.start(make_turn(thread.id), ALICE, allowed=limits)
    with pytest.raises(ThreadBusy):  # which the server ends by stopping that turn
        await turns.start(make_turn(thread.id), ALICE, allowed=limits)
    await turns.check_limits(limits, Starter(thread.id), ALICE)
    with pytest.raises(LimitReached) as caught:
        await begin(turns, limits)
    assert caught.value.until is None


async def test_a_day_of_tokens_ends_at_midnight(turns: TurnStore, sql: Query) -> None:
    limits = TurnLimits(tokens_per_day=10)
    for _ in range(2):
        turn = await begin(turns, limits)
        await turns.finish(turn.id, TurnEnd("completed", input_tokens=3, output_tokens=2), ALICE)
    with pytest.raises(LimitReached) as caught:
        await begin(turns, limits)
    now = datetime.now(UTC)
    assert caught.value.until == datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    await age(sql, turn, timedelta(days=1))
    await begin(turns, limits)


async def test_a_full_thread_takes_no_more(turns: TurnStore, thread: ThreadMetadata) -> None:
    limits = TurnLimits(items_per_thread=3)
    for _ in range(3):
        turn = make_turn(thread.id)
        await turns.start(turn, ALICE, items=[user_message()], allowed=limits)
        await turns.finish(turn.id, TurnEnd("completed"), ALICE)
    with pytest.raises(LimitReached, match="items_per_thread"):
        await turns.check_limits(limits, Starter(thread.id), ALICE)
    with pytest.raises(LimitReached, match="items_per_thread"):
        await turns.start(make_turn(thread.id), ALICE, items=[user_message()], allowed=limits)
    await begin(turns, limits)


@also_guarded
async def test_tokens_of_a_tenant_are_those_of_all_its_users(turns: TurnStore, store: SqlStore[User]) -> None:
    for name in ("alice", "bob"):
        for user in (TenantUser(name), TenantUser(name, "other"), User(name)):
            turn = await begin(turns, TurnLimits(), user)
            await turns.finish(turn.id, TurnEnd("completed", input_tokens=3, output_tokens=4), user)
            if name == "bob":
                await store.delete_thread(turn.thread_id, user)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert await turns.tenant_tokens("acme", yesterday) == 14
    assert await turns.tenant_tokens("acme", datetime.now(UTC)) == 0
    assert await turns.tenant_tokens("", yesterday) == 0


async def test_files_of_a_user_have_a_size_together(uploads: UploadStore, engine: AsyncEngine) -> None:
    places = [uploads, UploadStore(engine)]

    async def add(number: int, user: User) -> bool:
        attachment = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain")
        return await places[number % 2].add(attachment, user, size=30, limit=100, owner_bytes=100)

    results = await asyncio.gather(*(add(number, ALICE) for number in range(20)), return_exceptions=True)
    assert results.count(True) == 3
    assert sum(isinstance(result, LimitReached) for result in results) == 17
    assert await add(0, BOB)
