from datetime import UTC, datetime, timedelta

import pytest
from chatkit.types import StructuredInputFreeform, StructuredInputItem, ThreadMetadata, WidgetItem

from chatkit_store import (
    IdClash,
    NotFound,
    SqlStore,
    ThreadBusy,
    ThreadChanged,
    TurnEnd,
    TurnRecord,
    TurnStatus,
    TurnStore,
    new_id,
    notice_id,
)
from tests.conftest import also_guarded
from tests.store.conftest import Query
from tests.store.factories import (
    ALICE,
    BOB,
    User,
    assistant_message,
    hidden_item,
    make_thread,
    make_turn,
    text_of,
    tool_call,
    user_message,
    widget_with,
)

pytestmark = also_guarded

Store = SqlStore[User]


async def texts(store: Store, thread_id: str) -> list[str]:
    return [text_of(item) for item in (await store.load_thread_items(thread_id, None, 100, "asc", ALICE)).data]


async def test_turn_is_one_row_from_start_to_end(store: Store, turns: TurnStore, thread: ThreadMetadata) -> None:
    before = datetime.now(UTC)
    turn = make_turn(thread.id, frame_id="frame_1", user_item_id="msg_1", model="small")
    await turns.start(turn, ALICE)
    running = await turns.load(turn.id, ALICE)
    assert (running.status, running.ended_at, running.model) == ("running", None, "small")
    is_ended = await turns.finish(
        turn.id,
        TurnEnd(
            "completed",
            stop_reason="end",
            model="large",
            first_token_ms=120,
            duration_ms=900,
            input_tokens=10,
            output_tokens=20,
        ),
        ALICE,
    )
    assert is_ended is True
    record = await turns.load(turn.id, ALICE)
    assert record.ended_at is not None
    assert before <= record.started_at <= record.ended_at <= datetime.now(UTC)
    assert record.started_at.utcoffset() == timedelta(0)
    assert record == TurnRecord(
        id=turn.id,
        thread_id=thread.id,
        tenant="",
        user_id="alice",
        session_id=None,
        address_key=None,
        kind="threads.add_user_message",
        user_item_id="msg_1",
        request_id="req_1",
        frame_id="frame_1",
        model="large",
        status="completed",
        stop_reason="end",
        error_code=None,
        started_at=record.started_at,
        ended_at=record.ended_at,
        first_token_ms=120,
        duration_ms=900,
        input_tokens=10,
        output_tokens=20,
        tokens_per_second=25.6,
        retries=None,
        readers=0,
        transcript=None,
        worker_id=None,
        signal=None,
        request_key=None,
    )


async def test_new_thread_and_its_first_message_are_written_together(
    store: Store, turns: TurnStore, sql: Query
) -> None:
    thread, turn = make_thread(title="new"), make_turn("thr_new")
    thread.id = "thr_new"
    await turns.start(turn, ALICE, new_thread=thread, items=[user_message("first")])
    assert await texts(store, "thr_new") == ["first"]
    assert (await store.load_thread("thr_new", ALICE)).title == "new"
    assert (await sql("SELECT turn_id FROM thread_items"))[0][0] == turn.id


