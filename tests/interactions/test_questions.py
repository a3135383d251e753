"""`ask_user`: answers and skipped questions reach the model, and each question is answered once."""

from typing import Any

import pytest
from agents import Agent

from chatkit_server import ask_user, client_tool
from tests.serving import Tab
from tests.support.chatkit import Reply
from tests.support.openai_answers import Answer, ToolCall
from tests.support.sse import Json
from tests.turns.conftest import Start

QUESTIONS: list[Json] = [
    {"question": "Which size?", "options": ["S", "L"], "multiple": False},
    {"question": "Which extras?", "options": ["bag", "card"], "multiple": True},
    {"question": "Why?", "options": [], "multiple": False},
]


@client_tool
def look(at: str) -> None:
    """Looks."""


AGENT: Agent[Any] = Agent(name="Asker", tools=[ask_user, look])
ASK = Answer(tool_calls=[ToolCall("ask_user", {"questions": QUESTIONS})])


async def answer(tab: Tab, thread_id: str, item: Json, input: Json) -> Reply:
    """Send answers as the widget does."""
    params = {"thread_id": thread_id, "item_id": item["id"], "input": input}
    return await tab.post("threads.add_structured_input", params)


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_the_run_ends_with_the_questions_and_the_answers_resume_it(start: Start, api: str) -> None:
    chat = await start(AGENT)
    chat.upstream.script(ASK, Answer("A large one."), Answer("L."))
    async with await chat.visitor() as tab:
        first = await tab.create("I want a shirt")
        thread_id = first.thread_id
        (question,) = tab.pictures[thread_id].of_type("structured_input")
        assert (question["status"], len(chat.upstream.requests), first.text) == ("pending", 1, "")
        assert [(entry["type"], entry["question"]) for entry in question["inputs"]] == [
            ("multiple_choice", "Which size?"),
            ("multiple_choice", "Which extras?"),
            ("freeform", "Why?"),
        ]
        assert [entry.get("multiple") for entry in question["inputs"]] == [False, True, None]
        restarted = await start(AGENT)
        async with restarted.tab(cookies=tab.cookies) as page:
            assert (await page.reload(thread_id)).of_type("structured_input") == [question]
            answers = {"q1": {"values": ["L"]}, "q2": {"values": ["bag", "card"]}, "q3": {"skipped": True}}
            reply = await answer(page, thread_id, question, {"answers": answers})
            assert reply.text == "A large one."
            read = str(chat.upstream.requests[1].body)
            for line in ("Which size?: L", "Which extras?: bag, card", "Why?: skipped"):
                assert line in read
            twice = await answer(page, thread_id, question, {"answers": answers})
            assert twice.types == ["error"]
            assert "already answered" in twice.events[0]["message"]
            assert (await page.send(thread_id, "Which again?")).text == "L."
            assert "Which size?: L" in str(chat.upstream.requests[2].body)
            (stored,) = (await page.reload(thread_id)).of_type("structured_input")
            assert stored["status"] == "answered"
        rows = await chat.select("SELECT text FROM thread_items WHERE id = :id", id=question["id"])
        assert rows == [("Which size? L\nWhich extras? bag, card\nWhy?",)]


async def test_the_model_learns_that_all_questions_were_skipped(start: Start) -> None:
    chat = await start(AGENT)
    chat.upstream.script(ASK, Answer("Then a plain one."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("I want a shirt")).thread_id
        (question,) = tab.pictures[thread_id].of_type("structured_input")
        assert (await answer(tab, thread_id, question, {"status": "skipped"})).text == "Then a plain one."
        assert "status: skipped" in str(chat.upstream.requests[1].body["input"])


async def test_a_message_instead_of_an_answer_skips_the_question(start: Start) -> None:
    """The widget hides its composer then; another client may still send a message."""
    chat = await start(AGENT)
    chat.upstream.script(ASK, Answer("As you like."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("I want a shirt")).thread_id
        (question,) = tab.pictures[thread_id].of_type("structured_input")
        reply = await tab.send(thread_id, "Surprise me")
        assert reply.types[:2] == ["thread.item.done", "thread.item.replaced"]
        (stored,) = (await tab.reload(thread_id)).of_type("structured_input")
        assert tab.pictures[thread_id].of_type("structured_input") == [stored]
        assert stored["status"] == "skipped"
        assert "status: skipped" in str(chat.upstream.requests[1].body["input"])
        assert (await answer(tab, thread_id, question, {"status": "skipped"})).types == ["error"]


async def test_the_model_waits_until_everything_is_answered(start: Start) -> None:
    chat = await start(AGENT)
    both = [ToolCall("look", {"at": "shirt"}), ToolCall("ask_user", {"questions": QUESTIONS[:1]})]
    chat.upstream.script(Answer(tool_calls=both), Answer("Now I know."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("I want a shirt")).thread_id
        (question,) = tab.pictures[thread_id].of_type("structured_input")
        assert len(tab.pictures[thread_id].tool_calls) == 1
        reply = await tab.tool_output(thread_id, "red")
        assert (reply.error, len(chat.upstream.requests)) == (None, 1)
        reply = await answer(tab, thread_id, question, {"answers": {"q1": {"values": ["S"]}}})
        assert reply.text == "Now I know."


async def test_an_empty_list_of_questions_is_an_error_for_the_model(start: Start) -> None:
    chat = await start(AGENT)
    chat.upstream.script(Answer(tool_calls=[ToolCall("ask_user", {"questions": []})]), Answer("Fine."))
    async with await chat.visitor() as tab:
        assert (await tab.create("Hi")).text == "Fine."
        assert "there is no question" in str(chat.upstream.requests[1].body)
