"""Why the last answer failed is shown after a reload, too, with a Retry that works; it is never a part of the
conversation."""

import json
from typing import Any, Literal

import pytest
from agents import Agent, GuardrailFunctionOutput, InputGuardrail

from tests.serving import Tab
from tests.support.chatkit import Picture, Reply
from tests.support.openai_answers import SERVER_ERROR, Answer
from tests.support.sse import Json
from tests.turns.chat import Chat, model_input, thread_of
from tests.turns.coming_back import asking, attaching, events, read_up_to
from tests.turns.conftest import Start

UNAVAILABLE = "The model's provider has a problem. Please retry in a moment."
RULES = "I only talk about orders."
FAILED = Answer("one two three", error_after=2)

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def text_of_card(card: Json) -> str:
    (text,) = [child["value"] for child in card["widget"]["children"] if child["type"] == "Text"]
    return str(text)


def button_of(card: Json) -> Json | None:
    """Return the action of the card's button."""
    rows = [child for child in card["widget"]["children"] if child["type"] == "Row"]
    return rows[0]["children"][0]["onClickAction"] if rows else None


def the_notice(picture: Picture) -> Json:
    (card,) = picture.notices
    return card


async def click_retry(tab: Tab, thread_id: str) -> Reply:
    """Reload, and click Retry on the card as the widget does."""
    tab.pictures[thread_id] = await tab.reload(thread_id)
    card = the_notice(tab.pictures[thread_id])
    action = button_of(card)
    assert action is not None
    return await tab.action(thread_id, action["type"], action["payload"], card["id"])


async def rows(chat: Chat, thread_id: str) -> list[tuple[Any, ...]]:
    query = "SELECT role, text FROM thread_items WHERE thread_id = :id AND replaced_by IS NULL ORDER BY position"
    return await chat.select(query, id=thread_id)


@pytest.mark.parametrize("failure", [Answer(fail=SERVER_ERROR), FAILED], ids=["without text", "with text"])
async def test_retry_works_after_a_reload(chat: Chat, failure: Answer) -> None:
    chat.upstream.script(failure, Answer("new answer"))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second:
        reply = await tab.create("Count")
        thread_id = reply.thread_id
        assert reply.error is not None
        assert reply.picture.notices == []  # live, the widget shows the error with its own Retry
        loaded = await second.reload(thread_id)
        assert text_of_card(the_notice(loaded)) in reply.error["message"]
        assert (await rows(chat, thread_id))[-1] == ("notice", text_of_card(the_notice(loaded)))

        again = await click_retry(second, thread_id)
        assert (again.text, again.error) == ("new answer", None)
        assert again.picture.notices == []
        # This Retry is an action: the widget removes nothing by itself.
        assert again.picture.items == (await tab.reload(thread_id)).items
        assert await rows(chat, thread_id) == [("user", "Count"), ("assistant", "new answer")]
        assert (await tab.reload(thread_id)).notices == []
        assert model_input(chat.upstream.requests[1]) == [("user", "Count")]
        kinds = "SELECT kind FROM turns WHERE thread_id = :id ORDER BY started_at, id"
        assert await chat.select(kinds, id=thread_id) == [("threads.create",), ("threads.retry_after_item",)]


async def test_an_attach_after_the_end_shows_the_notice(chat: Chat) -> None:
    chat.upstream.script(FAILED)
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Count")).thread_id
        attached = await tab.action(thread_id, "turn.attach")
        assert attached.types == ["stream_options", *["thread.item.done"] * 3]
        assert the_notice(attached.picture) == the_notice(await tab.reload(thread_id))


async def test_the_next_message_removes_it_for_all_readers(chat: Chat) -> None:
    chat.upstream.script(FAILED, Answer("three four", hang_after=1))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second:
        thread_id = (await tab.create("Count")).thread_id
        tab.pictures[thread_id] = await tab.reload(thread_id)
        second.pictures[thread_id] = await second.reload(thread_id)
        assert the_notice(tab.pictures[thread_id]) == the_notice(second.pictures[thread_id])
        async with await chat.ask(tab, "Go on", thread_id) as stream:
            await stream.read_until(lambda frame: '"delta":"three' in frame.data)
            assert [event["item_id"] for event in stream.events if event["type"] == "thread.item.removed"] == [
                the_notice(tab.pictures[thread_id])["id"]
            ]
            async with attaching(second, thread_id) as attached:
                await attached.wait_for("thread.item.added")
                assert attached.picture.notices == []
                chat.upstream.release()
                await attached.read()
            await stream.read_to_end()
        assert (await tab.reload(thread_id)).notices == []
        expected = [("user", "Count"), ("assistant", "one two"), ("user", "Go on"), ("assistant", "three four")]
        assert await rows(chat, thread_id) == expected
        assert UNAVAILABLE not in json.dumps(chat.upstream.requests[1].body)


