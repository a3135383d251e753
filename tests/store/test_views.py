"""The views that administrators query."""

from chatkit_store import SqlStore, TurnEnd, TurnStore
from tests.store.conftest import Query
from tests.store.factories import (
    ALICE,
    BOB,
    User,
    assistant_message,
    hidden_item,
    make_thread,
    make_turn,
    tool_call,
    user_message,
)

Store = SqlStore[User]


async def test_messages_read_like_a_conversation(store: Store, turns: TurnStore, sql: Query) -> None:
    threads = [make_thread(), make_thread()]
    for thread in threads:
        await store.save_thread(thread, ALICE)
    turn = make_turn(threads[0].id)
    await turns.start(turn, ALICE, items=[user_message("Tea?")])
    await store.add_thread_item(threads[1].id, user_message("Elsewhere"), ALICE)
    await turns.finish(
        turn.id,
        TurnEnd("completed"),
        ALICE,
        items=[hidden_item(), tool_call(), assistant_message("Yes."), assistant_message("Now.")],
    )
    rows = await sql("SELECT * FROM messages WHERE thread_id = :id", id=threads[0].id)
    assert [(row.role, row.text) for row in rows] == [("user", "Tea?"), ("assistant", "Yes."), ("assistant", "Now.")]
    assert {(row.user_id, row.turn_id, row.thread_id) for row in rows} == {("alice", turn.id, threads[0].id)}
    assert rows[0]._fields == (
        "thread_id", "position", "item_id", "turn_id", "user_id", "tenant", "role", "text", "created_at"
    )  # fmt: skip
    assert [row.text for row in await sql("SELECT text FROM messages")] == ["Tea?", "Yes.", "Now.", "Elsewhere"]


async def test_thread_overview_has_a_row_for_every_thread(store: Store, turns: TurnStore, sql: Query) -> None:
    busy, empty = make_thread(title="Busy"), make_thread()
    turn = make_turn(busy.id)
    await turns.start(turn, ALICE, new_thread=busy, items=[user_message("Hi")])
    await turns.finish(turn.id, TurnEnd("completed"), ALICE, items=[assistant_message("Ho"), hidden_item("secret")])
    await turns.start(make_turn(busy.id), ALICE)
    await store.save_thread(empty, BOB)
    rows = {row.thread_id: row for row in await sql("SELECT * FROM thread_overview")}
    row = rows[busy.id]
    assert (row.user_id, row.title, row.status, row.messages, row.turns) == ("alice", "Busy", "active", 2, 2)
    assert (row.last_message, row.last_turn_status) == ("Ho", "running")
    row = rows[empty.id]
    assert (row.user_id, row.messages, row.turns, row.last_message, row.last_message_at) == (
        "bob",
        0,
        0,
        None,
        None,
    )


async def test_turn_stats_contain_the_speed(store: Store, turns: TurnStore, sql: Query) -> None:
    thread, fast, cut = make_thread(), make_turn("thr_1", model="m"), make_turn("thr_1")
    thread.id = "thr_1"
    await turns.start(fast, ALICE, new_thread=thread)
    await turns.finish(
        fast.id, TurnEnd("completed", first_token_ms=500, duration_ms=2500, input_tokens=7, output_tokens=61), ALICE
    )
    await turns.start(cut, ALICE)
    await turns.finish(cut.id, TurnEnd("failed", error_code="timeout", first_token_ms=500, duration_ms=500), ALICE)
    rows = {row.turn_id: row for row in await sql("SELECT * FROM turn_stats")}
    row = rows[fast.id]
    assert (row.user_id, row.kind, row.model, row.status) == ("alice", "threads.add_user_message", "m", "completed")
    assert (row.duration_ms, row.first_token_ms, row.input_tokens, row.output_tokens) == (2500, 500, 7, 61)
    assert float(row.tokens_per_second) == 30.5
    assert (rows[cut.id].error_code, rows[cut.id].tokens_per_second) == ("timeout", None)
