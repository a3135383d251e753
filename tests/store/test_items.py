import asyncio
import logging
from collections.abc import Callable

import pytest
from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    EndOfTurnItem,
    GeneratedImage,
    GeneratedImageItem,
    Page,
    SDKHiddenContextItem,
    StructuredInputFreeform,
    StructuredInputItem,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    ThreadMetadata,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import DynamicWidgetRoot
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import IdClash, NotFound, SqlStore, TurnEnd, TurnStore, new_id
from chatkit_store.tables import thread_items
from tests.store.conftest import Query
from tests.store.factories import (
    ALICE,
    BOB,
    NOON,
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

Store = SqlStore[User]


def every_kind(thread_id: str) -> list[ThreadItem]:
    """Return one item of each type of chatkit 1.6."""
    common = {"thread_id": thread_id, "created_at": NOON}
    widget = DynamicWidgetRoot.model_validate(
        {"type": "Card", "children": [{"type": "Text", "value": "ü", "id": "t"}], "confirm": {"label": "ok"}}
    )
    thought = ThoughtTask(title="Think", content="hard")
    return [
        user_message(thread_id=thread_id, quoted_text="so"),
        assistant_message(thread_id=thread_id),
        tool_call(thread_id=thread_id),
        hidden_item({"any": ["thing"]}, thread_id=thread_id),
        WidgetItem(id=new_id("msg"), widget=widget, copy_text="copy", **common),
        GeneratedImageItem(id=new_id("msg"), image=GeneratedImage(id="i", url="https://example.com/i"), **common),
        StructuredInputItem(id=new_id("msg"), inputs=[StructuredInputFreeform(id="q", question="Why?")], **common),
        TaskItem(id=new_id("tsk"), task=thought, **common),
        WorkflowItem(id=new_id("wf"), workflow=Workflow(type="reasoning", tasks=[thought]), **common),
        SDKHiddenContextItem(id=new_id("shcx"), content="stopped", **common),
        EndOfTurnItem(id=new_id("msg"), **common),
    ]


async def load_all(store: Store, thread_id: str) -> list[ThreadItem]:
    page: Page[ThreadItem] = await store.load_thread_items(thread_id, None, 500, "asc", ALICE)
    assert (page.has_more, page.after) == (False, None)
    return page.data


async def test_item_of_every_type_loads_equal(store: Store, thread: ThreadMetadata) -> None:
    items = every_kind(thread.id)
    await store.add_thread_items(thread.id, items, ALICE)
    loaded = await load_all(store, thread.id)
    assert [item.model_dump() for item in loaded] == [item.model_dump() for item in items]
    assert [type(item) for item in loaded] == [type(item) for item in items]
    assert [await store.load_item(thread.id, item.id, ALICE) for item in items] == loaded


async def test_equal_times_keep_the_order_of_writing(store: Store, thread: ThreadMetadata) -> None:
    items = [user_message(str(n), id=f"msg_{99 - n}", created_at=NOON) for n in range(30)]
    for item in items:
        await store.add_thread_item(thread.id, item, ALICE)
    assert [text_of(item) for item in await load_all(store, thread.id)] == [str(n) for n in range(30)]


async def test_writing_an_item_again_updates_it_in_place(store: Store, thread: ThreadMetadata) -> None:
    """chatkit adds an item when it appears and again when it is done (T11, T25)."""
    first, second = assistant_message("dra"), assistant_message("second")
    await store.add_thread_items(thread.id, [first, second], ALICE)
    await store.add_thread_item(thread.id, assistant_message("draft, done", id=first.id), ALICE)
    await store.save_item(thread.id, assistant_message("second, done", id=second.id), ALICE)
    await store.save_item(thread.id, assistant_message("third"), ALICE)
    assert [text_of(i) for i in await load_all(store, thread.id)] == ["draft, done", "second, done", "third"]


async def test_items_of_one_call_are_consecutive_and_keep_their_first_turn(
    store: Store, thread: ThreadMetadata, sql: Query
) -> None:
    items: list[ThreadItem] = [user_message("a"), assistant_message("b"), assistant_message("c")]
    await store.add_thread_items(thread.id, items, ALICE, turn_id="turn_1")
    await store.add_thread_items(thread.id, [items[1], assistant_message("d")], ALICE, turn_id="turn_2")
    await store.save_item(thread.id, items[2], ALICE)
    rows = await sql("SELECT text, position, turn_id FROM thread_items ORDER BY position")
    assert [tuple(row) for row in rows[:3]] == [("a", 1, "turn_1"), ("b", 2, "turn_1"), ("c", 3, "turn_1")]
    assert (rows[3][0], rows[3][2]) == ("d", "turn_2")


async def test_last_of_two_items_with_the_same_id_wins(store: Store, thread: ThreadMetadata) -> None:
    draft = assistant_message("draft")
    await store.add_thread_items(
        thread.id, [draft, assistant_message("other"), assistant_message("done", id=draft.id)], ALICE
    )
    assert [text_of(item) for item in await load_all(store, thread.id)] == ["done", "other"]


async def test_adding_no_items_checks_the_owner(store: Store, thread: ThreadMetadata) -> None:
    await store.add_thread_items(thread.id, [], ALICE)
    with pytest.raises(NotFound):
        await store.add_thread_items(thread.id, [], BOB)


async def test_item_gets_the_id_of_its_thread(store: Store, thread: ThreadMetadata) -> None:
    item = user_message(thread_id="thr_else")
    await store.add_thread_item(thread.id, item, ALICE)
    assert (await store.load_item(thread.id, item.id, ALICE)).thread_id == thread.id
    assert item.thread_id == "thr_else"


@pytest.mark.parametrize("owner", [ALICE, BOB])
async def test_item_id_of_another_thread_clashes_and_writes_nothing(
    store: Store, thread: ThreadMetadata, owner: User
) -> None:
    taken = user_message("hers")
    await store.add_thread_item(thread.id, taken, ALICE)
    other = make_thread()
    await store.save_thread(other, owner)
    with pytest.raises(IdClash, match=taken.id):
        await store.add_thread_items(other.id, [user_message("new"), user_message("mine", id=taken.id)], owner)
    with pytest.raises(IdClash):
        await store.save_item(other.id, user_message("mine", id=taken.id), owner)
    assert (await store.load_thread_items(other.id, None, 10, "asc", owner)).data == []
    assert [text_of(item) for item in await load_all(store, thread.id)] == ["hers"]


async def test_item_is_only_found_in_its_own_thread(store: Store, thread: ThreadMetadata) -> None:
    item, other = user_message(), make_thread()
    await store.save_thread(other, ALICE)
    await store.add_thread_item(thread.id, item, ALICE)
    for call in (store.load_item, store.delete_thread_item):
        with pytest.raises(NotFound, match=f"Item {item.id}"):
            await call(other.id, item.id, ALICE)
    await store.delete_thread_item(thread.id, item.id, ALICE)
    assert await load_all(store, thread.id) == []


async def test_hidden_items_are_filtered_before_paging(store: Store, thread: ThreadMetadata) -> None:
    """The stock server filters afterwards and sends empty pages with `has_more` (T27, T28)."""
    for n in range(4):
        await store.add_thread_items(thread.id, [hidden_item() for _ in range(5)] + [user_message(str(n))], ALICE)
    page = await store.load_visible_items(thread.id, None, 3, "asc", ALICE)
    assert ([text_of(i) for i in page.data], page.has_more, page.after) == (["0", "1", "2"], True, page.data[-1].id)
    page = await store.load_visible_items(thread.id, page.after, 3, "asc", ALICE)
    assert ([text_of(i) for i in page.data], page.has_more, page.after) == (["3"], False, None)
    assert len(await load_all(store, thread.id)) == 24


async def test_hidden_and_replaced_items_work_as_cursors(
    store: Store, turns: TurnStore, thread: ThreadMetadata
) -> None:
    question, hidden, old, turn = user_message("q"), hidden_item(), assistant_message("old"), make_turn(thread.id)
    await store.add_thread_items(thread.id, [question, hidden, old], ALICE)
    await turns.start(turn, ALICE, replace_after=question.id)
    await store.add_thread_item(thread.id, assistant_message("new"), ALICE)
    for cursor in (hidden.id, old.id):
        page = await store.load_visible_items(thread.id, cursor, 10, "asc", ALICE)
        assert [text_of(item) for item in page.data] == ["new"]
        page = await store.load_visible_items(thread.id, cursor, 10, "desc", ALICE)
        assert [text_of(item) for item in page.data] == ["q"]


async def test_unknown_cursor_is_not_found(store: Store, thread: ThreadMetadata) -> None:
    """A cursor of a deleted item, another thread or another user never starts from the top silently."""
    deleted, in_other, in_bobs = (user_message() for _ in range(3))
    other, bobs = make_thread(), make_thread()
    await store.save_thread(other, ALICE)
    await store.save_thread(bobs, BOB)
    await store.add_thread_items(thread.id, [user_message(), deleted], ALICE)
    await store.add_thread_item(other.id, in_other, ALICE)
    await store.add_thread_item(bobs.id, in_bobs, BOB)
    await store.delete_thread_item(thread.id, deleted.id, ALICE)
    for load in (store.load_thread_items, store.load_visible_items):
        for order in ("asc", "desc"):
            for cursor in (deleted.id, in_other.id, in_bobs.id, "msg_never", ""):
                with pytest.raises(NotFound, match=f"Item {cursor} not found"):
                    await load(thread.id, cursor, 10, order, ALICE)


@pytest.mark.parametrize("damage", ["type", "payload", "json"])
async def test_unreadable_row_is_skipped_with_a_warning(
    store: Store, thread: ThreadMetadata, engine: AsyncEngine, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    items = [user_message(str(n)) for n in range(4)]
    await store.add_thread_items(thread.id, items, ALICE)
    await damage_item(engine, items[1].id, damage)
    caplog.set_level(logging.WARNING)
    assert [text_of(item) for item in await load_all(store, thread.id)] == ["0", "2", "3"]
    assert items[1].id in caplog.text
    assert "precious" not in caplog.text
    with pytest.raises(NotFound):
        await store.load_item(thread.id, items[1].id, ALICE)


async def test_pages_skip_unreadable_rows_without_loss(
    store: Store, thread: ThreadMetadata, engine: AsyncEngine
) -> None:
    """The cursor is the last item the client saw: no later item is lost, and no page is empty but the last."""
    items = [user_message(str(n)) for n in range(20)]
    await store.add_thread_items(thread.id, items, ALICE)
    bad = {1, 2, 3, 4, 5, 6, 11, 18, 19}
    for n in bad:
        await damage_item(engine, items[n].id, "type")
    good = [str(n) for n in range(20) if n not in bad]
    for order, expected in (("asc", good), ("desc", good[::-1])):
        for limit in range(1, 13):
            assert await walk(store, thread.id, limit, order) == expected


async def walk(store: Store, thread_id: str, limit: int, order: str) -> list[str]:
    texts: list[str] = []
    after = None
    while True:
        page = await store.load_thread_items(thread_id, after, limit, order, ALICE)
        texts += [text_of(item) for item in page.data]
        if not page.has_more:
            assert page.after is None
            return texts
        assert page.data
        assert page.after == page.data[-1].id
        after = page.after


async def damage_item(engine: AsyncEngine, item_id: str, damage: str) -> None:
    """Overwrite a row like a newer version, or somebody with SQL access, might."""
    payload = {
        "type": f'{{"type": "hologram", "id": "{item_id}", "text": "precious"}}',
        "payload": '{"type": "user_message", "content": "precious"}',
        "json": '"precious"',
    }[damage]
    async with engine.begin() as connection:
        statement = update(thread_items).where(thread_items.c.id == item_id)
        await connection.execute(statement.values(type="hologram", payload=payload))


async def test_pending_tool_call_is_completed_in_place(store: Store, thread: ThreadMetadata) -> None:
    call = tool_call()
    await store.add_thread_items(thread.id, [call, user_message()], ALICE)
    loaded = await store.load_item(thread.id, call.id, ALICE)
    assert isinstance(loaded, ClientToolCallItem)
    loaded.output, loaded.status = {"found": 2}, "completed"
    await store.save_item(thread.id, loaded, ALICE)
    assert (await load_all(store, thread.id))[0] == loaded


async def test_changing_a_loaded_page_does_not_change_the_store(store: Store, thread: ThreadMetadata) -> None:
    await store.add_thread_item(thread.id, assistant_message("kept"), ALICE)
    page = await store.load_thread_items(thread.id, None, 10, "asc", ALICE)
    item = page.data.pop()
    assert isinstance(item, AssistantMessageItem)
    item.content[0].text = "changed"
    assert [text_of(item) for item in await load_all(store, thread.id)] == ["kept"]


async def test_changed_items_of_a_turn_are_listed_until_they_change_again(
    store: Store, turns: TurnStore, thread: ThreadMetadata
) -> None:
    before, card = user_message("before"), widget_with("buy")
    await store.add_thread_items(thread.id, [before, card], ALICE, "turn_of_before")
    turn = make_turn(thread.id)
    await turns.start(turn, ALICE, items=[user_message("now")])
    bought = widget_with("sell", id=card.id, thread_id=thread.id)
    await store.add_thread_items(thread.id, [bought, assistant_message()], ALICE, turn.id)
    assert await store.load_changed_items(thread.id, turn.id, ALICE) == [bought]
    await turns.finish(turn.id, TurnEnd("completed"), ALICE)
    assert await store.load_changed_items(thread.id, turn.id, ALICE) == [bought]
    await store.add_thread_item(thread.id, widget_with(id=card.id), ALICE)
    assert await store.load_changed_items(thread.id, turn.id, ALICE) == []


async def test_concurrent_changes_of_one_item_are_all_kept(store: Store, thread: ThreadMetadata, sql: Query) -> None:
    item = user_message("")
    await store.add_thread_items(thread.id, [item, assistant_message()], ALICE, "turn_1", still_open=[item.id])
    (before,) = await sql("SELECT position, turn_id FROM thread_items WHERE id = :id", id=item.id)

    def append(letter: str) -> Callable[[ThreadItem], ThreadItem]:
        return lambda now: user_message(text_of(now) + letter, id=item.id)

    changed = await asyncio.gather(*(store.change_item(thread.id, item.id, append(n), ALICE) for n in "abcdef"))
    last = max(changed, key=lambda item: len(text_of(item)))
    assert sorted(text_of(last)) == list("abcdef")
    assert text_of(await store.load_item(thread.id, item.id, ALICE)) == text_of(last)
    assert await sql("SELECT position, turn_id FROM thread_items WHERE id = :id", id=item.id) == [before]
    assert await store.saved_ids(thread.id, [item.id], ALICE) == {item.id: True}, "it is still being written"


async def test_failed_change_writes_nothing(store: Store, thread: ThreadMetadata) -> None:
    item = user_message("before")
    await store.add_thread_item(thread.id, item, ALICE)

    def fail(_: ThreadItem) -> ThreadItem:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.change_item(thread.id, item.id, fail, ALICE)
    with pytest.raises(NotFound):
        await store.change_item(thread.id, "msg_unknown", lambda now: now, ALICE)
    assert text_of(await store.load_item(thread.id, item.id, ALICE)) == "before"


async def test_texts_of_items_are_not_kept_by_the_parser(store: Store, thread: ThreadMetadata) -> None:
    """It would keep 16,384 of them, which is memory that grows with the first thousands of turns."""
    item = user_message("before")
    await store.add_thread_item(thread.id, item, ALICE)
    first, second = [await store.load_item(thread.id, item.id, ALICE) for _ in range(2)]
    assert first.id == second.id
    assert first.id is not second.id
