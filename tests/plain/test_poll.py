"""`GET /api/turns/{id}`: poll, with 304 while nothing has changed."""

import pytest

from tests.plain.plain import Plain, sqlite_only
from tests.support.openai_answers import RATE_LIMIT, Answer

COUNT = Answer("one two three four", hang_after=2)


async def test_a_poll_returns_the_text_so_far_and_304_while_nothing_has_changed(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count") as stream:
        await stream.read_up_to("one two")
        turn_id = stream.headers["x-chatkit-turn-id"]
        status, tag, body = await plain.poll(turn_id)
        assert (status, body["id"], body["status"], body["text"]) == (200, turn_id, "running", "one two")
        assert (body["ended_at"], body["error"]) == (None, None)
        assert body["started_at"].endswith("Z")
        first_token_ms = body["first_token_ms"]
        assert first_token_ms >= 0
        assert await plain.poll(turn_id, tag) == (304, tag, {})
        for tags in (f"W/{tag}", f'"other", {tag}', "*"):
            assert (await plain.poll(turn_id, tags))[0] == 304
        assert (await plain.poll(turn_id, '"other"'))[0] == 200
        plain.chat.upstream.release()
        await stream.read()
    status, newer, body = await plain.poll(turn_id, tag)
    assert (status, body["status"], body["text"]) == (200, "completed", "one two three four")
    assert newer != tag
    assert body["ended_at"].endswith("Z")
    assert body["duration_ms"] >= body["first_token_ms"] == first_token_ms
    assert body["usage"] == stream.done["usage"]
    assert body["item_ids"] == stream.done["item_ids"]
    assert await plain.poll(turn_id, newer) == (304, newer, {})


@sqlite_only
async def test_a_failed_turn_still_has_its_error_later(plain: Plain) -> None:
    plain.chat.upstream.script(Answer("one two three", error_after=2, error=RATE_LIMIT))
    stream = await plain.stream("Count")
    _, _, body = await plain.poll(stream.done["turn_id"])
    assert (body["status"], body["text"]) == ("failed", "one two")
    assert body["error"] == stream.error


@sqlite_only
async def test_turns_of_the_widget_can_be_polled_too(plain: Plain) -> None:
    reply = await plain.tab.create("Hello")
    _, _, body = await plain.poll(reply.headers["x-chatkit-turn-id"])
    assert (body["status"], body["text"], body["thread_id"]) == ("completed", reply.text, reply.thread_id)


@sqlite_only
@pytest.mark.parametrize("turn_id", ["turn_unknown", "x", "%00"])
async def test_an_unknown_turn_is_404(plain: Plain, turn_id: str) -> None:
    status, _, body = await plain.poll(turn_id)
    assert (status, body["code"]) == (404, "not_found")
