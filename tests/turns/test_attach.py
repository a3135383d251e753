"""Re-attach to a running answer: nothing is lost or repeated, and no other user gets it."""

import asyncio

import pytest

from tests.support.chatkit import user_input
from tests.support.openai_answers import Answer, Text, ToolCall
from tests.support.sse import Json
from tests.turns.chat import Chat
from tests.turns.coming_back import SlowTool, asking, attaching, events, read_up_to, within
from tests.turns.conftest import Start

COUNT = Answer("one two three four", hang_after=2)
WHOLE = [("user", "Count"), ("assistant", "one two three four")]

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_a_second_frame_gets_the_text_so_far_and_what_follows(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        async with attaching(second, first.thread_id) as again:
            await again.wait_for("thread.item.added")
            assert again.types == ["stream_options", "thread.item.done", "thread.item.added"]
            assert again.events[0]["stream_options"]["allow_cancel"]
            assert again.picture.texts() == [("user", "Count"), ("assistant", "one two")]
            assert again.headers["x-chatkit-turn-id"] == first.headers["x-chatkit-turn-id"]
            chat.upstream.release()
            await asyncio.gather(first.read(), again.read())
        reloaded = await second.reload(first.thread_id)
        assert again.picture.items == first.picture.items == reloaded.items
        assert reloaded.texts() == WHOLE
        assert again.types[-1] == "thread.item.done"


@sqlite_only
async def test_a_new_reader_of_a_frame_replaces_the_older_one(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        tab.pictures[first.thread_id] = first.picture  # both streams draw on one screen
        async with attaching(tab, first.thread_id) as again:
            await again.wait_for("thread.item.added")
            async with asyncio.timeout(30):
                await first.read()
            assert again.picture is first.picture
            assert again.picture.texts() == [("user", "Count"), ("assistant", "one two")]
            chat.upstream.release()
            await again.read()
        assert again.picture.texts() == WHOLE
        assert again.picture.items == (await tab.reload(first.thread_id)).items
        assert await chat.turns(first.thread_id) == [("completed", None)]


async def test_finished_items_come_before_the_open_one(start: Start) -> None:
    tool = SlowTool()
    chat = await start(tool.agent)
    tool.release.set()
    chat.upstream.script(
        Answer("Let me see.", tool_calls=[ToolCall("look_up")]), Answer("It is found now", hang_after=2)
    )
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second, asking(tab, "Look") as first:
        await read_up_to(first, "It is")
        async with attaching(second, first.thread_id) as again:
            await again.wait_for("thread.item.added")
            assert again.types == ["stream_options", "thread.item.done", "thread.item.done", "thread.item.added"]
            assert again.picture.texts() == [("user", "Look"), ("assistant", "Let me see."), ("assistant", "It is")]
            chat.upstream.release()
            await asyncio.gather(first.read(), again.read())
        assert again.picture.items == first.picture.items == (await second.reload(first.thread_id)).items


@sqlite_only
async def test_an_attach_without_open_items_gets_a_progress_update(start: Start) -> None:
    tool = SlowTool()
    chat = await start(tool.agent)
    chat.upstream.script(Answer(tool_calls=[ToolCall("look_up")]), Answer("Found."))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second, asking(tab, "Look") as first:
        await first.wait_for("stream_options")
        await within(tool.running)
        async with attaching(second, first.thread_id) as again:
            progress = await again.wait_for("progress_update")
            assert progress["text"] == ""
            assert again.types == ["stream_options", "thread.item.done", "progress_update"]
            tool.release.set()
            await asyncio.gather(first.read(), again.read())
        assert again.picture.texts() == [("user", "Look"), ("assistant", "Found.")]
        assert again.picture.items == (await second.reload(first.thread_id)).items


@sqlite_only
async def test_an_attach_without_a_running_turn_replays_the_last_turn(chat: Chat) -> None:
    chat.upstream.script(Answer("First."), Answer("Second."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("One")).thread_id
        await tab.send(thread_id, "Two")
        reply = await tab.action(thread_id, "turn.attach")
        assert reply.status == 200
        assert reply.types == ["stream_options", "thread.item.done", "thread.item.done"]
        assert [item["item"] for item in reply.of_type("thread.item.done")] == (await tab.get(thread_id))["items"][
            "data"
        ][2:]
        assert len(chat.upstream.requests) == 2
        assert len(await chat.turns(thread_id)) == 2


@sqlite_only
async def test_another_user_gets_not_found(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, await chat.visitor() as stranger, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        reply = await stranger.action(first.thread_id, "turn.attach")
        assert reply.types == ["error"]
        unknown = await stranger.action("thr_unknown", "turn.attach")
        assert reply.error is not None
        assert unknown.error is not None
        words = "This was not found. It may have been deleted."
        assert reply.error["message"].startswith(words)
        assert unknown.error["message"].startswith(words)
        turn_id = first.headers["x-chatkit-turn-id"]
        async with stranger.session.get(f"{chat.url}/api/turns/{turn_id}/events") as response:
            assert (response.status, (await response.json())["code"]) == (404, "not_found")
        chat.upstream.release()
        await first.read()


@pytest.mark.parametrize("how", ["after", "header"])
async def test_events_resume_after_the_last_event_id(chat: Chat, how: str) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        turn_id = first.headers["x-chatkit-turn-id"]
        received: list[tuple[str | None, Json]] = []
        async with events(chat, tab, turn_id) as stream:
            async for number, event in stream:
                received.append((number, event))
                if text_in(received) == "one two":
                    break
        last = str(received[-1][0])
        query, headers = (f"?after={last}", None) if how == "after" else ("", {"Last-Event-ID": last})
        async with events(chat, tab, turn_id, query, headers) as stream:
            chat.upstream.release()
            received += [pair async for pair in stream]
        await first.read()
        # A lagging reader gets its text in fewer frames, with the number of the last of them.
        sent = [(frame.id, frame.json) for frame in first.frames]
        assert text_in(received) == text_in(sent) == "one two three four"
        assert [pair for pair in received if is_whole(pair[1])] == [pair for pair in sent if is_whole(pair[1])]
        numbers = [int(number or 0) for number, _ in received]
        assert numbers == sorted(set(numbers))


def text_in(events: list[tuple[str | None, Json]]) -> str:
    return "".join(event.get("update", {}).get("delta", "") for _, event in events)


def is_whole(event: Json) -> bool:
    return "delta" not in event.get("update", {})


@sqlite_only
async def test_events_of_an_ended_turn_are_its_items(chat: Chat) -> None:
    chat.upstream.script(Answer("First."), Answer("Second."))
    async with await chat.visitor() as tab:
        first = await tab.create("One")
        await tab.send(first.thread_id, "Two")
        async with events(chat, tab, first.headers["x-chatkit-turn-id"]) as stream:
            received = [event async for _, event in stream]
        assert [event["type"] for event in received] == ["stream_options", "thread.item.done", "thread.item.done"]
        assert [event["item"] for event in received[1:]] == first.picture.items[:2]


async def test_a_reload_during_an_answer_shows_the_text_so_far_once(chat: Chat) -> None:
    chat.upstream.script(COUNT)
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second, asking(tab, "Count") as first:
        await read_up_to(first, "one two")
        loaded = await second.reload(first.thread_id)
        assert loaded.texts() == [("user", "Count"), ("assistant", "one two")]
        assert [item["id"] for item in loaded.items] == [item["id"] for item in first.picture.items]
        second.pictures[first.thread_id] = loaded
        async with attaching(second, first.thread_id) as again:
            await again.wait_for("thread.item.added")
            assert again.picture is loaded
            assert loaded.texts() == [("user", "Count"), ("assistant", "one two")]
            chat.upstream.release()
            await asyncio.gather(first.read(), again.read())
        assert loaded.items == first.picture.items == (await second.reload(first.thread_id)).items
        assert loaded.texts() == WHOLE


@sqlite_only
async def test_the_last_page_of_a_long_thread_has_the_text_so_far(chat: Chat) -> None:
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Hello")).thread_id
        for _ in range(10):
            await tab.send(thread_id, "And?")
        chat.upstream.script(COUNT)
        params = {"thread_id": thread_id, "input": user_input("Count")}
        async with tab.open("threads.add_user_message", params) as first:
            await read_up_to(first, "one two")
            async with chat.tab(cookies=tab.cookies) as second:
                loaded = await second.reload(thread_id)
            ids = [item["id"] for item in loaded.items]
            assert len(ids) == len(set(ids)) == 24
            assert loaded.texts()[-2:] == [("user", "Count"), ("assistant", "one two")]
            chat.upstream.release()
            await first.read()


async def test_a_message_of_two_parts_is_complete_after_an_attach(chat: Chat) -> None:
    chat.upstream.script(Answer(output=[Text("one two"), Text("three four")], hang_after=3))
    async with await chat.visitor() as tab, chat.tab(cookies=tab.cookies) as second, asking(tab, "Count") as first:
        await read_up_to(first, "three")
        async with attaching(second, first.thread_id) as again:
            await again.wait_for("thread.item.added")
            chat.upstream.release()
            await asyncio.gather(first.read(), again.read())
        assert again.picture.items == first.picture.items == (await second.reload(first.thread_id)).items