async def test_failed_start_leaves_no_ghost_thread(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    taken, new = user_message(), make_thread()
    await store.add_thread_item(thread.id, taken, ALICE)
    with pytest.raises(IdClash):
        await turns.start(make_turn(new.id), ALICE, new_thread=new, items=[user_message(), user_message(id=taken.id)])
    assert len(await sql("SELECT id FROM threads")) == 1
    assert await turns.list(ALICE) == []
    with pytest.raises(ValueError, match="different thread ids"):
        await turns.start(make_turn(thread.id), ALICE, new_thread=new)


async def test_taken_turn_or_thread_id_clashes_and_nothing_is_written(
    store: Store, turns: TurnStore, thread: ThreadMetadata
) -> None:
    turn = make_turn(thread.id)
    await turns.start(turn, ALICE, items=[user_message("once")])
    await turns.finish(turn.id, TurnEnd("completed"), ALICE)
    with pytest.raises(IdClash):
        await turns.start(turn, ALICE, items=[user_message("twice")])
    with pytest.raises(IdClash, match=thread.id):
        await turns.start(make_turn(thread.id), ALICE, new_thread=make_thread(id=thread.id))
    assert await texts(store, thread.id) == ["once"]


async def test_retry_replaces_everything_after_the_message(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    """The old answer stays in the table (T9)."""
    question = user_message("q")
    await store.add_thread_items(
        thread.id,
        [
            user_message("before"),
            question,
            hidden_item("h"),
            assistant_message("old"),
            user_message("q2"),
            assistant_message("old 2"),
        ],
        ALICE,
    )
    turn = make_turn(thread.id, kind="threads.retry_after_item", user_item_id=question.id)
    await turns.start(turn, ALICE, items=[hidden_item("again")], replace_after=question.id)
    assert await texts(store, thread.id) == ["before", "q", "again"]
    assert await turns.finish(turn.id, TurnEnd("completed"), ALICE, items=[assistant_message("new")])
    assert await texts(store, thread.id) == ["before", "q", "again", "new"]
    replaced = await sql("SELECT text FROM thread_items WHERE replaced_by = :turn ORDER BY position", turn=turn.id)
    assert [row.text for row in replaced] == ["h", "old", "q2", "old 2"]
    assert [row.text for row in await sql("SELECT text FROM messages")] == ["before", "q", "new"]


async def test_failed_retry_restores_the_old_answer(store: Store, turns: TurnStore, thread: ThreadMetadata) -> None:
    question, first, second = user_message("q"), make_turn(thread.id), make_turn(thread.id)
    await store.add_thread_items(thread.id, [question, assistant_message("one")], ALICE)
    await turns.start(first, ALICE, replace_after=question.id)
    await turns.finish(first.id, TurnEnd("completed"), ALICE, items=[assistant_message("two")])
    await turns.start(second, ALICE, replace_after=question.id)
    assert await texts(store, thread.id) == ["q"]
    await turns.finish(second.id, TurnEnd("failed", error_code="rate_limit"), ALICE, restore_replaced=True)
    assert await texts(store, thread.id) == ["q", "two"]
    assert (await turns.load(second.id, ALICE)).error_code == "rate_limit"


async def test_retry_after_an_unknown_item_changes_nothing(
    store: Store, turns: TurnStore, thread: ThreadMetadata
) -> None:
    await store.add_thread_items(thread.id, [user_message("q"), assistant_message("a")], ALICE)
    with pytest.raises(NotFound, match="msg_gone"):
        await turns.start(make_turn(thread.id), ALICE, items=[user_message("new")], replace_after="msg_gone")
    assert await texts(store, thread.id) == ["q", "a"]
    assert await turns.list(ALICE) == []


async def test_items_keep_the_turn_that_wrote_them_first(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    turn, reply = make_turn(thread.id), assistant_message("dra")
    await turns.start(turn, ALICE, items=[user_message()])
    await store.add_thread_items(thread.id, [reply], ALICE, turn_id=turn.id)
    await turns.finish(turn.id, TurnEnd("stopped"), ALICE, items=[assistant_message("draft", id=reply.id)])
    await store.save_item(thread.id, assistant_message("draft, edited", id=reply.id), ALICE)
    assert {row.turn_id for row in await sql("SELECT turn_id FROM thread_items")} == {turn.id}


async def test_finishing_a_turn_of_a_deleted_thread_returns_false(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    turn = make_turn(thread.id)
    await turns.start(turn, ALICE, items=[user_message()])
    await store.delete_thread(thread.id, ALICE)
    assert await turns.finish(turn.id, TurnEnd("completed"), ALICE, items=[assistant_message()]) is False
    assert await sql("SELECT id FROM thread_items") == []
    with pytest.raises(NotFound, match=f"Turn {turn.id}"):
        await turns.load(turn.id, ALICE)


async def test_turns_of_one_or_all_threads_are_listed_newest_first(
    store: Store, turns: TurnStore, thread: ThreadMetadata
) -> None:
    other = make_thread()
    await store.save_thread(other, ALICE)
    started = [make_turn(owner.id) for owner in (thread, other, thread)]
    for turn in started:
        await turns.start(turn, ALICE)
        await turns.finish(turn.id, TurnEnd("completed"), ALICE)
    ids = [turn.id for turn in started]
    assert [turn.id for turn in await turns.list(ALICE)] == ids[::-1]
    assert [turn.id for turn in await turns.list(ALICE, thread.id)] == [ids[2], ids[0]]
    assert [turn.id for turn in await turns.list(ALICE, limit=1)] == [ids[2]]
    assert len(await turns.list(ALICE, limit=-5)) == 1
    with pytest.raises(NotFound):
        await turns.list(ALICE, "thr_gone")


async def test_turn_does_not_start_on_a_thread_that_changed_since_it_was_read(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    position = (await store.load_since_user(thread.id, ALICE)).position
    first, second = (make_turn(thread.id) for _ in range(2))
    await turns.start(first, ALICE, items=[user_message("one")], seen_position=position)
    with pytest.raises(ThreadBusy):
        await turns.start(second, ALICE, items=[user_message("two")], seen_position=position)
    await turns.finish(first.id, TurnEnd("completed"), ALICE)
    with pytest.raises(ThreadChanged):
        await turns.start(second, ALICE, items=[user_message("two")], seen_position=position)
    assert [row[0] for row in await sql("SELECT text FROM thread_items")] == ["one"]
    position = (await store.load_since_user(thread.id, ALICE)).position
    await turns.start(second, ALICE, items=[user_message("two")], seen_position=position)


async def test_the_state_of_a_thread_says_whether_it_may_wait_for_its_user(
    store: Store, turns: TurnStore, thread: ThreadMetadata
) -> None:
    async def state() -> tuple[int, bool]:
        loaded, position, may_wait = await store.load_thread_state(thread.id, ALICE)
        assert loaded == thread
        assert position == await store.last_position(thread.id, ALICE)
        return position, may_wait

    assert await state() == (0, False)
    first = make_turn(thread.id)
    await turns.start(first, ALICE, items=[user_message("Q")])
    await turns.finish(first.id, TurnEnd("failed"), ALICE, items=[assistant_message(), make_notice(first.id)])
    assert await state() == (3, False)
    question = StructuredInputItem(
        id=new_id("msg"),
        thread_id=thread.id,
        created_at=datetime.now(UTC),
        inputs=[StructuredInputFreeform(id="q", question="Why?")],
    )
    for item in (tool_call(), widget_with(), question):
        await store.add_thread_item(thread.id, item, ALICE)
        assert (await state())[1]
        await store.add_thread_item(thread.id, user_message("A later message"), ALICE)
        assert not (await state())[1]
    message, answer = user_message("Retried"), widget_with()
    await store.add_thread_items(thread.id, [message, answer], ALICE)
    assert (await state())[1]
    retry = make_turn(thread.id, kind="threads.retry_after_item", user_item_id=message.id)
    await turns.start(retry, ALICE, replace_after=message.id)
    assert not (await state())[1]
    with pytest.raises(NotFound):
        await store.load_thread_state(thread.id, BOB)


def make_notice(turn_id: str) -> WidgetItem:
    return widget_with("chatkit.retry", id=notice_id(turn_id), copy_text="It failed.")


async def test_a_notice_is_shown_to_the_user_only_and_leaves_with_the_next_turn(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    question, answer, first = user_message("Q"), assistant_message("A"), make_turn(thread.id)
    await turns.start(first, ALICE, items=[question])
    notice = make_notice(first.id)
    for _ in range(2):  # the second time after a commit whose reply was lost
        assert await turns.finish(first.id, TurnEnd("failed"), ALICE, items=[answer, notice])
    (row,) = await sql("SELECT role, text, turn_id FROM thread_items WHERE role = 'notice'")
    assert (row.role, row.text, row.turn_id) == ("notice", "It failed.", first.id)

    shown = await store.load_visible_items(thread.id, None, 9, "asc", ALICE)
    assert [item.id for item in shown.data] == [question.id, answer.id, notice.id]
    everything = await store.load_thread_items(thread.id, None, 9, "asc", ALICE)
    history = await store.load_history(thread.id, None, 9, ALICE)
    since_user = await store.load_since_user(thread.id, ALICE)
    assert [item.id for item in everything.data] == [question.id, answer.id]
    assert [entry.item.id for entry in history.items] == [answer.id, question.id]
    assert [item.id for item in since_user.items] == [question.id, answer.id]
    assert [item.id for item in await store.load_turn_items(thread.id, first.id, ALICE)] == [question.id, answer.id]

    assert await turns.start(make_turn(thread.id), ALICE, items=[user_message("again")]) == [notice.id]
    assert await sql("SELECT id FROM thread_items WHERE role = 'notice'") == []


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "is stopped"])
async def test_a_retry_taken_back_leaves_one_notice(
    store: Store, turns: TurnStore, thread: ThreadMetadata, fails: bool
) -> None:
    question, answer, first = user_message("Q"), assistant_message("A"), make_turn(thread.id)
    retry = make_turn(thread.id, kind="threads.retry_after_item", user_item_id=question.id)
    old, new = make_notice(first.id), make_notice(retry.id)
    await turns.start(first, ALICE, items=[question])
    await turns.finish(first.id, TurnEnd("failed"), ALICE, items=[answer, old])
    assert sorted(await turns.start(retry, ALICE, replace_after=question.id)) == sorted([answer.id, old.id])
    status: TurnStatus = "failed" if fails else "stopped"
    await turns.finish(retry.id, TurnEnd(status), ALICE, items=[new] if fails else [], restore_replaced=True)
    shown = await store.load_visible_items(thread.id, None, 9, "asc", ALICE)
    assert [item.id for item in shown.data] == [question.id, answer.id, (new if fails else old).id]
