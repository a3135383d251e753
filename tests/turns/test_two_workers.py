"""Two workers on one database: each can show, stop and replace the turns of the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from agents import Agent, GuardrailFunctionOutput, OutputGuardrail

from chatkit_server.turns.live_turn import Reader
from tests.serving import Tab
from tests.support.chatkit import LiveReply, Picture, user_input
from tests.support.openai_answers import Answer, ToolCall
from tests.support.sse import Json
from tests.turns.chat import Chat
from tests.turns.coming_back import DETACH, SlowTool, asking, attaching, events, read_up_to, within
from tests.turns.conftest import Start

COUNT = Answer("one two three four", hang_after=2)
WHOLE = [("user", "Count"), ("assistant", "one two three four")]
PARTIAL = [("user", "Count"), ("assistant", "one two")]


@pytest.fixture
async def here(start: Start) -> Chat:
    """The worker that runs the turn."""
    return await start()


@pytest.fixture
async def there(start: Start, here: Chat) -> Chat:
    """Another worker on the same database, with the same model."""
    return await start()


async def stop_thread(chat: Chat, tab: Tab, thread_id: str) -> tuple[int, str | None]:
    async with tab.session.post(f"{chat.url}/api/threads/{thread_id}/stop") as response:
        return response.status, (await response.json())["stop_reason"]


def tab_at(there: Chat, tab: Tab) -> Tab:
    """Return the same user's browser at the other worker."""
    return Tab(there.url, cookies=tab.cookies)


async def test_a_remote_reader_gets_the_text_so_far_and_what_follows(here: Chat, there: Chat) -> None:
    here.upstream.script(COUNT)
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id) as again:
            await read_up_to(again, "one two")
            assert again.headers["x-chatkit-turn-id"] == first.headers["x-chatkit-turn-id"]
            here.upstream.release()
            await asyncio.gather(first.read(), again.read())
        reloaded = await second.reload(first.thread_id)
        assert again.picture.items == first.picture.items == reloaded.items
        assert reloaded.texts() == WHOLE
        (numbers,) = await here.select("SELECT status, readers FROM turns")
        assert numbers == ("completed", 2)
        await there.quiet()


async def test_a_reload_at_the_other_worker_shows_the_text_so_far_once(here: Chat, there: Chat) -> None:
    here.upstream.script(COUNT)
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        async with asyncio.timeout(30):
            loaded = await second.reload(first.thread_id)
            while loaded.texts() != PARTIAL:  # the journal lags a little
                loaded = await second.reload(first.thread_id)
        second.pictures[first.thread_id] = loaded
        async with attaching(second, first.thread_id) as again:
            await again.wait_for("thread.item.added")
            assert loaded.texts() == PARTIAL
            here.upstream.release()
            await asyncio.gather(first.read(), again.read())
        assert loaded.items == first.picture.items == (await second.reload(first.thread_id)).items


async def test_items_that_a_guardrail_removes_are_removed_for_remote_readers(start: Start) -> None:
    """Nothing of it is left in the journal, from which the other worker reads the turn."""

    async def check(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(None, tripwire_triggered=True)

    agent = Agent[Any](name="test", output_guardrails=[OutputGuardrail(guardrail_function=check)])
    here, there = await start(agent), await start(agent)
    here.upstream.script(COUNT)
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id) as again:
            await read_up_to(again, "one two")
            here.upstream.release()
            await asyncio.gather(first.read(), again.read())
        assert again.error is not None
        assert "thread.item.removed" in again.types
        assert again.picture.items == first.picture.items == (await second.reload(first.thread_id)).items
        assert again.picture.texts() == [("user", "Count")]
        journal = str(await here.select("SELECT payload FROM turn_events"))
        assert "thread.item.removed" in journal
        assert "two" not in journal


async def test_finished_items_come_first_for_a_remote_reader(start: Start) -> None:
    tool = SlowTool()
    here, there = await start(tool.agent), await start(tool.agent)
    here.upstream.script(Answer("Let me see.", tool_calls=[ToolCall("look_up")]), Answer("Found."))
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Look") as first:
        await within(tool.running)
        await first.wait_for("thread.item.done")
        async with attaching(second, first.thread_id) as again:
            await read_up_to(again, "Let me see.")
            tool.release.set()
            await asyncio.gather(first.read(), again.read())
        assert again.picture.items == first.picture.items == (await second.reload(first.thread_id)).items


@pytest.mark.parametrize("by", ["turn", "thread"])
async def test_a_stop_at_the_other_worker_ends_the_model_call_and_all_readers(here: Chat, there: Chat, by: str) -> None:
    here.upstream.script(COUNT)
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Count", DETACH) as first:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id, DETACH) as again:
            await read_up_to(again, "one two")
            if by == "turn":
                status, body = await there.stop(second, first.headers["x-chatkit-turn-id"])
                assert (status, body["stop_reason"]) == (200, "user")
            else:
                assert await stop_thread(there, second, first.thread_id) == (200, "user")
            await here.upstream.requests[0].wait_closed()
            await asyncio.gather(first.read(), again.read())
        assert again.picture.texts() == first.picture.texts() == PARTIAL
        assert again.error is None
        assert await here.turns(first.thread_id) == [("stopped", "user")]
        assert await here.items(first.thread_id) == ["user_message", "assistant_message", "sdk_hidden_context"]
        async with await there.visitor() as stranger:
            assert (await there.stop(stranger, first.headers["x-chatkit-turn-id"]))[0] == 404
        await there.quiet()


