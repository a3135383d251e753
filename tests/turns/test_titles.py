"""A model names a new thread during the answer. A failing title never affects the answer."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from agents import Agent, RunContextWrapper, function_tool

from chatkit_server import ChatServer
from chatkit_server.agent_context import AgentContext
from chatkit_server.run.deadlines import Deadlines
from chatkit_server.run.titles import TitleMaker, clean_title
from tests.serving import Tab
from tests.support.chatkit import LiveReply
from tests.support.logs import messages_of
from tests.support.openai_answers import INVALID_API_KEY, RATE_LIMIT, SERVER_ERROR, Answer, Failure, ToolCall
from tests.support.openai_server import ModelRequest
from tests.support.round_trips import round_trips
from tests.turns.chat import Chat, thread_of
from tests.turns.coming_back import asking, read_up_to
from tests.turns.conftest import Start

MESSAGE = "Please tell me how one bakes a cake with apples from the garden, step by step"
FIRST_WORDS = "Please tell me how one bakes a cake with apples from the…"

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])


class PatientServer(ChatServer):
    """Waits longer for titles than usual: a busy machine may be slow."""

    def make_titles(self, *, grace: float = 10.0) -> TitleMaker | None:
        return super().make_titles(grace=grace)


@pytest.fixture
def start(start: Start) -> Start:
    """Start the app with patience for titles."""
    return partial(start, server=PatientServer)


def is_title(request: ModelRequest) -> bool:
    """Return whether this is the request for a title: it is the one that does not stream."""
    return not request.body.get("stream")


def playing(title: Answer, *answers: Answer) -> Callable[[ModelRequest], Answer]:
    """Return `title` for requests for a title, and the answers in turn for others. The last one repeats."""
    remaining = list(answers)
    return lambda request: title if is_title(request) else remaining.pop(0) if len(remaining) > 1 else remaining[0]


async def title_of(chat: Chat, thread_id: str) -> str | None:
    ((title,),) = await chat.select("SELECT title FROM threads WHERE id = :id", id=thread_id)
    return None if title is None else str(title)


def titles_in(reply: LiveReply | Any) -> list[str]:
    return [event["thread"]["title"] for event in reply.events if event["type"] in {"thread.created", "thread.updated"}]


async def title_request(chat: Chat, number: int = 1) -> ModelRequest:
    """Wait for the `number`th request for a title."""
    async with asyncio.timeout(30):
        while True:
            requests = [request for request in chat.upstream.requests if is_title(request)]
            if len(requests) >= number:
                return requests[number - 1]
            await chat.upstream.wait_for_request(len(chat.upstream.requests) + 1)


@both_apis
async def test_the_title_is_sent_while_the_answer_runs(start: Start, api: str) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer('"Apple cake."'), Answer("one two three four", hang_after=2))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await reply.wait_for("thread.updated")
        assert titles_in(reply) == [FIRST_WORDS, "Apple cake"]
        assert await title_of(chat, reply.thread_id) == "Apple cake"
        await read_up_to(reply, "one two")
        chat.upstream.release()
        await reply.read()
        assert reply.text == "one two three four"
        assert titles_in(reply) == [FIRST_WORDS, "Apple cake"]
        assert (await tab.reload(reply.thread_id)).thread["title"] == "Apple cake"
        assert [thread["title"] for thread in await tab.history()] == ["Apple cake"]
        body = (await title_request(chat)).body
        assert MESSAGE in str(body)
        assert body["model"] == "gpt-test"
        assert sorted(is_title(request) for request in chat.upstream.requests) == [False, True]
    await chat.quiet()


@sqlite_only
async def test_an_answer_after_its_title_is_saved_with_the_end_of_its_turn(start: Start) -> None:
    chat = await start(titles=True, heartbeat_seconds=60, journal_ms=10_000)
    chat.upstream.default = playing(Answer("Apple cake"), Answer("one two three four", hang_after=2))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await reply.wait_for("thread.updated")
        await read_up_to(reply, "one two")
        with round_trips(chat.services.engine) as trips:
            chat.upstream.release()
            await reply.read()
            await chat.quiet()
    assert len(trips) == 1, trips


@sqlite_only
async def test_an_answer_is_done_before_a_title_that_is_late(start: Start) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), Answer("one two three four"))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await title_request(chat)
        await read_up_to(reply, "one two three four")
        await reply.wait_for("thread.item.done")
        chat.upstream.release()
        await reply.wait_for("thread.updated")
    await chat.quiet()


async def test_a_title_is_made_once_and_its_tokens_are_not_counted(start: Start) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer("Apple cake"), Answer("one two three four"))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create(MESSAGE)).thread_id
        await tab.send(thread_id, "Thanks")
        assert titles_in(await tab.send(thread_id, "Bye")) == []
    assert [is_title(request) for request in chat.upstream.requests].count(True) == 1
    tokens = await chat.select("SELECT output_tokens, input_tokens FROM turns ORDER BY started_at")
    assert [out for out, _ in tokens] == [4, 4, 4]

    untitled = await start()
    untitled.upstream.default = Answer("one two three four")
    async with await untitled.visitor() as tab:
        same = (await tab.create(MESSAGE)).thread_id
    assert await untitled.select("SELECT output_tokens, input_tokens FROM turns WHERE thread_id = :id", id=same) == [
        tokens[0]
    ]


@sqlite_only
async def test_an_answer_that_ends_first_waits_for_the_title(start: Start) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), Answer("Done."))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await read_up_to(reply, "Done.")
        await (await title_request(chat)).wait_hanging()
        chat.upstream.release()
        await reply.read()
    assert titles_in(reply) == [FIRST_WORDS, "Apple cake"]


@pytest.mark.parametrize("when", ["before the title", "after the title"])
async def test_a_rename_by_the_user_is_kept(start: Start, when: str) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), Answer("one two", hang_after=1))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await read_up_to(reply, "one")
        title = await title_request(chat)
        await title.wait_hanging()
        if when == "after the title":
            title.release()
            await reply.wait_for("thread.updated")
        await rename(tab, reply.thread_id, "Mine")
        chat.upstream.release()
        await reply.read()
        assert titles_in(reply) == [FIRST_WORDS, *(["Apple cake"] if when == "after the title" else [])]
        assert reply.text == "one two"
        chat.upstream.default = playing(Answer("Apple cake"), Answer("More."))
        await tab.send(reply.thread_id, "More")
        assert (await tab.get(reply.thread_id))["title"] == "Mine"
    assert await title_of(chat, reply.thread_id) == "Mine"
    assert [is_title(request) for request in chat.upstream.requests].count(True) == 1


async def rename(tab: Tab, thread_id: str, title: str) -> None:
    renamed = await tab.post("threads.update", {"thread_id": thread_id, "title": title})
    assert (renamed.status, renamed.body["title"]) == (200, title)


@sqlite_only
async def test_an_agent_that_writes_metadata_does_not_overwrite_the_title(start: Start) -> None:
    named = asyncio.Event()

    @function_tool
    async def take_note(context: RunContextWrapper[AgentContext]) -> str:
        """Takes a note."""
        await named.wait()
        context.context.thread.metadata["note"] = "taken"
        return "noted"

    chat = await start(Agent(name="test", tools=[take_note]), titles=True)
    answers = (Answer(tool_calls=[ToolCall("take_note")]), Answer("Noted."))
    chat.upstream.default = playing(Answer("Apple cake"), *answers)
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await reply.wait_for("thread.updated")
        named.set()
        await reply.read()
    assert titles_in(reply)[1:] == ["Apple cake", "Apple cake"]
    assert await title_of(chat, reply.thread_id) == "Apple cake"


@sqlite_only
async def test_a_title_set_by_the_agent_is_kept(start: Start) -> None:
    @function_tool
    async def name_it(context: RunContextWrapper[AgentContext]) -> str:
        """Names the thread."""
        context.context.thread.title = "The agent's"
        return "named"

    chat = await start(Agent(name="test", tools=[name_it]), titles=True)
    answers = (Answer(tool_calls=[ToolCall("name_it")]), Answer("Named.", hang_after=0))
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), *answers)
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await reply.wait_for("thread.updated")
        await chat.upstream.wait_for_request(3)  # the answer's two and the title's: only what has arrived is released
        chat.upstream.release()
        await reply.read()
    assert await title_of(chat, reply.thread_id) == "The agent's"


@sqlite_only
@pytest.mark.parametrize(
    "title",
    [
        Answer(fail=SERVER_ERROR),
        Answer("x", error_after=0, error_as="drop"),
        Answer(""),
        Answer("Sure, here is how you bake that cake: first, you take three apples, " + "and stir " * 20),
        Answer("Apple cake", hang_after=0),
    ],
    ids=["fails", "breaks", "is empty", "is an answer", "never comes"],
)
async def test_a_failing_title_does_not_affect_the_answer(
    start: Start, title: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    chat = await start(titles=True)
    titles = chat.services.server.titles
    assert titles is not None
    if title.hang_after is not None:
        titles.grace = 0.05
    chat.upstream.default = playing(title, Answer("one two three"))
    async with await chat.visitor() as tab:
        with caplog.at_level(logging.DEBUG, "chatkit_server"):
            reply = await tab.create(MESSAGE)
        assert (reply.text, reply.error, titles_in(reply)) == ("one two three", None, [FIRST_WORDS])
        assert await chat.turns(reply.thread_id) == [("completed", None)]
        assert await title_of(chat, reply.thread_id) == FIRST_WORDS
        assert "cake" not in caplog.text
        for request in filter(is_title, chat.upstream.requests):
            await request.wait_closed()
        titles.grace = 10.0
        # The next message retries.
        chat.upstream.default = playing(Answer("Cake, at last"), Answer("Bye."))
        assert titles_in(await tab.send(reply.thread_id, "Thanks")) == ["Cake, at last"]
    await chat.quiet()


@sqlite_only
async def test_a_slow_title_is_cancelled_at_its_time_limit(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    chat = await start(titles=True, title_seconds=0.5)
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), Answer("one two", hang_after=1))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await read_up_to(reply, "one")
        await (await title_request(chat)).wait_closed()
        chat.upstream.release()
        await reply.read()
    assert (reply.text, titles_in(reply)) == ("one two", [FIRST_WORDS])
    assert f"the title took too long (CHATKIT_TITLE_SECONDS): {chat.upstream.base_url}/responses; the" in caplog.text


@both_apis
@sqlite_only
@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (
            INVALID_API_KEY,
            "model_auth: {url} (status_code=401 code=invalid_api_key type=invalid_request_error). "
            "Correct OPENAI_API_KEY.",
        ),
        (
            RATE_LIMIT,
            "model_rate_limit: {url} (status_code=429 code=rate_limit_exceeded type=tokens). "
            "It gets too many requests: try again in a moment.",
        ),
        (
            SERVER_ERROR,
            "model_unavailable: {url} (status_code=500 code=server_error type=server_error). "
            "It has an internal problem: try again in a moment, and check its log.",
        ),
    ],
    ids=["401", "429", "500"],
)
async def test_a_title_that_the_endpoint_refuses_has_one_line_in_the_log(
    start: Start, caplog: pytest.LogCaptureFixture, api: str, failure: Failure, expected: str
) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer(fail=failure), Answer("one two"))
    async with await chat.visitor() as tab:
        reply = await tab.create(MESSAGE)
    url = f"{chat.upstream.base_url}/{'responses' if api == 'responses' else 'chat/completions'}"
    assert messages_of(caplog, reply.headers["x-request-id"]) == [
        f"the thread's title failed with {expected.replace('{url}', url)}"
    ]


@both_apis
@sqlite_only
async def test_an_endpoint_that_refuses_connections_has_one_line_for_the_turn_and_one_for_the_title(
    start: Start, caplog: pytest.LogCaptureFixture, api: str, unused_tcp_port: int
) -> None:
    chat = await start(titles=True, base_url=f"http://127.0.0.1:{unused_tcp_port}/v1")
    async with await chat.visitor() as tab:
        reply = await tab.create(MESSAGE)
    place = f"http://127.0.0.1:{unused_tcp_port}/v1/{api.replace('_', '/')}"
    reason = (
        f"failed with model_unreachable: {place} (Connection refused). Make sure that it runs there and can be reached "
        "from here, or correct its URL (CHATKIT_BASE_URL or OPENAI_BASE_URL)."
    )
    lines = messages_of(caplog, reply.headers["x-request-id"])
    assert lines[-1] == f"turn {reason}"
    assert lines[:-1] in ([f"the thread's title {reason}"], [])  # the end of the turn cancels its title


@sqlite_only
async def test_stopping_the_answer_cancels_the_title(start: Start) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), Answer("one two", hang_after=1))
    async with await chat.visitor() as tab, await chat.ask(tab, MESSAGE) as stream:
        await stream.read_until(lambda frame: "one" in frame.data)
        title = await title_request(chat)
        await title.wait_hanging()
        await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        await title.wait_closed()
        assert title.client_gone
        await stream.read_to_end()
    await chat.quiet()
    assert await title_of(chat, thread_of(stream)) == FIRST_WORDS


@sqlite_only
async def test_a_title_does_not_reset_the_deadline_of_a_silent_model(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await start(titles=True, first_event_seconds=16, silence_seconds=60)
    chat.upstream.default = playing(Answer("Apple cake"), Answer("never", delay=30))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await reply.wait_for("thread.updated", within=15)
        monkeypatch.setattr(Deadlines, "first_event", 0.1)  # the title has arrived: let the deadline pass
        await reply.read()
    assert titles_in(reply) == [FIRST_WORDS, "Apple cake"]
    assert reply.error is not None
    assert "did not answer in time" in reply.error["message"]


@sqlite_only
async def test_a_setting_selects_the_model_that_makes_titles(start: Start) -> None:
    separate = await start(titles=True, title_model="gpt-small", models="gpt-test,gpt-large")
    same = await start(titles=True, models="gpt-test,gpt-large")
    chat = separate
    chat.upstream.default = playing(Answer("Cake"), Answer("Done."))
    options = {"inference_options": {"model": "gpt-large"}}
    async with await separate.visitor() as tab, await same.visitor() as other:
        await tab.create(MESSAGE, **options)
        await other.create(MESSAGE, **options)
    models = [(is_title(request), request.body["model"]) for request in chat.upstream.requests]
    assert sorted(models) == [(False, "gpt-large"), (False, "gpt-large"), (True, "gpt-large"), (True, "gpt-small")]


@sqlite_only
async def test_without_titles_or_with_the_demo_the_thread_keeps_its_first_words(start: Start) -> None:
    off, demo = await start(titles=False), await start(titles=True, model="demo", base_url=None)
    for chat in (off, demo):
        async with await chat.visitor() as tab:
            assert titles_in(await tab.create(MESSAGE)) == [FIRST_WORDS]
    assert [is_title(request) for request in off.upstream.requests] == [False]


@pytest.mark.parametrize(
    ("reply", "title"),
    [
        ("Apple cake", "Apple cake"),
        ("“Apple cake.”", "Apple cake"),
        ("**Title: Apple cake**", "Apple cake"),
        ("<think>The user wants\na cake.</think>\n\nApple cake\nMore", "Apple cake"),
        ("<think>cut off in the middle", None),
        ("Wie backt man Apfelkuchen?", "Wie backt man Apfelkuchen?"),
        ("word " * 15, "word " * 11 + "word…"),
        ("word " * 50, None),
        ("  \n. \n", None),
    ],
)
def test_a_title_is_extracted_from_the_reply(reply: str, title: str | None) -> None:
    assert clean_title(reply) == title
