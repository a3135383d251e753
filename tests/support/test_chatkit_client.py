"""The fake widget, the raw socket and the live server, tested against chatkit's own server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette

from bench.stock_app import create_app
from tests.support.chatkit import ChatKitClient, Picture, user_input
from tests.support.live_server import live
from tests.support.openai_answers import Answer, Reasoning
from tests.support.openai_server import OpenAIServer
from tests.support.sse import Frame, RawStream, SseParser, parse


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def base_url(upstream: OpenAIServer) -> AsyncIterator[str]:
    async with live(create_app(upstream.base_url)) as url:
        yield url


async def test_the_live_picture_equals_the_reloaded_one(base_url: str, upstream: OpenAIServer) -> None:
    upstream.script(Answer("Good morning.", reasoning=Reasoning(["It is early."])), Answer("And good night."))
    async with ChatKitClient(base_url) as tab:
        reply = await tab.create("Hello")
        await tab.send(reply.thread_id, "Bye")
        live_picture = tab.pictures[reply.thread_id]
        assert live_picture.texts() == [
            ("user", "Hello"),
            ("assistant", "Good morning."),
            ("user", "Bye"),
            ("assistant", "And good night."),
        ]
        assert [item["type"] for item in live_picture.items][:2] == ["user_message", "workflow"]
        assert (await tab.reload(reply.thread_id)).texts() == live_picture.texts()
        assert [thread["id"] for thread in await tab.history()] == [reply.thread_id]


async def test_a_reply_can_be_read_event_by_event(base_url: str, upstream: OpenAIServer) -> None:
    upstream.script(Answer("one two three four", hang_after=2))
    async with ChatKitClient(base_url) as tab:
        async with tab.open("threads.create", {"input": user_input("Count")}) as reply:
            await reply.wait_for("assistant_message.content_part.text_delta")
            await reply.wait_for("assistant_message.content_part.text_delta")
            assert reply.picture.texts()[-1] == ("assistant", "one two")
            upstream.release()
            await reply.read()
        assert reply.text == "one two three four"
        assert reply.error is None


async def test_a_reset_in_mid_stream_closes_the_socket(base_url: str, upstream: OpenAIServer) -> None:
    upstream.script(Answer("one two three four", hang_after=2))
    body = {"type": "threads.create", "params": {"input": user_input("Count")}}
    async with await RawStream.post(base_url, "/chatkit", body) as stream:
        await stream.read_until(lambda frame: ' two"' in frame.data)
        assert stream.status == 200
        assert not stream.ended
        assert stream.events[0]["type"] == "thread.created"
        stream.reset()


async def test_a_complete_response_over_a_raw_socket_ends(base_url: str, upstream: OpenAIServer) -> None:
    upstream.script(Answer("one two"))
    body = {"type": "threads.create", "params": {"input": user_input("Count")}}
    async with await RawStream.post(base_url, "/chatkit", body, receive_buffer=4096) as stream:
        frames = await stream.read_to_end()
    assert stream.ended
    assert parse(bytes(stream.body)) == frames


def test_a_stream_may_be_cut_anywhere() -> None:
    body = b': ping\n\nid: 7\r\ndata: {"type":"x",\r\ndata: "n":"\xc3\xa9"}\r\n\r\ndata: {}\n\n'
    frames = parse(body)
    assert frames == [Frame(comment="ping"), Frame('{"type":"x",\n"n":"é"}', id="7"), Frame("{}")]
    assert frames[1].json == {"type": "x", "n": "é"}
    parser = SseParser()
    assert [frame for byte in body for frame in parser.feed(bytes([byte]))] == frames
    with pytest.raises(ValueError, match="inside a frame"):
        parse(body + b"data: {")


def test_the_picture_follows_every_update_of_a_widget() -> None:
    picture = Picture()
    root = {"type": "Card", "id": "root", "children": [{"type": "Text", "id": "t", "value": "a"}]}
    picture.apply({"type": "thread.item.added", "item": {"id": "w", "type": "widget", "widget": root}})

    def update(**fields: object) -> None:
        picture.apply({"type": "thread.item.updated", "item_id": "w", "update": fields})

    update(type="widget.streaming_text.value_delta", component_id="t", delta="b", done=True)
    assert picture.items[0]["widget"]["children"] == [{"type": "Text", "id": "t", "value": "ab", "streaming": False}]
    update(type="widget.component.updated", component_id="t", component={"type": "Text", "id": "t", "value": "c"})
    assert picture.items[0]["widget"]["children"] == [{"type": "Text", "id": "t", "value": "c"}]
    update(type="widget.root.updated", widget={"type": "Card", "children": []})
    assert picture.items[0]["widget"] == {"type": "Card", "children": []}


async def test_an_app_that_does_not_start_fails_the_test() -> None:
    @asynccontextmanager
    async def broken(app: Starlette) -> AsyncIterator[None]:
        app.state.database = app.state.missing
        yield

    with pytest.raises(RuntimeError, match="lifespan failed"):
        async with live(Starlette(lifespan=broken)):
            await asyncio.sleep(0)
