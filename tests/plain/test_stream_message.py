"""`POST /api/stream/message`: the answer token by token, as SSE or NDJSON."""

from typing import Any

import pytest
from agents import Agent, GuardrailFunctionOutput, OutputGuardrail, RunContextWrapper, function_tool

from tests.plain.plain import DETACH, NDJSON, Plain, both_apis, sqlite_only
from tests.support.openai_answers import INVALID_API_KEY, RATE_LIMIT, Answer, Refusal, Text, ToolCall
from tests.turns.chat import LEAVING, Chat, model_input
from tests.turns.conftest import Start

COUNT = Answer("one two three four", hang_after=2)


@both_apis
async def test_the_tokens_join_to_the_saved_text(plain: Plain) -> None:
    words = "One, “two” — drei:\n\n- `四` 🙂\u2028end."
    plain.chat.upstream.script(Answer(words))
    stream = await plain.stream("Count")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text == words
    thread_id, turn_id = stream.headers["x-chatkit-thread-id"], stream.headers["x-chatkit-turn-id"]
    assert await plain.chat.messages(thread_id) == [("user", "Count"), ("assistant", words)]
    ids = await plain.chat.select("SELECT id FROM thread_items ORDER BY position")
    assert stream.done["turn_id"] == turn_id
    assert stream.done["thread_id"] == thread_id
    assert [stream.done["user_item_id"], *stream.done["item_ids"]] == [item_id for (item_id,) in ids]
    assert (stream.done["status"], stream.done["stop_reason"]) == ("completed", None)
    assert stream.done["usage"]["output_tokens"] > 0
    assert stream.done["started_at"].endswith("Z")


