"""Pages of items and threads, for any parameters."""

from typing import Any

import pytest

from chatkit_store import new_id
from tests.protocol.requirements import covers
from tests.serving import Served, Tab
from tests.stage import Stage, make_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = [(9999, 500), (100_000_000, 500), (10**30, None), (-5, 1), (0, 1), (1, 1), (None, 100)]


async def long_thread(stage: Stage, tab: Tab, served: Served, kinds: list[str]) -> tuple[str, list[str]]:
    """Return a thread with an item of each of `kinds` after its first two, and the ids of all items."""
    stage.play("Hi.")
    thread_id = (await tab.create("Hello")).thread_id
    thread, context = await served.load_thread(thread_id), await served.owner(thread_id)
    items = [make_item(kind, thread, new_id("msg")) for kind in kinds]
    await served.services.store.add_thread_items(thread_id, items, context)
    first = [item["id"] for item in tab.pictures[thread_id].items]
    return thread_id, [*first, *(item.id for item in items)]


@covers("page.limits")
@pytest.mark.parametrize(("limit", "clamped"), LIMITS)
async def test_every_limit_is_clamped_and_none_is_refused(
    stage: Stage, tab: Tab, served: Served, limit: int | None, clamped: int | None
) -> None:
    thread_id, ids = await long_thread(stage, tab, served, ["task"] * 520)
    params: dict[str, Any] = {"thread_id": thread_id, "order": "asc"} | ({} if limit is None else {"limit": limit})
    reply = await tab.post("items.list", params)
    assert reply.status == 200
    assert [item["id"] for item in reply.body["data"]] == ids[: clamped or 500]
    assert reply.body["has_more"] is True
    threads = await tab.post("threads.list", {} if limit is None else {"limit": limit})
    assert (threads.status, [thread["id"] for thread in threads.body["data"]]) == (200, [thread_id])


@covers("page.cursor")
async def test_the_last_visible_item_is_a_cursor_and_so_is_any_other(stage: Stage, tab: Tab, served: Served) -> None:
    kinds = ["task", "hidden_context_item", "client_tool_call", "task", "task"]
    thread_id, ids = await long_thread(stage, tab, served, kinds)
    visible = [ids[0], ids[1], ids[2], ids[4], ids[5], ids[6]]
    for cursor in ids:
        page = await tab.items(thread_id, after=cursor)
        expected = [item for item in visible if ids.index(item) > ids.index(cursor)]
        assert [item["id"] for item in page["data"]] == expected
        back = await tab.items(thread_id, after=cursor, order="desc")
        assert [item["id"] for item in back["data"]] == [i for i in visible[::-1] if ids.index(i) < ids.index(cursor)]


@covers("page.unknown_cursor")
async def test_an_unknown_cursor_and_one_of_another_thread_are_not_found(
    stage: Stage, tab: Tab, served: Served, stranger: Tab
) -> None:
    thread_id, _ = await long_thread(stage, tab, served, [])
    _, other_items = await long_thread(stage, tab, served, [])
    foreign_thread, foreign_items = await long_thread(stage, stranger, served, [])
    for cursor in ("msg_unknown", other_items[0], foreign_items[0], "", "x" * 255, "a\0b"):
        reply = await tab.post("items.list", {"thread_id": thread_id, "after": cursor, "limit": 5})
        assert (reply.status, reply.body["code"]) == (404, "not_found")
    reply = await tab.post("threads.list", {"after": foreign_thread})
    assert (reply.status, reply.body["code"]) == (404, "not_found")


@covers("page.never_empty")
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_no_page_is_empty_while_there_are_more_items(stage: Stage, tab: Tab, served: Served, order: str) -> None:
    kinds = ["hidden_context_item"] * 30 + ["task"] + ["sdk_hidden_context"] * 30 + ["task"] + ["hidden_context_item"]
    thread_id, ids = await long_thread(stage, tab, served, kinds * 2)
    visible = [ids[0], ids[1], *(item for item, kind in zip(ids[2:], kinds * 2, strict=True) if kind == "task")]
    for limit in (1, 2, 3, 50):
        listed: list[str] = []
        page = await tab.items(thread_id, limit=limit, order=order)
        while page["has_more"]:
            assert page["data"], "the widget would request an empty page with has_more forever"
            listed += [item["id"] for item in page["data"]]
            page = await tab.items(thread_id, limit=limit, order=order, after=listed[-1])
        listed += [item["id"] for item in page["data"]]
        assert listed == (visible if order == "asc" else visible[::-1])


@covers("page.never_empty", "threads.get_by_id")
async def test_a_long_thread_is_loaded_completely_by_the_widgets_paging(stage: Stage, tab: Tab, served: Served) -> None:
    thread_id, ids = await long_thread(stage, tab, served, ["task", "hidden_context_item"] * 350)
    reloaded = await tab.reload(thread_id)
    assert [item["id"] for item in reloaded.items] == [*ids[:2], *ids[2::2]]


@covers("page.no_metadata")
async def test_thread_metadata_stays_on_the_server(stage: Stage, tab: Tab, served: Served) -> None:
    stage.play("Hi.")
    thread_id = (await tab.create("Hello")).thread_id
    thread = await served.load_thread(thread_id)
    thread.metadata["customer"] = "Ada"
    await served.services.store.save_thread(thread, await served.owner(thread_id))
    renamed = await tab.post("threads.update", {"thread_id": thread_id, "title": "x"})
    assert [part["metadata"] for part in (await tab.get(thread_id), (await tab.list())["data"][0], renamed.body)] == [
        {}
    ] * 3
    assert (await served.load_thread(thread_id)).metadata == {"customer": "Ada"}
