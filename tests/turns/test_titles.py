"""A model names a new thread while its answer runs; nothing that happens to the name happens to the answer."""

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
from tests.support.openai_answers import SERVER_ERROR, Answer, ToolCall
from tests.support.openai_server import ModelRequest
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
    """Whether it asks for a title and not for an answer: nobody waits for its single words."""
    return not request.body.get("stream")


def playing(title: Answer, *answers: Answer) -> Callable[[ModelRequest], Answer]:
    """The endpoint's answers by what is asked for."""
    rest = list(answers)
    return lambda request: title if is_title(request) else rest.pop(0) if len(rest) > 1 else rest[0]


async def title_of(chat: Chat, thread_id: str) -> str | None:
    ((title,),) = await chat.select("SELECT title FROM threads WHERE id = :id", id=thread_id)
    return None if title is None else str(title)


def titles_told(reply: LiveReply | Any) -> list[str]:
    return [event["thread"]["title"] for event in reply.events if event["type"] in {"thread.created", "thread.updated"}]


async def asked_for_title(chat: Chat, number: int = 1) -> ModelRequest:
    """The request for the `number`th title."""
    async with asyncio.timeout(5):
        while True:
            requests = [request for request in chat.upstream.requests if is_title(request)]
            if len(requests) >= number:
                return requests[number - 1]
            await chat.upstream.wait_for_request(len(chat.upstream.requests) + 1)


@both_apis
async def test_the_header_gets_the_title_while_the_answer_runs(start: Start, api: str) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer('"Apple cake."'), Answer("one two three four", hang_after=2))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await reply.wait_for("thread.updated")
        assert titles_told(reply) == [FIRST_WORDS, "Apple cake"]
        assert await title_of(chat, reply.thread_id) == "Apple cake"
        await read_up_to(reply, "one two")
        chat.upstream.release()
        await reply.read()
        assert reply.text == "one two three four"
        assert titles_told(reply) == [FIRST_WORDS, "Apple cake"]
        assert (await tab.reload(reply.thread_id)).thread["title"] == "Apple cake"
        assert [thread["title"] for thread in await tab.history()] == ["Apple cake"]
        asked = (await asked_for_title(chat)).body
        assert MESSAGE in str(asked)
        assert asked["model"] == "gpt-test"
    await chat.quiet()


async def test_a_title_costs_the_answer_no_tokens_and_is_made_once(start: Start) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer("Apple cake"), Answer("one two three four"))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create(MESSAGE)).thread_id
        await tab.send(thread_id, "Thanks")
        assert titles_told(await tab.send(thread_id, "Bye")) == []
    assert [is_title(request) for request in chat.upstream.requests].count(True) == 1
    tokens = await chat.select("SELECT output_tokens, input_tokens FROM turns ORDER BY started_at")
    assert [out for out, _ in tokens] == [4, 4, 4]

    plain = await start()
    plain.upstream.default = Answer("one two three four")
    async with await plain.visitor() as tab:
        same = (await tab.create(MESSAGE)).thread_id
    assert await plain.select("SELECT output_tokens, input_tokens FROM turns WHERE thread_id = :id", id=same) == [
        tokens[0]
    ]


@sqlite_only
async def test_an_answer_that_is_quicker_waits_a_little(start: Start) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), Answer("Done."))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await read_up_to(reply, "Done.")
        await (await asked_for_title(chat)).wait_hanging()
        chat.upstream.release()
        await reply.read()
    assert titles_told(reply) == [FIRST_WORDS, "Apple cake"]


@pytest.mark.parametrize("when", ["before the title", "after the title"])
async def test_a_rename_by_the_user_stays(start: Start, when: str) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), Answer("one two", hang_after=1))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await read_up_to(reply, "one")
        title = await asked_for_title(chat)
        await title.wait_hanging()
        if when == "after the title":
            title.release()
            await reply.wait_for("thread.updated")
        await rename(tab, reply.thread_id, "Mine")
        chat.upstream.release()
        await reply.read()
        assert titles_told(reply) == [FIRST_WORDS, *(["Apple cake"] if when == "after the title" else [])]
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
async def test_an_agent_that_writes_metadata_does_not_bring_the_first_words_back(start: Start) -> None:
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
    assert titles_told(reply)[1:] == ["Apple cake", "Apple cake"]
    assert await title_of(chat, reply.thread_id) == "Apple cake"


