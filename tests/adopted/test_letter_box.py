"""A server without the Agents SDK, whose events are written by hand."""

import asyncio

from tests.adopted.hosts import Host, check_reload
from tests.adopted.servers.letter_box import LetterBoxServer
from tests.support.chatkit import user_input


async def test_its_events_are_the_answer(host: Host) -> None:
    async with host.serve(LetterBoxServer) as tab:
        reply = await tab.create("Dear friend")
        assert reply.text == "Letter 1: Dear friend"
        assert reply.picture.thread["title"] == "Dear friend"
        again = await tab.send(reply.thread_id, "Yours")
        assert again.text == "Letter 2: Yours"
        await check_reload(tab, reply.thread_id)


async def test_its_text_streams(host: Host) -> None:
    server = LetterBoxServer()
    async with host.serve(server) as tab:
        async with tab.open("threads.create", {"input": user_input("Write slowly")}) as reply:
            await reply.wait_for("assistant_message.content_part.text_delta")
            await asyncio.wait_for(server.written.wait(), 30)
            server.may_continue.set()
            await reply.read()
        assert reply.text == "Letter 1: Write slowly"
        await check_reload(tab, reply.thread_id)


async def test_it_shows_a_workflow_and_hides_a_note(host: Host) -> None:
    async with host.serve(LetterBoxServer) as tab:
        reply = await tab.create("Please sort")
        assert [item["type"] for item in reply.picture.items] == ["user_message", "workflow", "assistant_message"]
        assert reply.picture.items[1]["workflow"]["tasks"][0]["status_indicator"] == "complete"
        await check_reload(tab, reply.thread_id)


async def test_what_works_by_accident_works_here_too(host: Host) -> None:
    async with host.serve(LetterBoxServer) as tab:
        reply = await tab.create("Write loosely")
        assert reply.error is None
        assert reply.text == "Letter 1"
        again = await tab.send(reply.thread_id, "Write loosely again")
        assert again.error is None
        assert (await tab.send(reply.thread_id, "Bye")).text == "Letter 3: Bye"
        if not host.is_stock:  # where both messages have the same id
            texts = [text for role, text in (await tab.reload(reply.thread_id)).texts() if role == "assistant"]
            assert texts == ["Letter 1", "Letter 2", "Letter 3: Bye"]


async def test_its_errors_reach_the_user(host: Host) -> None:
    async with host.serve(LetterBoxServer) as tab:
        refused = await tab.create("return to sender")
        assert refused.error is not None
        assert refused.error["message"] == "No such address."
        assert refused.error["allow_retry"] is False
        assert (await tab.get(refused.thread_id))["title"] == "return to sender"
        for text in ("burn it", "lose it"):
            failed = await tab.create(text)
            assert failed.error is not None
            assert failed.error["allow_retry"] is True
            assert "the letter box burns" not in str(failed.error)


async def test_it_locks_a_thread_and_says_so(host: Host) -> None:
    async with host.serve(LetterBoxServer) as tab:
        reply = await tab.create("seal it")
        assert [event["title"] for event in reply.of_type("notice")] == ["Sealed"]
        assert (await tab.get(reply.thread_id))["status"] == {"type": "locked", "reason": "This box is sealed."}


async def test_its_stream_options_reach_the_page(host: Host) -> None:
    async with host.serve(LetterBoxServer) as tab:
        reply = await tab.create("do not stop here")
        again = await tab.send(reply.thread_id, "please")
        options = [event["stream_options"] for event in again.of_type("stream_options")]
        assert options == [{"allow_cancel": False}]


async def test_the_user_answers_its_question(host: Host) -> None:
    async with host.serve(LetterBoxServer) as tab:
        reply = await tab.create("I need a stamp")
        (question,) = reply.picture.of_type("structured_input")
        answers = {"stamp": {"values": ["red"], "skipped": False}}
        params = {"thread_id": reply.thread_id, "item_id": question["id"]}
        answered = await tab.post(
            "threads.add_structured_input", params | {"input": {"status": "answered", "answers": answers}}
        )
        assert answered.error is None
        assert answered.text == "Posted with a red stamp."
        await check_reload(tab, reply.thread_id)


async def test_its_widget_streams(host: Host) -> None:
    async with host.serve(LetterBoxServer) as tab:
        reply = await tab.create("paint it")
        updates = [event["update"] for event in reply.of_type("thread.item.updated")]
        assert [update["delta"] for update in updates] == [" friend", "!"]
        (widget,) = reply.picture.of_type("widget")
        assert widget["widget"]["children"][0]["value"] == "Dear friend!"
        await check_reload(tab, reply.thread_id)
