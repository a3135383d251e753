"""`waiting` and `POST /api/turns/{id}/answers`: approvals, questions and page tools without the widget."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import Agent, function_tool

from chatkit_server import ask_user, client_tool
from tests.interactions.approval_export import run_workflow
from tests.interactions.test_approvals import badge
from tests.interactions.test_two_workers import slow
from tests.plain.plain import NDJSON, Plain, Stream, key, sqlite_only
from tests.serving import Tab
from tests.support.openai_answers import Answer, ToolCall
from tests.support.sse import Json
from tests.turns.conftest import Start

Ran = list[int]


def clerk(ran: Ran) -> Agent[Any]:
    """Return an agent that asks for everything."""

    @function_tool(needs_approval=True)
    async def delete_order(number: int) -> str:
        """Deletes an order."""
        ran.append(number)
        return f"order {number} is deleted"

    @client_tool
    async def look(at: str) -> None:
        """Looks at the page."""

    return Agent(name="Clerk", tools=[delete_order, look, ask_user])


def delete(number: int) -> ToolCall:
    return ToolCall("delete_order", {"number": number}, f"call_{number}")


SIZES = {"question": "Which size?", "options": ["S", "L"], "multiple": False}
NAME = {"question": "For whom?", "options": [], "multiple": False}
ASK = ToolCall("ask_user", {"questions": [SIZES, NAME]}, "call_ask")
LOOK = ToolCall("look", {"at": "shirts"}, "call_look")


@pytest.fixture
def ran() -> Ran:
    return []


@pytest.fixture
async def clerk_client(start: Start, ran: Ran) -> AsyncIterator[Plain]:
    """Yield a client of the clerk."""
    chat = await start(clerk(ran))
    async with await chat.visitor() as tab:
        yield Plain(chat, tab)


async def ask(plain: Plain, *calls: ToolCall) -> Json:
    """Send a message that leads to these calls; return the answer, which waits for them."""
    plain.chat.upstream.script(Answer(tool_calls=list(calls)))
    status, answer = await plain.answer("Go")
    assert (status, answer["status"], answer["text"]) == (200, "completed", "")
    return answer


async def send(plain: Plain, turn_id: str, *answers: Json, headers: dict[str, str] | None = None) -> tuple[int, Json]:
    return await plain.post(f"/api/turns/{turn_id}/answers", {"answers": answers}, headers)


def outputs(plain: Plain) -> dict[str, str]:
    """Return what the model got in its last request, by call id."""
    items = plain.chat.upstream.requests[-1].body["input"]
    return {item["call_id"]: item["output"] for item in items if item.get("type") == "function_call_output"}


async def test_an_approval_is_named_and_its_decision_resumes_the_run(clerk_client: Plain, ran: Ran) -> None:
    first = await ask(clerk_client, delete(17))
    (waiting,) = first["waiting"]
    assert waiting == {
        "type": "approval",
        "id": waiting["id"],
        "tool": "delete_order",
        "arguments": {"number": 17},
        "question": None,
    }
    assert (await clerk_client.poll(first["turn_id"]))[2]["waiting"] == [waiting]
    clerk_client.chat.upstream.script(Answer("Deleted."))
    status, answer = await send(clerk_client, first["turn_id"], {"id": waiting["id"], "decision": "approved"})
    assert (status, answer["text"], answer["waiting"], ran) == (200, "Deleted.", [], [17])
    assert answer["thread_id"] == first["thread_id"]
    (card,) = (await clerk_client.tab.reload(first["thread_id"])).of_type("widget")
    assert badge(card) == "Approved"
    assert (await clerk_client.poll(first["turn_id"]))[2]["waiting"] == []
    assert await send(clerk_client, first["turn_id"], {"id": waiting["id"], "decision": "rejected"}) == (
        409,
        {"code": "approval_over", "message": "This has already been approved.", "request_id": ANY},
    )
    assert ran == [17]


class _Any:
    def __eq__(self, other: object) -> bool:
        return True


ANY: Any = _Any()


@sqlite_only
async def test_all_kinds_are_answered_in_one_request(clerk_client: Plain, ran: Ran) -> None:
    first = await ask(clerk_client, delete(1), ASK, LOOK, delete(2))
    kinds = [entry["type"] for entry in first["waiting"]]
    assert kinds == ["approval", "approval", "questions", "page_tool"]
    one, two, form, page = first["waiting"]
    assert form["questions"] == [{"id": "q1", **SIZES}, {"id": "q2", **NAME}]
    assert (page["tool"], page["arguments"]) == ("look", {"at": "shirts"})
    clerk_client.chat.upstream.script(Answer("Done."))
    status, answer = await send(
        clerk_client,
        first["turn_id"],
        {"id": page["id"], "output": {"seen": 3}},
        {"id": two["id"], "decision": "rejected"},
        {"id": form["id"], "answers": {"q1": "L"}},
        {"id": one["id"], "decision": "approved"},
    )
    assert (status, answer["text"], answer["waiting"], ran) == (200, "Done.", [], [1])
    given = outputs(clerk_client)
    assert (given["call_1"], given["call_look"]) == ("order 1 is deleted", '{"seen": 3}')
    assert "rejected" in given["call_2"]
    assert "Which size?" in str(clerk_client.chat.upstream.requests[-1].body["input"])


@sqlite_only
async def test_what_is_not_answered_still_waits(clerk_client: Plain, ran: Ran) -> None:
    first = await ask(clerk_client, delete(1), delete(2), LOOK)
    one, two, page = first["waiting"]
    turn_id = first["turn_id"]
    for answered, left in ((one, [two, page]), (page, [two])):
        body = {"decision": "approved"} if answered is one else {"output": "red"}
        status, answer = await send(clerk_client, turn_id, {"id": answered["id"], **body})
        assert (status, answer["text"], answer["waiting"], ran) == (200, "", left, [])
        turn_id = answer["turn_id"]
    assert len(clerk_client.chat.upstream.requests) == 1
    clerk_client.chat.upstream.script(Answer("Both are gone."))
    status, answer = await send(clerk_client, turn_id, {"id": two["id"], "decision": "approved"})
    assert (status, answer["text"], sorted(ran)) == (200, "Both are gone.", [1, 2])


@sqlite_only
async def test_questions_alone_call_the_model_with_the_answers(clerk_client: Plain) -> None:
    first = await ask(clerk_client, ASK)
    (form,) = first["waiting"]
    clerk_client.chat.upstream.script(Answer("A large one."))
    headers = {"accept": NDJSON["accept"]}
    address = f"{clerk_client.chat.url}/api/turns/{first['turn_id']}/answers"
    body = {"answers": [{"id": form["id"], "answers": {"q1": ["L"], "q2": "Ada"}}]}
    async with clerk_client.session.post(address, json=body, headers=headers) as response:
        stream = await Stream(response).read()
    assert (stream.text, stream.done["waiting"]) == ("A large one.", [])
    sent = str(clerk_client.chat.upstream.requests[-1].body)
    assert "Ada" in sent
    items = (await clerk_client.tab.reload(first["thread_id"])).of_type("structured_input")
    assert [entry["answer"]["values"] for entry in items[0]["inputs"]] == [["L"], ["Ada"]]


@sqlite_only
async def test_a_stream_and_a_socket_say_what_waits_and_take_answers(clerk_client: Plain, ran: Ran) -> None:
    upstream = clerk_client.chat.upstream
    upstream.script(Answer(tool_calls=[delete(1)]), Answer("Gone."))
    async with clerk_client.socket() as socket:
        await socket.send("Go")
        await socket.started()
        done = (await socket.messages()).done
        (waiting,) = done["waiting"]
        await socket.connection.send_json({"type": "answers", "turn_id": done["turn_id"], "answers": [{"id": "x"}]})
        assert (await socket.receive())["error"]["code"] == "invalid_params"
        answers = [{"id": waiting["id"], "decision": "approved"}]
        await socket.connection.send_json({"type": "answers", "turn_id": done["turn_id"], "answers": answers})
        await socket.started()
        messages = await socket.messages()
        assert (messages.text, messages.done["waiting"], ran) == ("Gone.", [], [1])
        await socket.connection.send_json({"type": "answers", "turn_id": done["turn_id"], "answers": answers})
        assert (await socket.receive())["error"]["code"] == "approval_over"
    upstream.script(Answer(tool_calls=[LOOK]))
    assert [entry["type"] for entry in (await clerk_client.stream("Look")).done["waiting"]] == ["page_tool"]


@sqlite_only
async def test_answers_that_do_not_fit_are_refused_and_none_of_them_counts(clerk_client: Plain, ran: Ran) -> None:
    first = await ask(clerk_client, delete(1), ASK, LOOK)
    approval, form, page = (entry["id"] for entry in first["waiting"])
    good = {"id": approval, "decision": "approved"}
    refused: list[tuple[list[Json], int, str]] = [
        ([], 400, "at least 1"),
        ([{"id": approval}], 400, "`answers.0`: needs one of `decision`, `answers`, `skipped` and `output`."),
        ([{"id": approval, "decision": "approved", "output": 1}], 400, "needs one of"),
        ([{"id": approval, "decision": "maybe"}], 400, "approved"),
        ([good, good], 400, "The body is invalid: two answers have one id."),
        ([good, {"id": form, "decision": "approved"}], 400, "needs `answers`, or `skipped`"),
        ([good, {"id": page, "answers": {}}], 400, "needs `output`"),
        ([good, {"id": page, "skipped": True}], 400, "needs `output`"),
        ([{"id": approval, "output": 1}], 400, "needs `decision`"),
        ([good, {"id": form, "answers": {"q3": "L"}}], 400, "has no question q3; it has q1, q2"),
        ([good, {"id": form, "answers": {"q1": ["S", "L"]}}], 400, "q1 of"),
        ([good, {"id": "apr_unknown", "decision": "approved"}], 404, ""),
        ([good, {"id": "msg_unknown", "output": 1}], 404, ""),
        ([good, {"id": first["user_item_id"], "output": 1}], 404, ""),
    ]
    for answers, status, words in refused:
        reply = await send(clerk_client, first["turn_id"], *answers)
        assert reply[0] == status, (answers, reply)
        assert words in reply[1]["message"], (answers, reply)
    assert (await clerk_client.poll(first["turn_id"]))[2]["waiting"] == first["waiting"]
    assert ran == []
    assert (await send(clerk_client, "turn_unknown", good))[0] == 404


@sqlite_only
async def test_the_next_message_closes_what_waited(clerk_client: Plain) -> None:
    first = await ask(clerk_client, delete(1), ASK)
    approval, form = (entry["id"] for entry in first["waiting"])
    clerk_client.chat.upstream.script(Answer("Fine."))
    _, second = await clerk_client.answer("Never mind", first["thread_id"])
    assert (second["text"], second["waiting"]) == ("Fine.", [])
    assert (await clerk_client.poll(first["turn_id"]))[2]["waiting"] == []
    for answer, code in (
        ({"id": approval, "decision": "approved"}, "approval_over"),
        ({"id": form, "skipped": True}, "already_answered"),
    ):
        status, body = await send(clerk_client, first["turn_id"], answer)
        assert (status, body["code"]) == (409, code)


async def test_strangers_neither_see_nor_answer(clerk_client: Plain, ran: Ran) -> None:
    first = await ask(clerk_client, delete(1))
    (waiting,) = first["waiting"]
    decision = {"id": waiting["id"], "decision": "approved"}
    async with await clerk_client.chat.visitor() as tab:
        stranger = Plain(clerk_client.chat, tab)
        assert (await send(stranger, first["turn_id"], decision))[0] == 404
        own = await ask(stranger, delete(2))
        assert (await send(stranger, own["turn_id"], decision))[0] == 404
    assert ran == []


@sqlite_only
async def test_a_key_makes_an_answer_count_once(clerk_client: Plain, ran: Ran) -> None:
    first = await ask(clerk_client, delete(1))
    decision = {"id": first["waiting"][0]["id"], "decision": "approved"}
    clerk_client.chat.upstream.script(Answer("Gone."))
    replies = [await send(clerk_client, first["turn_id"], decision, headers=key("k1")) for _ in range(3)]
    assert {(status, answer["text"], answer["turn_id"]) for status, answer in replies} == {
        (200, "Gone.", replies[0][1]["turn_id"])
    }
    assert ran == [1]
    clerk_client.chat.upstream.script(Answer("Hi."))
    await clerk_client.answer("Hello", headers=key("k2"))
    status, body = await send(clerk_client, first["turn_id"], decision, headers=key("k2"))
    assert (status, body["code"]) == (409, "key_reused")


@pytest.mark.parametrize("is_same_worker", [True, False])
async def test_of_two_answers_at_once_one_counts_and_its_turn_goes_on(
    start: Start, ran: Ran, is_same_worker: bool
) -> None:
    """The second neither runs the tool again nor stops the turn that the first has started."""
    chat = await start(clerk(ran))
    other_chat = chat if is_same_worker else await start(clerk(ran))
    async with await chat.visitor() as tab, Tab(other_chat.url, cookies=tab.cookies) as other_tab:
        plain, other = Plain(chat, tab), Plain(other_chat, other_tab)
        first = await ask(plain, delete(1))
        chat.upstream.script(Answer("one two three", hang_after=2))
        decision = {"id": first["waiting"][0]["id"], "decision": "approved"}
        winner = asyncio.create_task(send(plain, first["turn_id"], decision))
        await (await chat.upstream.wait_for_request(2)).wait_hanging()
        status, body = await send(other, first["turn_id"], decision | {"decision": "rejected"})
        assert (status, body["code"]) == (409, "approval_over")
        chat.upstream.release()
        status, answer = await winner
        assert (status, answer["status"], answer["text"]) == (200, "completed", "one two three")
    assert ran == [1]


async def test_an_answer_that_loses_at_the_last_moment_does_not_stop_the_winner(start: Start, ran: Ran) -> None:
    """Another worker has checked its answer before the first one started its turn."""
    chat, slow_chat = await start(clerk(ran)), await start(clerk(ran))
    async with await chat.visitor() as tab, Tab(slow_chat.url, cookies=tab.cookies) as slow_tab:
        plain, late_client = Plain(chat, tab), Plain(slow_chat, slow_tab)
        first = await ask(plain, delete(1))
        chat.upstream.script(Answer("one two three", hang_after=2))
        decision = {"id": first["waiting"][0]["id"], "decision": "approved"}
        async with slow(slow_chat, send(late_client, first["turn_id"], decision)) as late:
            winner = asyncio.create_task(send(plain, first["turn_id"], decision))
            await (await chat.upstream.wait_for_request(2)).wait_hanging()
        status, body = late.result()
        assert (status, body["code"]) == (409, "approval_over")
        chat.upstream.release()
        status, answer = await winner
        assert (status, answer["status"], answer["text"]) == (200, "completed", "one two three")
    assert ran == [1]


@sqlite_only
async def test_a_running_turn_takes_no_answers(clerk_client: Plain) -> None:
    clerk_client.chat.upstream.script(Answer("one two three", hang_after=2))
    async with clerk_client.streaming("Count") as stream:
        await stream.read_up_to("one two")
        turn_id = stream.headers["x-chatkit-turn-id"]
        assert (await clerk_client.poll(turn_id))[2]["waiting"] == []
        status, body = await send(clerk_client, turn_id, {"id": "apr_1", "decision": "approved"})
        assert (status, body["code"]) == (409, "thread_answering")
        clerk_client.chat.upstream.release()
        assert (await stream.read()).text == "one two three"


@sqlite_only
async def test_an_agent_that_has_changed_is_refused(start: Start, ran: Ran) -> None:
    agents = [clerk(ran)]
    chat = await start(lambda: agents[0])
    async with await chat.visitor() as tab:
        plain = Plain(chat, tab)
        first = await ask(plain, delete(1))
        agents[0] = Agent(name="Clerk")
        status, body = await send(plain, first["turn_id"], {"id": first["waiting"][0]["id"], "decision": "approved"})
        assert (status, body["code"], body["status"], body["waiting"]) == (409, "approval_over", "failed", [])
    assert ran == []


@sqlite_only
async def test_a_question_of_a_workflow_is_a_text(start: Start) -> None:
    chat = await start(run_workflow)
    chat.upstream.script(Answer(json.dumps({"order": 3})), Answer("Paid."))
    async with await chat.visitor() as tab:
        plain = Plain(chat, tab)
        _, first = await plain.answer("Pay it back")
        (waiting,) = first["waiting"]
        assert (waiting["tool"], waiting["question"]) == (None, "Pay order 3 back?")
        status, answer = await send(plain, first["turn_id"], {"id": waiting["id"], "decision": "approved"})
        assert (status, answer["text"]) == (200, "Paid.")