@sqlite_only
async def test_a_title_of_the_agents_own_stays(start: Start) -> None:
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
async def test_a_title_that_fails_leaves_the_answer_alone(
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
        assert (reply.text, reply.error, titles_told(reply)) == ("one two three", None, [FIRST_WORDS])
        assert await chat.turns(reply.thread_id) == [("completed", None)]
        assert await title_of(chat, reply.thread_id) == FIRST_WORDS
        assert "cake" not in caplog.text
        for request in filter(is_title, chat.upstream.requests):
            await request.wait_closed()
        titles.grace = 10.0
        # The next message tries once more; the one after that does not.
        chat.upstream.default = playing(Answer("Cake, at last"), Answer("Bye."))
        assert titles_told(await tab.send(reply.thread_id, "Thanks")) == ["Cake, at last"]
    await chat.quiet()


@sqlite_only
async def test_a_slow_title_ends_within_its_bound(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    chat = await start(titles=True, title_seconds=0.5)
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), Answer("one two", hang_after=1))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await read_up_to(reply, "one")
        await (await asked_for_title(chat)).wait_closed()
        chat.upstream.release()
        await reply.read()
    assert (reply.text, titles_told(reply)) == ("one two", [FIRST_WORDS])
    assert "the title took too long" in caplog.text


@sqlite_only
async def test_a_stop_ends_the_title_as_well(start: Start) -> None:
    chat = await start(titles=True)
    chat.upstream.default = playing(Answer("Apple cake", hang_after=0), Answer("one two", hang_after=1))
    async with await chat.visitor() as tab, await chat.ask(tab, MESSAGE) as stream:
        await stream.read_until(lambda frame: "one" in frame.data)
        title = await asked_for_title(chat)
        await title.wait_hanging()
        await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        await title.wait_closed()
        assert title.client_gone
        await stream.read_to_end()
    await chat.quiet()
    assert await title_of(chat, thread_of(stream)) == FIRST_WORDS


@sqlite_only
async def test_a_title_is_no_sign_of_life_of_a_model_that_says_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await start(titles=True, first_event_seconds=16, silence_seconds=60)
    chat.upstream.default = playing(Answer("Apple cake"), Answer("never", delay=30))
    async with await chat.visitor() as tab, asking(tab, MESSAGE) as reply:
        await reply.wait_for("thread.updated", within=15)
        monkeypatch.setattr(Deadlines, "first_event", 0.1)  # the title has come: the time is over
        await reply.read()
    assert titles_told(reply) == [FIRST_WORDS, "Apple cake"]
    assert reply.error is not None
    assert "did not answer in time" in reply.error["message"]


@sqlite_only
async def test_the_settings_say_which_model_makes_titles(start: Start) -> None:
    own = await start(titles=True, title_model="gpt-small", models="gpt-test,gpt-large")
    same = await start(titles=True, models="gpt-test,gpt-large")
    chat = own
    chat.upstream.default = playing(Answer("Cake"), Answer("Done."))
    chosen = {"inference_options": {"model": "gpt-large"}}
    async with await own.visitor() as tab, await same.visitor() as other:
        await tab.create(MESSAGE, **chosen)
        await other.create(MESSAGE, **chosen)
    models = [(is_title(request), request.body["model"]) for request in chat.upstream.requests]
    assert sorted(models) == [(False, "gpt-large"), (False, "gpt-large"), (True, "gpt-large"), (True, "gpt-small")]


@sqlite_only
async def test_switched_off_or_with_the_demo_the_first_words_stay(start: Start) -> None:
    off, demo = await start(titles=False), await start(titles=True, model="demo", base_url=None)
    for chat in (off, demo):
        async with await chat.visitor() as tab:
            assert titles_told(await tab.create(MESSAGE)) == [FIRST_WORDS]
    assert [is_title(request) for request in off.upstream.requests] == [False]


@pytest.mark.parametrize(
    ("said", "title"),
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
def test_only_the_title_is_taken_from_what_a_model_says(said: str, title: str | None) -> None:
    assert clean_title(said) == title