async def test_a_failed_retry_that_restores_the_old_answer_leaves_one_notice(chat: Chat) -> None:
    chat.upstream.script(FAILED, Answer(fail=SERVER_ERROR), Answer(fail=SERVER_ERROR), Answer("new answer"))
    async with await chat.visitor() as tab:
        first = await tab.create("Count")
        thread_id = first.thread_id
        old_notice = the_notice(await tab.reload(thread_id))
        for reply in (await tab.retry(thread_id, first.user_item["id"]), await click_retry(tab, thread_id)):
            assert reply.error is not None
            assert [item["item"]["type"] for item in reply.of_type("thread.item.done")] == ["assistant_message"]
            loaded = await tab.reload(thread_id)
            assert loaded.texts() == [("user", "Count"), ("assistant", "one two")]
            assert the_notice(loaded)["id"] != old_notice["id"]
        assert (await click_retry(tab, thread_id)).text == "new answer"
        assert (await tab.reload(thread_id)).notices == []


async def test_a_stopped_retry_restores_the_notice_with_the_answer(chat: Chat) -> None:
    chat.upstream.script(FAILED, Answer("never", hang_after=0))
    async with await chat.visitor() as tab:
        first = await tab.create("Count")
        before = the_notice(await tab.reload(first.thread_id))
        params = {"thread_id": first.thread_id, "item_id": first.user_item["id"]}
        async with await chat.post(tab, "threads.retry_after_item", params) as stream:
            await stream.read_until(lambda frame: "stream_options" in frame.data)
            await (await chat.upstream.wait_for_request(2)).wait_hanging()
            assert (await tab.reload(first.thread_id)).notices == []
            await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
        assert the_notice(await tab.reload(first.thread_id)) == before


@sqlite_only
async def test_a_guardrails_words_are_kept_without_retry(start: Start) -> None:
    async def check(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info={"message": RULES}, tripwire_triggered=True)

    chat = await start(Agent(name="Orders", input_guardrails=[InputGuardrail(check)]))
    chat.upstream.default = Answer("never")
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Tell me a joke")).thread_id
        card = the_notice(await tab.reload(thread_id))
        assert (text_of_card(card), button_of(card)) == (RULES, None)


