"""Votes as the widget sends them: all items of a turn at once, checked against the thread, stored in SQL."""

from datetime import datetime
from typing import Any

import pytest
from agents import Agent, RunContextWrapper, function_tool
from chatkit.types import HiddenContextItem, ThreadItemDoneEvent

from chatkit_server.agent_context import AgentContext
from tests.serving import Tab
from tests.stage import stream_item
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat
from tests.turns.conftest import Start

Votes = dict[str, tuple[str, str | None]]


@function_tool
async def show(context: RunContextWrapper[AgentContext]) -> str:
    """Show a widget, and add a hidden item for the model."""
    agent_context = context.context
    await stream_item(agent_context, "widget")
    hidden = HiddenContextItem(
        id="hidden-1", thread_id=agent_context.thread.id, created_at=datetime.now().astimezone(), content="secret"
    )
    await agent_context.stream(ThreadItemDoneEvent(item=hidden))
    return "shown"


async def votes(chat: Chat, thread_id: str) -> Votes:
    query = "SELECT item_id, kind, turn_id FROM feedback WHERE thread_id = :id"
    return {item: (kind, turn) for item, kind, turn in await chat.select(query, id=thread_id)}


def answer_of(tab: Tab, thread_id: str) -> list[str]:
    """Return the ids that the widget sends with a vote on the last answer."""
    items = tab.pictures[thread_id].items
    last = max(index for index, item in enumerate(items) if item["type"] == "user_message")
    return [item["id"] for item in items[last + 1 :]]


async def test_a_vote_covers_all_items_of_the_turn_and_can_be_changed(start: Start) -> None:
    chat = await start(Agent[Any](name="shows", tools=[show]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("show")]), Answer("There it is."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Show me")).thread_id
        ids = answer_of(tab, thread_id)
        assert len(ids) == 2
        ((turn_id,),) = await chat.select("SELECT id FROM turns")
        liked = await tab.feedback(thread_id, [*ids, *ids])
        assert (liked.status, liked.body) == (200, {})
        assert await votes(chat, thread_id) == dict.fromkeys(ids, ("positive", turn_id))
        first = await chat.select("SELECT id, user_id, created_at, updated_at FROM feedback ORDER BY id")
        user_id = (await chat.owner(thread_id)).user_id
        assert {user for _, user, _, _ in first} == {user_id}

        await tab.feedback(thread_id, ids, "negative")
        assert await votes(chat, thread_id) == dict.fromkeys(ids, ("negative", turn_id))
        changed = await chat.select("SELECT id, user_id, created_at, updated_at FROM feedback ORDER BY id")
        assert [row[:3] for row in changed] == [row[:3] for row in first]
        assert all(after[3] > before[3] for before, after in zip(first, changed, strict=True))


async def test_a_vote_with_ids_of_another_thread_is_refused_as_a_whole(chat: Chat) -> None:
    async with await chat.visitor() as tab, await chat.visitor() as stranger:
        here, there = (await tab.create("Here")).thread_id, (await tab.create("There")).thread_id
        mine, other = answer_of(tab, here), answer_of(tab, there)
        foreign = answer_of(stranger, (await stranger.create("Mine")).thread_id)
        for ids in ([*mine, *other], [*mine, "msg_unknown"], [*mine, *foreign]):
            refused = await tab.feedback(here, ids)
            assert (refused.status, refused.body["code"]) == (404, "not_found")
        assert (await stranger.feedback(here, mine)).status == 404
        assert await chat.select("SELECT * FROM feedback") == []


async def test_a_hidden_item_cannot_be_voted_on(start: Start) -> None:
    chat = await start(Agent[Any](name="shows", tools=[show]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("show")]), Answer("There it is."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Show me")).thread_id
        assert "hidden_context_item" in await chat.items(thread_id)
        refused = await tab.feedback(thread_id, [*answer_of(tab, thread_id), "hidden-1"])
        assert refused.status == 404
        assert await votes(chat, thread_id) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_replaced_answer_keeps_its_vote_and_accepts_one_from_a_stale_tab(chat: Chat) -> None:
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as behind:
        first = await tab.create("Hello")
        (old,) = answer_of(tab, first.thread_id)
        await tab.feedback(first.thread_id, [old], "negative")
        await tab.retry(first.thread_id, first.user_item["id"])
        (new,) = answer_of(tab, first.thread_id)
        await tab.feedback(first.thread_id, [new])
        kinds = {item: kind for item, (kind, _) in (await votes(chat, first.thread_id)).items()}
        assert kinds == {old: "negative", new: "positive"}
        assert (await behind.feedback(first.thread_id, [old])).status == 200
        assert (await votes(chat, first.thread_id))[old][0] == "positive"
