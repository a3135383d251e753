"""Tools of an adopted server that need an approval: the decision runs `respond` again, without doing anything twice."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from importlib import import_module, reload
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.adopted.servers import gazette
from tests.adopted.servers.gazette import GazetteServer
from tests.interactions.test_approvals import badge, buttons, cards, outputs, press
from tests.serving import Served, Tab, serve
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import ModelRequest, OpenAIServer

ASKS = Answer("One moment.", tool_calls=[ToolCall("pay", {"euros": 80}, "call_of_pay")])


@pytest.fixture
def desk() -> ModuleType:
    """Return the module as it is after an import: its server is an instance, which an app changes."""
    return reload(import_module("tests.adopted.servers.luggage_desk"))


def opened(folder: Path, upstream: OpenAIServer, server: Any, **options: Any) -> AbstractAsyncContextManager[Served]:
    """Serve the server with the model."""
    return serve(folder, server=server, model="gpt-test", base_url=upstream.base_url, api="responses", **options)


@pytest.fixture
async def chat(tmp_path: Path, upstream: OpenAIServer, desk: ModuleType) -> AsyncIterator[Served]:
    """The desk on our app."""
    async with opened(tmp_path, upstream, desk.luggage_server) as chat:
        yield chat


async def ask_for_money(tab: Tab, upstream: OpenAIServer) -> str:
    """Create a thread in which the agent wants to pay; return its id."""
    upstream.script(ASKS)
    reply = await tab.create("My bag is gone")
    assert reply.error is None
    assert reply.text == "One moment."
    (card,) = cards(tab, reply.thread_id)
    assert list(buttons(card)) == ["Approve", "Reject"]
    assert "euros: 80" in str(card)
    return reply.thread_id


async def notes(chat: Served) -> int:
    """Return how often `respond` has written its note."""
    rows = await chat.rows("SELECT payload FROM thread_items WHERE type = 'hidden_context_item'")
    return sum("DESK_OPEN" in str(row["payload"]) for row in rows)


async def test_an_approved_tool_runs_once_and_the_run_continues(
    chat: Served, upstream: OpenAIServer, desk: ModuleType
) -> None:
    async with chat.tab() as tab:
        thread_id = await ask_for_money(tab, upstream)
        assert desk.luggage_server.desk.payments == []
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        upstream.script(Answer("80 euros are yours."), Answer("You are welcome."))
        reply = await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")
        assert (reply.error, reply.text) == (None, "80 euros are yours.")
        assert desk.luggage_server.desk.payments == [80]
        assert badge(cards(tab, thread_id)[0]) == "Approved"
        assert outputs(upstream.requests[1].body["input"]) == {"call_of_pay": "80 euros are paid"}
        assert await notes(chat) == 1, "what respond writes before its run is written once"
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        assert (await tab.send(thread_id, "Thank you")).text == "You are welcome."
        (row,) = await chat.rows("SELECT metadata FROM threads")
        assert '"asked": 2' in str(row["metadata"]).replace('"asked":2', '"asked": 2')
    assert len(upstream.requests) == 3


async def test_a_rejected_tool_does_not_run_and_the_model_learns_it(
    chat: Served, upstream: OpenAIServer, desk: ModuleType
) -> None:
    async with chat.tab() as tab:
        thread_id = await ask_for_money(tab, upstream)
        upstream.script(Answer("Then not."))
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Reject")).text == "Then not."
        assert desk.luggage_server.desk.payments == []
        assert badge(cards(tab, thread_id)[0]) == "Rejected"
    assert list(outputs(upstream.requests[1].body["input"])) == ["call_of_pay"]


async def test_the_next_message_expires_the_approval(chat: Served, upstream: OpenAIServer, desk: ModuleType) -> None:
    async with chat.tab() as tab:
        thread_id = await ask_for_money(tab, upstream)
        card = cards(tab, thread_id)[0]
        upstream.script(Answer("Good that you have it."))
        assert (await tab.send(thread_id, "I have found it")).text == "Good that you have it."
        late = await press(tab, thread_id, card, "Approve")
        assert late.error is not None
        assert desk.luggage_server.desk.payments == []


async def test_a_resumed_run_may_ask_again(chat: Served, upstream: OpenAIServer, desk: ModuleType) -> None:
    async with chat.tab() as tab:
        thread_id = await ask_for_money(tab, upstream)
        upstream.script(Answer(tool_calls=[ToolCall("pay", {"euros": 5}, "call_of_more")]), Answer("85 in all."))
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).error is None
        second = cards(tab, thread_id)[1]
        assert (await press(tab, thread_id, second, "Approve")).text == "85 in all."
        assert desk.luggage_server.desk.payments == [80, 5]
        assert await notes(chat) == 1
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items


async def test_another_worker_resumes_after_a_restart(tmp_path: Path, upstream: OpenAIServer, desk: ModuleType) -> None:
    async with opened(tmp_path, upstream, desk.luggage_server) as chat, chat.tab() as tab:
        thread_id = await ask_for_money(tab, upstream)
        card, cookies = cards(tab, thread_id)[0], tab.cookies
    restarted = desk.LuggageServer(desk.Desk())
    async with opened(tmp_path, upstream, restarted) as chat, chat.tab(cookies=cookies) as tab:
        tab.pictures[thread_id] = await tab.reload(thread_id)
        upstream.script(Answer("80 euros are yours."))
        assert (await press(tab, thread_id, card, "Approve")).text == "80 euros are yours."
        assert restarted.desk.payments == [80]
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items


@pytest.fixture
def subscriptions() -> Iterator[list[int]]:
    """What the gazette's tool has done."""
    gazette.subscriptions.clear()
    yield gazette.subscriptions
    gazette.subscriptions.clear()


async def test_a_title_agent_beside_the_run_is_not_asked_again(
    tmp_path: Path, upstream: OpenAIServer, subscriptions: list[int]
) -> None:
    """When the user decides, the thread has a title: then its code does not run the title agent."""
    answers = [
        Answer(tool_calls=[ToolCall("subscribe", {"months": 12}, "call_of_subscribe")]),
        Answer("You get the paper for a year."),
    ]

    def answer(request: ModelRequest) -> Answer:
        return Answer("A paper") if request.body["model"] == "gpt-5-nano" else answers.pop(0)

    upstream.default = answer
    context = gazette.make_context
    async with opened(tmp_path, upstream, GazetteServer, context=context) as chat, chat.tab() as tab:
        reply = await tab.create("I want to read more")
        assert reply.error is None
        assert reply.picture.thread["title"] == "A paper"
        pressed = await press(tab, reply.thread_id, cards(tab, reply.thread_id)[0], "Approve")
        assert (pressed.error, pressed.text) == (None, "You get the paper for a year.")
        assert subscriptions == [12]
        assert [thread["title"] for thread in await tab.history()] == ["A paper"]
        assert (await tab.reload(reply.thread_id)).items == tab.pictures[reply.thread_id].items
    assert [request.body["model"] for request in upstream.requests].count("gpt-5-nano") == 1