@sqlite_only
@both_apis
async def test_ndjson_arrives_line_by_line(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count", headers=NDJSON) as stream:
        assert stream.response.content_type == "application/x-ndjson"
        assert stream.headers["transfer-encoding"] == "chunked"
        await stream.read_up_to("one two")
        assert stream.text == "one two"  # the model has not sent more
        plain.chat.upstream.release()
        await stream.read()
    assert stream.text == "one two three four"
    assert stream.done["status"] == "completed"


@sqlite_only
async def test_the_widget_and_plain_clients_can_share_a_thread(plain: Plain) -> None:
    chat, tab = plain.chat, plain.tab
    chat.upstream.script(Answer("One."), Answer("Two."), Answer("Three."))
    thread_id = (await plain.stream("First")).done["thread_id"]
    reply = await tab.send(thread_id, "Second")
    assert reply.text == "Two."
    assert (await plain.stream("Third", thread_id)).text == "Three."
    conversation = [
        ("user", "First"),
        ("assistant", "One."),
        ("user", "Second"),
        ("assistant", "Two."),
        ("user", "Third"),
        ("assistant", "Three."),
    ]
    loaded = await tab.reload(thread_id)
    assert loaded.texts() == conversation
    assert loaded.thread["title"] == "First"
    assert model_input(chat.upstream.requests[2])[-5:] == conversation[:5]


@sqlite_only
@both_apis
async def test_messages_before_and_after_a_tool_are_separated(start: Start, api: str) -> None:
    @function_tool
    async def look_up() -> str:
        """Look it up."""
        return "found"

    chat = await start(Agent(name="test", tools=[look_up]))
    chat.upstream.script(Answer("Let me see.", tool_calls=[ToolCall("look_up")]), Answer("It is found."))
    async with await chat.visitor() as tab:
        stream = await Plain(chat, tab).stream("Look")
    assert stream.text == "Let me see.\n\nIt is found."
    assert "reset" not in str(stream.messages)


@sqlite_only
@both_apis
async def test_a_refusal_is_text(plain: Plain) -> None:
    plain.chat.upstream.script(Answer(output=[Refusal("I will not do that.")]))
    stream = await plain.stream("Do it")
    assert stream.text == "I will not do that."
    assert (await plain.chat.messages(stream.done["thread_id"]))[-1] == ("assistant", stream.text)


@sqlite_only
async def test_several_messages_of_one_answer_are_complete(plain: Plain) -> None:
    plain.chat.upstream.script(Answer(output=[Text("one two"), Text("three four")]))
    stream = await plain.stream("Count")
    texts = [words for role, words in await plain.chat.messages(stream.done["thread_id"]) if role == "assistant"]
    assert stream.text == "\n\n".join(texts)


@sqlite_only
async def test_text_removed_by_a_guardrail_is_reset(start: Start) -> None:
    async def trip(context: RunContextWrapper[Any], agent: Agent[Any], output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    chat = await start(Agent(name="test", output_guardrails=[OutputGuardrail(guardrail_function=trip)]))
    chat.upstream.script(Answer("Forbidden words."))
    async with await chat.visitor() as tab:
        stream = await Plain(chat, tab).stream("Say it")
    assert "Forbidden" in "".join(stream.tokens)
    assert {"reset": True} in stream.messages
    assert stream.text == ""
    assert stream.error["code"] == "guardrail_output"
    assert stream.done["status"] == "failed"


@sqlite_only
@both_apis
async def test_an_error_comes_before_the_end_and_keeps_the_text_so_far(plain: Plain) -> None:
    plain.chat.upstream.script(Answer("one two three", error_after=2, error=RATE_LIMIT))
    stream = await plain.stream("Count")
    assert stream.text == "one two"
    assert stream.error["code"] == "model_rate_limit"
    assert stream.error["allow_retry"] is True
    assert stream.error["request_id"] == stream.headers["x-request-id"]
    assert "(request" not in stream.error["message"]
    assert stream.done["status"] == "failed"
    assert await plain.chat.messages(stream.done["thread_id"]) == [("user", "Count"), ("assistant", "one two")]


@sqlite_only
async def test_a_failure_before_the_first_token_is_an_error_too(plain: Plain) -> None:
    plain.chat.upstream.script(Answer(fail=INVALID_API_KEY))
    stream = await plain.stream("Count", headers=NDJSON)
    assert [next(iter(message)) for message in stream.messages] == ["error", "done"]
    assert stream.error["code"] == "model_auth"
    assert "sk-wrong" not in str(stream.messages)


@sqlite_only
async def test_stop_by_the_turns_id_ends_the_stream(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count") as stream:
        await stream.read_up_to("one two")
        status, body = await plain.stop(stream.headers["x-chatkit-turn-id"])
        assert (status, body["stop_reason"]) == (200, "user")
        await plain.chat.upstream.requests[0].wait_closed()
        await stream.read()
    assert stream.text == "one two"
    assert (stream.done["status"], stream.done["stop_reason"]) == ("stopped", "user")
    assert (await plain.chat.items(stream.done["thread_id"]))[-1] == "sdk_hidden_context"


async def test_a_new_message_supersedes_the_running_one(plain: Plain) -> None:
    chat = plain.chat
    chat.upstream.script(COUNT, Answer("five"))
    async with plain.streaming("Count") as first:
        await first.read_up_to("one two")
        thread_id = first.headers["x-chatkit-thread-id"]
        second = await plain.stream("Go on", thread_id)
        await first.read()
    assert (first.done["status"], first.done["stop_reason"]) == ("stopped", "superseded")
    assert second.text == "five"
    assert await chat.messages(thread_id) == [
        ("user", "Count"),
        ("assistant", "one two"),
        ("user", "Go on"),
        ("assistant", "five"),
    ]


@sqlite_only
@pytest.mark.parametrize("leave", LEAVING)
@pytest.mark.parametrize("headers", [{}, NDJSON], ids=["sse", "ndjson"])
async def test_disconnecting_stops_the_answer(plain: Plain, leave: str, headers: dict[str, str]) -> None:
    chat = plain.chat
    chat.upstream.script(COUNT)
    stream = await plain.raw("Count", headers)
    while b' two"}' not in stream.body:
        assert await stream.read()
    LEAVING[leave](stream)
    await chat.upstream.requests[0].wait_closed()
    assert chat.upstream.requests[0].client_gone
    thread_id = stream.headers["x-chatkit-thread-id"]
    await chat.ended(thread_id)
    assert await chat.turns(thread_id) == [("stopped", "disconnected")]
    assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two")]
    await plain.session.close()
    await chat.quiet()


@sqlite_only
async def test_a_detached_client_may_disconnect(plain: Plain) -> None:
    chat = plain.chat
    chat.upstream.script(COUNT)
    async with plain.streaming("Count", headers=DETACH) as stream:
        await stream.read_up_to("one two")
    turn_id = stream.headers["x-chatkit-turn-id"]
    assert (await plain.poll(turn_id))[2]["status"] == "running"
    chat.upstream.release()
    await chat.ended(stream.headers["x-chatkit-thread-id"])
    assert (await plain.poll(turn_id))[2]["text"] == "one two three four"


@sqlite_only
@pytest.mark.parametrize("headers", [{}, NDJSON], ids=["sse", "ndjson"])
async def test_pings_are_sent_while_the_model_is_silent(start: Start, headers: dict[str, str]) -> None:
    chat = await start(ping_seconds=0.02)
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, Plain(chat, tab).streaming("Count", headers=headers) as stream:
        await stream.read_up_to("one two")
        before = stream.pings
        while stream.pings < before + 2:
            await anext(stream._reading)
            stream.pings += 1
        chat.upstream.release()
        await stream.read()
    assert stream.text == "one two three four"


@sqlite_only
async def test_deleting_the_thread_ends_the_stream(plain: Plain) -> None:
    plain.chat.upstream.script(COUNT)
    async with plain.streaming("Count") as stream:
        await stream.read_up_to("one two")
        await plain.tab.post("threads.delete", {"thread_id": stream.headers["x-chatkit-thread-id"]})
        await stream.read()
    assert (stream.done["status"], stream.done["stop_reason"]) == ("stopped", "deleted")


@sqlite_only
async def test_a_new_user_gets_a_cookie_that_gives_access_to_the_thread(chat: Chat) -> None:
    async with chat.tab() as tab:
        plain = Plain(chat, tab)
        first = await plain.stream("One")
        second = await plain.stream("Two", first.done["thread_id"])
    assert second.done["thread_id"] == first.done["thread_id"]
