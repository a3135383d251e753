"""What odd endpoints of the Responses API send, through the real app and the real openai client."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent

from chatkit_server.errors.failures import NOTICES, TEXTS
from tests.serving import Served, serve
from tests.support.raw_endpoint import RawEndpoint, ResponsesEvents, as_json, http, stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

CITATIONS: list[Any] = [
    {"type": "novel", "x": 1},
    {"type": "url_citation", "url": "javascript:alert(1)", "title": "x", "start_index": 0, "end_index": 3},
    {"type": "url_citation", "url": "data:text/html,x", "title": "x", "start_index": 0, "end_index": 3},
    {"type": "url_citation", "url": "https://a.example/page"},
    {"type": "url_citation", "title": None, "url": "https://b.example", "start_index": None, "end_index": 99_999},
    {"type": "url_citation", "title": "C", "url": "https://c.example", "start_index": "1", "end_index": -5},
    {"type": "file_citation"},
    {"type": "file_citation", "filename": "a.pdf"},
    None,
    "x",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint() -> AsyncIterator[RawEndpoint]:
    """Yield the endpoint of the app's model."""
    async with RawEndpoint(lambda body: answer("Fine.")) as endpoint:
        yield endpoint


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(endpoint: RawEndpoint, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Yield one app for all shapes."""
    settings: dict[str, Any] = {"model": "m", "base_url": endpoint.base_url, "api": "responses", "titles": False}
    async with serve(tmp_path_factory.mktemp("odd"), Agent(name="Helper"), model_retries=0, **settings) as served:
        yield served


def answer(text: str) -> bytes:
    """Return a complete answer."""
    events = ResponsesEvents()
    return stream(events.start(), events.message(text, index=0, item_id="msg_1"), events.end())


async def test_odd_citations_are_completed_or_left_out(endpoint: RawEndpoint, served: Served) -> None:
    events = ResponsesEvents()
    message = events.message("Good answer.", index=0, item_id="msg_1", annotations=CITATIONS)
    endpoint.replies["cite"] = stream(events.start(), message, events.end())
    async with served.tab() as tab:
        reply = await tab.create("cite")
        assert (reply.error, reply.text) == (None, "Good answer.")
        (content,) = (await tab.reload(reply.thread_id)).items[-1]["content"]
        cited = [
            (mark["source"].get("url") or mark["source"]["filename"], mark["index"]) for mark in content["annotations"]
        ]
        assert cited == [
            ("https://a.example/page", 12),
            ("https://b.example", 12),
            ("https://c.example", 12),
            ("a.pdf", 12),
        ]
        assert "javascript:" not in json.dumps(reply.events)
        assert (await tab.send(reply.thread_id, "next")).text == "Fine."


@pytest.mark.parametrize("ids", [("msg_1", "msg_2"), ("msg_1", "msg_1")])
async def test_two_messages_with_one_index_are_two(endpoint: RawEndpoint, served: Served, ids: tuple[str, str]) -> None:
    events = ResponsesEvents()
    messages = [
        events.message(text, index=0, item_id=item_id) for text, item_id in zip(("First.", "Second."), ids, strict=True)
    ]
    endpoint.replies["two"] = stream(events.start(), *messages, events.end())
    async with served.tab() as tab:
        reply = await tab.create("two")
        assert (await tab.reload(reply.thread_id)).texts()[1:] == [("assistant", "First."), ("assistant", "Second.")]


async def test_an_answer_that_breaks_off_fails_and_keeps_its_text(endpoint: RawEndpoint, served: Served) -> None:
    events = ResponsesEvents()
    endpoint.replies["cut"] = stream(events.start(), events.message("half", index=0, item_id="msg_1"))
    async with served.tab() as tab:
        reply = await tab.create("cut")
        assert reply.error is not None
        assert reply.error["message"].startswith(TEXTS["answer_cut"][0])
        assert ("assistant", "half") in (await tab.reload(reply.thread_id)).texts()


@pytest.mark.parametrize(
    ("reason", "code"), [("max_output_tokens", "length_limit"), ("content_filter", "content_filter")]
)
async def test_an_incomplete_answer_says_why(endpoint: RawEndpoint, served: Served, reason: str, code: str) -> None:
    events = ResponsesEvents()
    message = events.message("half", index=0, item_id="msg_1")
    end = events.end("incomplete", incomplete_details={"reason": reason})
    endpoint.replies["incomplete"] = stream(events.start(), message, end)
    endpoint.replies["incomplete, no text"] = stream(events.start(), end)
    async with served.tab() as tab:
        reply = await tab.create("incomplete")
        assert reply.error is None
        assert [event["message"] for event in reply.events if event["type"] == "notice"] == [NOTICES[code]]
        silent = await tab.create("incomplete, no text")
        assert silent.error is not None
        assert silent.error["message"].startswith(TEXTS[code][0])


async def test_the_type_may_be_in_the_name_of_the_event_only(endpoint: RawEndpoint, served: Served) -> None:
    lines = answer("Named.").split(b"\n")
    endpoint.replies["named"] = b"\n".join(
        b"data: " + json.dumps(_without_type(json.loads(line[6:]))).encode() if line.startswith(b"data: ") else line
        for line in lines
    )
    async with served.tab() as tab:
        assert (await tab.create("named")).text == "Named."


def _without_type(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "type"}


async def test_json_is_shown_and_its_error_is_named(endpoint: RawEndpoint, served: Served) -> None:
    events = ResponsesEvents()
    events.message("Not streamed.", index=0, item_id="msg_1")
    endpoint.replies["json"] = as_json(events.response("completed"))
    endpoint.replies["error"] = as_json({"error": {"message": "x", "code": "insufficient_quota"}})
    endpoint.replies["page"] = http(b"<html>Login</html>", "text/html")
    async with served.tab() as tab:
        assert (await tab.create("json")).text == "Not streamed."
        for name, code in (("error", "model_quota"), ("page", "model_endpoint")):
            reply = await tab.create(name)
            assert reply.error is not None
            assert reply.error["message"].startswith(TEXTS[code][0])