@sqlite_only
@pytest.mark.parametrize("cut", ["max_output_tokens", "content_filter"])
async def test_a_cut_answer_says_so_after_a_reload(
    chat: Chat, cut: Literal["max_output_tokens", "content_filter"]
) -> None:
    chat.upstream.script(Answer("one two", incomplete=cut), Answer("three"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Count")
        assert reply.error is None
        (live,) = reply.of_type("notice")
        card = the_notice(await tab.reload(reply.thread_id))
        assert (text_of_card(card), button_of(card)) == (live["message"], None)
        assert (await tab.send(reply.thread_id, "continue")).text == "three"
        assert (await tab.reload(reply.thread_id)).notices == []


@sqlite_only
async def test_it_is_no_answer_for_sql_feedback_and_plain_clients(chat: Chat) -> None:
    chat.upstream.script(FAILED)
    async with await chat.visitor() as tab:
        reply = await tab.create("Count")
        thread_id, turn_id = reply.thread_id, reply.headers["x-chatkit-turn-id"]
        card = the_notice(await tab.reload(thread_id))
        assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two")]
        overview = "SELECT messages, last_message FROM thread_overview WHERE thread_id = :id"
        assert await chat.select(overview, id=thread_id) == [(2, "one two")]
        answer_id = reply.picture.items[-1]["id"]
        # The widget votes on everything that it shows of an answer.
        assert (await tab.feedback(thread_id, [answer_id, card["id"]])).status == 200
        assert await chat.select("SELECT item_id FROM feedback") == [(answer_id,)]
        async with tab.session.get(f"{chat.url}/api/turns/{turn_id}") as response:
            answer = await response.json()
        assert (answer["text"], answer["item_ids"]) == ("one two", [answer_id])
        assert answer["error"]["message"] == text_of_card(card)
        async with events(chat, tab, turn_id) as stream:
            assert [event["type"] async for _, event in stream][-1] == "error"


@sqlite_only
async def test_a_plain_clients_failure_is_shown_in_the_widget(chat: Chat) -> None:
    chat.upstream.script(FAILED, Answer("new answer"))
    async with await chat.visitor() as tab:
        async with tab.session.post(f"{chat.url}/api/message", json={"message": "Count"}) as response:
            thread_id = (await response.json())["thread_id"]
        assert (await click_retry(tab, thread_id)).text == "new answer"


@sqlite_only
async def test_an_interrupted_answer_has_a_notice(start: Start) -> None:
    chat = await start()
    chat.upstream.script(Answer("one two three", hang_after=2))
    async with await chat.visitor() as tab, asking(tab, "Count") as reply:
        await read_up_to(reply, "one two")
        chat.services.turns.shutdown.interrupt()
        await reply.read()
        card = the_notice(await tab.reload(reply.thread_id))
        assert "restarted" in text_of_card(card)
        assert button_of(card) is not None


@sqlite_only
async def test_a_retry_that_comes_too_late_is_refused(chat: Chat) -> None:
    chat.upstream.script(FAILED, Answer("three"), FAILED, Answer("new answer"))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as old_tab:

        async def click(card: Json) -> str:
            action = button_of(card)
            assert action is not None
            reply = await old_tab.action(thread_id, action["type"], action["payload"], card["id"])
            assert reply.error is not None
            return str(reply.error["message"])

        thread_id = (await tab.create("Count")).thread_id
        gone = the_notice(await old_tab.reload(thread_id))
        await tab.send(thread_id, "Go on")
        assert "already retried or answered" in await click(gone)
        second = await tab.send(thread_id, "And on")
        replaced = the_notice(await old_tab.reload(thread_id))
        await tab.retry(thread_id, second.user_item["id"])
        assert "replaced by a newer one" in await click(replaced)
    assert len(chat.upstream.requests) == 4


@sqlite_only
async def test_retry_needs_a_notice_and_a_message(chat: Chat) -> None:
    chat.upstream.script(FAILED)
    async with await chat.visitor() as tab, await chat.visitor() as stranger:
        reply = await tab.create("Count")
        thread_id, card = reply.thread_id, the_notice(await tab.reload(reply.thread_id))
        answer_id = reply.picture.items[-1]["id"]
        for payload, item_id, words in (
            ({}, None, "can only come from the card"),
            ({}, answer_id, "can only come from the card"),
            ({"item_id": answer_id}, card["id"], "no message to answer again"),
            ({"item_id": "msg_gone"}, card["id"], "was not found"),
        ):
            refused = await tab.action(thread_id, "chatkit.retry", payload, item_id)
            assert refused.error is not None
            assert words in refused.error["message"]
        refused = await stranger.action(thread_id, "chatkit.retry", {}, card["id"])
        assert refused.error is not None
        assert len(chat.upstream.requests) == 1


@sqlite_only
async def test_a_failed_action_is_retried_from_the_last_message(chat: Chat) -> None:
    """A turn that no message started, such as an answer to a question, retries the message before it."""
    chat.upstream.script(FAILED, Answer("new answer"))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Count")).thread_id
        card = the_notice(await tab.reload(thread_id))
        assert (await tab.action(thread_id, "chatkit.retry", {}, card["id"])).text == "new answer"


async def test_a_double_click_retries_once(chat: Chat) -> None:
    chat.upstream.script(FAILED, Answer("new answer", hang_after=1))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second:
        thread_id = (await tab.create("Count")).thread_id
        tab.pictures[thread_id] = await tab.reload(thread_id)
        second.pictures[thread_id] = await second.reload(thread_id)
        card = the_notice(tab.pictures[thread_id])
        params = {"thread_id": thread_id, "action": button_of(card), "item_id": card["id"]}
        async with tab.open("threads.custom_action", params) as first:
            await first.wait_for("thread.item.added")
            async with second.open("threads.custom_action", params) as other:
                await other.wait_for("thread.item.added")
                chat.upstream.release()
                await other.read()
            await first.read()
        assert first.picture.items == other.picture.items == (await tab.reload(thread_id)).items
        assert (first.picture.notices, other.picture.notices) == ([], [])
        assert len(chat.upstream.requests) == 2


@sqlite_only
async def test_a_turn_that_ends_well_leaves_no_notice(chat: Chat) -> None:
    chat.upstream.script(Answer("one two three", hang_after=2), Answer("three"))
    async with await chat.visitor() as tab:
        async with await chat.ask(tab, "Count") as stream:
            await stream.read_until(lambda frame: ' two"' in frame.data)
            await chat.stop(tab, stream.headers["x-chatkit-turn-id"])
            await stream.read_to_end()
            thread_id = thread_of(stream)
        await tab.send(thread_id, "Go on")
        assert await chat.select("SELECT 1 FROM thread_items WHERE role = 'notice'") == []
        assert (await tab.reload(thread_id)).notices == []