async def test_a_message_to_the_other_worker_stops_the_answer_and_runs_next(here: Chat, there: Chat) -> None:
    here.upstream.script(COUNT, Answer("five"))
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        reply = await second.send(first.thread_id, "Go on")
        assert (reply.text, reply.error) == ("five", None)
        await first.read()
        assert await here.messages(first.thread_id) == [*PARTIAL, ("user", "Go on"), ("assistant", "five")]
        assert await here.turns(first.thread_id) == [("stopped", "superseded"), ("completed", None)]


async def test_on_busy_reject_applies_at_the_other_worker_too(start: Start) -> None:
    here, there = await start(on_busy="reject"), await start(on_busy="reject")
    here.upstream.script(COUNT, Answer("five"))
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        for chat in (here, there):
            async with tab_at(chat, tab) as other, Tab(chat.url, cookies=tab.cookies, frame=False) as plain:
                reply = await other.send(first.thread_id, "Go on")
                assert reply.error is not None
                assert "still answering" in reply.error["message"]
                refused = await plain.send(first.thread_id, "Go on")
                assert (refused.status, refused.body["code"]) == (409, "thread_answering")
        here.upstream.release()
        await first.read()
        assert (await second.send(first.thread_id, "Go on")).text == "five"
        assert await here.messages(first.thread_id) == [*WHOLE, ("user", "Go on"), ("assistant", "five")]


async def test_deleting_the_thread_at_the_other_worker_ends_its_answer(here: Chat, there: Chat) -> None:
    here.upstream.script(COUNT)
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        assert (await second.post("threads.delete", {"thread_id": first.thread_id})).status == 200
        await here.upstream.requests[0].wait_closed()
        await first.read()
        assert await here.select("SELECT id FROM turns") == []


async def test_a_turn_runs_on_while_only_a_remote_reader_is_left(here: Chat, there: Chat) -> None:
    """Its own reader has not promised to stop explicitly, but a remote reader stays."""
    here.upstream.script(COUNT)
    async with await here.visitor() as tab, tab_at(there, tab) as second:
        async with asking(tab, "Count") as first:
            await read_up_to(first, "one two")
            again = await second.session.post(
                f"{there.url}/chatkit",
                json={
                    "type": "threads.custom_action",
                    "params": {"thread_id": first.thread_id, "action": {"type": "turn.attach"}},
                },
                headers={"accept": "text/event-stream"},
            )
            await keeps(here, first)
        here.upstream.release()
        assert b"four" in await again.read()
        assert await here.turns(first.thread_id) == [("completed", None)]


async def keeps(chat: Chat, reply: LiveReply) -> None:
    """Wait until the worker knows that its turn has a remote reader."""
    turn = chat.services.turns._local._running[reply.headers["x-chatkit-turn-id"]]
    async with asyncio.timeout(30):
        while not turn.is_detached:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.02)


async def test_events_at_the_other_worker_resume_after_any_number(here: Chat, there: Chat) -> None:
    here.upstream.script(COUNT)
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        turn_id = first.headers["x-chatkit-turn-id"]
        first_frames = [frame for frame in first.frames if frame.comment is None]
        async with AsyncExitStack() as stack:
            again = await stack.enter_async_context(attaching(second, first.thread_id))
            await read_up_to(again, "one two")  # so the journal has it
            numbers = [*range(len(first_frames) + 1), 99]
            streams = [await stack.enter_async_context(events(there, second, turn_id, f"?after={n}")) for n in numbers]
            here.upstream.release()
            streamed = await asyncio.gather(*(_all(stream) for stream in streams))
        await first.read()
        for number, later in zip(numbers, streamed, strict=True):
            picture = Picture()
            for event in [*(frame.json for frame in first_frames[:number]), *later]:
                picture.apply(event)
            assert picture.texts() == WHOLE, f"after {number}"
            assert picture.items == first.picture.items, f"after {number}"


async def _all(stream: AsyncIterator[tuple[str | None, Json]]) -> list[Json]:
    return [event async for _, event in stream]


async def test_the_same_bytes_at_the_other_worker_join_the_turn(here: Chat, there: Chat) -> None:
    here.upstream.script(COUNT)
    body = {"input": user_input("Count")}
    async with await here.visitor() as tab, tab_at(there, tab) as second:
        async with tab.open("threads.create", body) as first:
            await read_up_to(first, "one two")
            same_frame = {"chatkit-frame-instance-id": tab.frame_id}
            async with second.open("threads.create", body, same_frame) as again:
                await read_up_to(again, "one two")
                here.upstream.release()
                await asyncio.gather(first.read(), again.read())
        assert again.picture.texts() == first.picture.texts() == WHOLE
        assert len(here.upstream.requests) == 1
        assert len(await here.select("SELECT id FROM threads")) == 1


async def test_a_reader_that_arrives_while_the_last_one_leaves_gets_the_whole_answer(here: Chat, there: Chat) -> None:
    """The reader already holds the turn; an early end would look like a complete answer."""
    here.upstream.script(COUNT)
    async with await here.visitor() as tab, tab_at(there, tab) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        user = await there.owner(first.thread_id)
        async with attaching(second, first.thread_id) as again:
            await read_up_to(again, "one two")
            remote_turn = await there.services.turns.running_on(first.thread_id, user)
        assert remote_turn is not None
        async with asyncio.timeout(30):
            while remote_turn._reading:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
        late = Reader(None)
        remote_turn.reader_came(late)
        here.upstream.release()
        await asyncio.wait_for(asyncio.gather(first.read(), remote_turn.ended()), 30)
        remote_turn.reader_left(late)
        assert b'"text":"one two three four"' in remote_turn.log.since(0)
        await there.quiet()
