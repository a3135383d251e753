"""@-mentions: searched per user, and described to the model by the server class."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import UserMessageTagContent
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot

from chatkit_server import ChatServer, Entity, RequestContext
from tests.serving import Served, Tab, serve
from tests.support.chatkit import Reply, user_input
from tests.support.openai_server import OpenAIServer

ADA = {"type": "input_tag", "id": "ada", "text": "Ada", "data": {}}
CARD = {"type": "Card", "children": [{"type": "Text", "value": "Ada Lovelace"}]}


class People(ChatServer):
    """Each user has an address book."""

    async def search_entities(self, query: str, context: RequestContext) -> Sequence[Entity]:
        ada = Entity(id="ada", title=f"Ada of {context.user_id}", group="People", interactive=True, data={"n": "1"})
        many = [Entity(id=f"p{number}", title=f"Person {number}") for number in range(99)]
        return [ada] if query == "ada" else many

    async def preview_entity(self, entity: Entity, context: RequestContext) -> WidgetRoot | None:
        return DynamicWidgetRoot.model_validate(CARD) if entity.id == "ada" else None

    async def describe_mention(self, mention: UserMessageTagContent, context: RequestContext) -> str:
        if mention.id != "ada":
            raise LookupError(mention.text)
        return f"Ada Lovelace, 1815 to 1852, in the book of {context.user_id}"


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


def serving(folder: Path, upstream: OpenAIServer, server: Any = People, **settings: Any) -> Any:
    return serve(folder, server=server, model="gpt-test", base_url=upstream.base_url, api="responses", **settings)


async def search(tab: Tab, query: str) -> Any:
    async with tab.session.get(f"{tab.base_url}/api/entities", params={"q": query}) as response:
        return response.status, await response.json()


async def preview(tab: Tab, entity: Any) -> Any:
    async with tab.session.post(f"{tab.base_url}/api/entities/preview", json=entity) as response:
        return response.status, await response.json()


async def features(tab: Tab) -> Any:
    async with tab.session.get(f"{tab.base_url}/api/chatkit/options") as response:
        return (await response.json())["features"]


async def mention(tab: Tab, *ids: str) -> Reply:
    """Send a message with tags, as the widget does."""
    tags = [{"type": "input_tag", "id": name, "text": name.title(), "data": {"forged": "yes"}} for name in ids]
    content = [{"type": "input_text", "text": "Who is "}, *tags, {"type": "input_text", "text": "?"}]
    return await tab.post("threads.create", {"input": user_input("") | {"content": content}})


async def user_of(served: Served, tab: Tab) -> str:
    return (await served.owner((await tab.history())[0]["id"])).user_id


async def test_a_search_returns_what_the_user_may_see(tmp_path: Path, upstream: OpenAIServer) -> None:
    async with serving(tmp_path, upstream) as served, served.tab() as tab, served.tab() as other:
        await tab.create("Hello")
        await other.create("Hello")
        users = [await user_of(served, tab), await user_of(served, other)]
        assert len(set(users)) == 2
        for browser, user in zip((tab, other), users, strict=True):
            ada = {"id": "ada", "title": f"Ada of {user}", "group": "People", "interactive": True, "data": {"n": "1"}}
            assert await search(browser, " ada ") == (200, {"entities": [ada]})
        status, body = await search(tab, "")
        assert (status, len(body["entities"]), body["entities"][0]) == (200, 50, {"id": "p0", "title": "Person 0"})
        assert (await search(tab, "x" * 201))[0] == 400
        assert await features(tab) == await features(tab) | {"mentions": True, "mentionPreviews": True}


async def test_an_interactive_entity_can_be_previewed(tmp_path: Path, upstream: OpenAIServer) -> None:
    async with serving(tmp_path, upstream) as served, served.tab() as tab:
        assert await preview(tab, {"id": "ada", "title": "Ada", "data": {"n": "1"}}) == (200, {"preview": CARD})
        assert await preview(tab, {"id": "bob", "title": "Bob"}) == (200, {"preview": None})
        status, body = await preview(tab, {"title": "nobody"})
        assert (status, set(body)) == (400, {"code", "message", "request_id"})


async def test_the_model_reads_the_description_from_the_server_class(tmp_path: Path, upstream: OpenAIServer) -> None:
    async with serving(tmp_path, upstream) as served, served.tab() as tab:
        reply = await mention(tab, "ada")
        assert reply.text == "Hello from the fake model."
        user = await user_of(served, tab)
        await tab.send(reply.thread_id, "And her father?")
        assert (await tab.reload(reply.thread_id)).items[0]["content"] == reply.user_item["content"]
    for request in upstream.requests:
        model_input = str(request.body["input"])
        assert f"Ada Lovelace, 1815 to 1852, in the book of {user}" in model_input
        assert "Who is @Ada?" in model_input
        assert "forged" not in model_input


async def test_a_mention_that_cannot_be_described_is_sent_as_plain_text(
    tmp_path: Path, upstream: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, upstream) as served, served.tab() as tab:
        reply = await mention(tab, "nobody")
        assert (reply.text, reply.error) == ("Hello from the fake model.", None)
    assert '"mention": "Nobody", "id": "nobody"' in str(upstream.requests[0].body["input"])
    assert "cannot describe a mention" in caplog.text


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ([{"type": "input_text", "text": "Who is "}, ADA, {"type": "input_text", "text": "?"}], "Who is @Ada?"),
        ([ADA], "@Ada"),
    ],
)
async def test_the_title_has_the_mentions(tmp_path: Path, upstream: OpenAIServer, content: Any, title: str) -> None:
    async with serving(tmp_path, upstream, titles=True) as served, served.tab() as tab:
        reply = await tab.post("threads.create", {"input": user_input("") | {"content": content}})
        assert reply.events[0]["thread"]["title"] == title
    for_title = [request for request in upstream.requests if not request.body.get("stream")]
    assert [title in str(request.body["input"]) for request in for_title] == [True]


async def test_the_demo_model_answers_the_message_and_not_the_context(tmp_path: Path) -> None:
    async with serve(tmp_path, server=People, model="demo", demo_tokens_per_second=100_000) as served:
        async with served.tab() as tab:
            content = [{"type": "input_text", "text": "Who is "}, ADA, {"type": "input_text", "text": "?"}]
            quoting = user_input("") | {"content": content, "quoted_text": "a quotation"}
            reply = await tab.post("threads.create", {"input": quoting})
    assert "You wrote:\n\n> Who is @Ada?\n" in reply.text


async def test_without_a_search_mentions_are_not_offered(tmp_path: Path, upstream: OpenAIServer) -> None:
    async with serving(tmp_path, upstream, ChatServer) as served, served.tab() as tab:
        assert await search(tab, "ada") == (200, {"entities": []})
        assert await preview(tab, {"id": "ada", "title": "Ada"}) == (200, {"preview": None})
        assert await features(tab) == await features(tab) | {"mentions": False, "mentionPreviews": False}
        assert (await mention(tab, "ada")).text == "Hello from the fake model."
    assert '"mention": "Ada", "id": "ada"' in str(upstream.requests[0].body["input"])
