"""The bytes of a stream."""

import asyncio

import pytest
from chatkit.types import ProgressUpdateEvent, ThreadItemAddedEvent, ThreadItemDoneEvent

from chatkit_server import AgentContext
from tests.protocol.requirements import covers
from tests.serving import Served, Tab
from tests.stage import Stage, make_item
from tests.support.chatkit import text_of, user_input

pytestmark = pytest.mark.asyncio(loop_scope="module")


@covers("sse.headers", "sse.options")
async def test_a_stream_is_uncached_untransformed_and_unbuffered(stage: Stage, tab: Tab, served: Served) -> None:
    stage.play("Hi.")
    reply = await tab.create("Hello")
    (row,) = await served.rows("SELECT id FROM turns WHERE thread_id = :id", id=reply.thread_id)
    assert {name.lower(): reply.headers[name] for name in reply.headers} | {"date": "", "x-request-id": ""} == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "private, no-store, no-transform",
        "x-content-type-options": "nosniff",
        "referrer-policy": "strict-origin-when-cross-origin",
        "content-security-policy": "frame-ancestors 'self'",
        "cross-origin-resource-policy": "same-origin",
        "x-accel-buffering": "no",
        "x-chatkit-turn-id": row["id"],
        "set-cookie": reply.headers["set-cookie"],
        "transfer-encoding": "chunked",
        "server": "uvicorn",
        "date": "",
        "x-request-id": "",
    }
    assert {"type": "stream_options", "stream_options": {"allow_cancel": True}} in reply.events


@covers("sse.headers")
async def test_an_error_stream_has_the_same_headers(tab: Tab) -> None:
    reply = await tab.post("threads.add_user_message", {"thread_id": "thr_1", "input": user_input("Hello")})
    expected = ("text/event-stream; charset=utf-8", "private, no-store, no-transform", "no")
    assert tuple(reply.headers[name] for name in ("content-type", "cache-control", "x-accel-buffering")) == expected


@covers("sse.ids")
async def test_frames_are_numbered_from_one_and_contain_only_an_id_and_data(stage: Stage, tab: Tab) -> None:
    stage.play("one two three")
    reply = await tab.create("Count")
    assert [frame.id for frame in reply.frames] == [str(number) for number in range(1, len(reply.frames) + 1)]
    assert {(frame.event, frame.retry, frame.comment) for frame in reply.frames} == {(None, None, None)}
    assert all("\n" not in frame.data for frame in reply.frames)


@covers("sse.pings")
async def test_pings_are_sent_during_silence_before_and_within_the_text(stage: Stage, tab: Tab) -> None:
    before, amid = asyncio.Event(), asyncio.Event()

    async def act(context: AgentContext) -> str:
        await before.wait()
        await context.stream(ProgressUpdateEvent(text="Half way"))
        await amid.wait()
        return "done"

    async def two_pings() -> None:
        for _ in range(2):
            frame = await reply.read_frame()
            assert frame is not None
            assert frame.comment == "ping"

    stage.play_tool(act)
    async with asyncio.timeout(10), tab.open("threads.create", {"input": user_input("Wait")}) as reply:
        await reply.wait_for("stream_options")
        await two_pings()
        before.set()
        await reply.wait_for("progress_update")
        await two_pings()
        amid.set()
        await reply.read()
    assert reply.text == "done"
    assert reply.frames[-1].comment is None


@covers("wire.utc")
async def test_every_time_of_every_operation_is_utc_with_an_offset(stage: Stage, tab: Tab) -> None:
    """`Tab` checks all responses; this makes sure that they contain times."""
    stage.play("Hi.")
    reply = await tab.create("Hello")
    thread = await tab.get(reply.thread_id)
    times = [thread["created_at"], *(item["created_at"] for item in thread["items"]["data"])]
    times += [(await tab.list())["data"][0]["created_at"], (await tab.items(reply.thread_id))["data"][0]["created_at"]]
    times += [reply.events[0]["thread"]["created_at"], reply.user_item["created_at"]]
    renamed = await tab.post("threads.update", {"thread_id": reply.thread_id, "title": "x"})
    assert [time[-1] for time in [*times, renamed.body["created_at"]]] == ["Z"] * 8


TEXTS = {
    "line ends and quotes": 'a "quoted" \\ line\r\nand data: another\n\nid: 7\n\n',
    "beyond the basic plane": "🦊 𝒳 नमस्ते שלום",
    "control characters": "bell \x07 tab \t del \x7f nel \x85",
    "JavaScript's line ends": "one\u2028two\u2029three",
    "markup": "</script><b>&amp;",
}


@covers("wire.unicode")
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_text_comes_back_as_it_was_sent_live_and_after_a_reload(stage: Stage, tab: Tab, text: str) -> None:
    stage.play(text)
    reply = await tab.create(text)
    picture = tab.pictures[reply.thread_id]
    assert picture.texts() == [("user", text), ("assistant", text)]
    assert (await tab.reload(reply.thread_id)).items == picture.items


LONE = {"lone high": "a \ud83e b", "lone low": "a \udd8a b", "the wrong way round": "\udd8a\ud83e"}


@covers("wire.unicode")
@pytest.mark.parametrize("text", LONE.values(), ids=LONE)
async def test_a_lone_surrogate_of_the_model_is_replaced_and_does_not_end_the_turn(
    stage: Stage, tab: Tab, served: Served, text: str
) -> None:
    """A lone surrogate is not valid UTF-8: it would break the frame, the row and every later load."""

    async def act(context: AgentContext) -> str:
        item = make_item("task", context.thread, context.generate_id("message"), task={"type": "custom", "title": text})
        await context.stream(ThreadItemAddedEvent(item=item))
        await context.stream(ThreadItemDoneEvent(item=item))
        return "shown"

    stage.play_tool(act, before=text, after=text)
    reply = await tab.create("Say it")
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert reply.error is None
    picture = tab.pictures[reply.thread_id]
    assert picture.texts() == [("user", "Say it"), ("assistant", clean), ("assistant", clean)]
    assert picture.of_type("task")[0]["task"]["title"] == clean
    assert (await tab.reload(reply.thread_id)).items == picture.items
    stage.play("Go on.")
    assert (await tab.send(reply.thread_id, "And?")).text == "Go on."


@covers("wire.unicode")
async def test_a_lone_surrogate_in_a_users_message_is_replaced(stage: Stage, tab: Tab) -> None:
    stage.play("Hi.")
    body = b'{"type":"threads.create","params":{"input":{"content":[{"type":"input_text","text":"a \\ud83e b"}],'
    body += b'"attachments":[],"inference_options":{}}}}'
    reply = await tab.post_body(body)
    assert reply.status == 200
    assert reply.error is None
    assert text_of(reply.user_item) == "a \N{REPLACEMENT CHARACTER} b"
    assert (await tab.reload(reply.thread_id)).items == reply.picture.items
