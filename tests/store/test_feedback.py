import pytest
from chatkit.types import ThreadMetadata

from chatkit_store import NotFound, SqlStore, TurnStore
from tests.store.conftest import Query
from tests.store.factories import ALICE, User, assistant_message, make_thread, make_turn, user_message

Store = SqlStore[User]

VOTES = "SELECT item_id, kind, user_id, turn_id FROM feedback ORDER BY item_id"


async def test_vote_is_one_row_per_item_with_its_turn(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    turn, first, second = make_turn(thread.id), assistant_message(), assistant_message()
    await turns.start(turn, ALICE, items=[first])
    await store.add_thread_item(thread.id, second, ALICE)
    await store.add_feedback(thread.id, [first.id, second.id], "positive", ALICE)
    expected = [(first.id, "positive", "alice", turn.id), (second.id, "positive", "alice", None)]
    assert [tuple(row) for row in await sql(VOTES)] == expected


async def test_changed_vote_replaces_the_first(store: Store, thread: ThreadMetadata, sql: Query) -> None:
    item = assistant_message()
    await store.add_thread_item(thread.id, item, ALICE)
    await store.add_feedback(thread.id, [item.id, item.id], "positive", ALICE)
    before = (await sql("SELECT id, created_at FROM feedback"))[0]
    await store.add_feedback(thread.id, [item.id], "negative", ALICE)
    assert [tuple(row) for row in await sql(VOTES)] == [(item.id, "negative", "alice", None)]
    assert (await sql("SELECT id, created_at FROM feedback"))[0] == before


async def test_vote_on_an_item_of_another_thread_writes_no_vote(
    store: Store, thread: ThreadMetadata, sql: Query
) -> None:
    """The stock server does not check the ids (T39)."""
    item, item_of_other, other = assistant_message(), assistant_message(), make_thread()
    await store.save_thread(other, ALICE)
    await store.add_thread_item(thread.id, item, ALICE)
    await store.add_thread_item(other.id, item_of_other, ALICE)
    for ids in ([item.id, item_of_other.id], [item.id, "msg_gone"]):
        with pytest.raises(NotFound, match=ids[1]):
            await store.add_feedback(thread.id, ids, "positive", ALICE)
    assert await sql(VOTES) == []


async def test_vote_is_deleted_with_its_item(store: Store, thread: ThreadMetadata, sql: Query) -> None:
    item = user_message()
    await store.add_thread_item(thread.id, item, ALICE)
    await store.add_feedback(thread.id, [item.id], "negative", ALICE)
    await store.delete_thread_item(thread.id, item.id, ALICE)
    assert await sql(VOTES) == []
