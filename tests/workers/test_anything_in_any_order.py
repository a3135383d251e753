"""Two users do anything with their conversations, in any order and partly at the same time: hypothesis looks for an
order in which something is lost."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from chatkit_server import create_app
from tests.conftest import opened
from tests.serving import Tab, make_settings
from tests.support.chatkit import Json, Picture, text_of, user_input
from tests.support.live_server import live
from tests.support.openai_server import OpenAIServer
from tests.support.sse import RawStream
from tests.turns.chat import Chat
from tests.workers.conversations import Conversation, Effect, answer, answer_to, message, retried, sent

EXAMPLES = {"sqlite": 120, "postgresql": 40}
STEPS = 30
USERS = 2
HEARTBEAT = 0.05
"""So short that heartbeats meet every moment of a turn, and pauses between rules make the worker's claim doubtful."""

which = st.integers(0, 999)
hangs = st.sampled_from([None, None, 0, 2, 5])
flags = st.booleans()


class World:
    """The app and its model's endpoint, in an event loop that runs only inside `run`."""

    def __init__(self, runner: asyncio.Runner, chat: Chat) -> None:
        self.chat = chat
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run the loop until the work is done."""

        async def bounded() -> Any:
            async with asyncio.timeout(60):
                return await work

        return self._runner.run(bounded())


@contextmanager
def world(database_url: str, folder: Path) -> Iterator[World]:
    """Start one world for all examples; each has its own users."""

    async def enter(stack: AsyncExitStack) -> Chat:
        engine = await stack.enter_async_context(opened(database_url))
        upstream = await stack.enter_async_context(OpenAIServer(answer))
        options = make_settings(
            folder,
            database_url=database_url,
            model="gpt-test",
            base_url=upstream.base_url,
            model_retries=0,
            heartbeat_seconds=HEARTBEAT,
        )
        app = create_app(options)
        url = await stack.enter_async_context(live(app))
        return Chat(app, url, upstream, engine)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        try:
            yield World(runner, runner.run(enter(stack)))
        finally:
            runner.run(stack.aclose())


Place = tuple[str | None, str]


@dataclass
class Reading:
    """A stream with its reader."""

    conversation_id: str
    frame_id: str
    stream: RawStream
    picture: Picture = field(default_factory=Picture)
    drawn: int = 0

    @property
    def place(self) -> Place:
        """Return turn and frame: a later reader in the same place replaces this one, whose stream ends early."""
        return self.stream.headers.get("x-chatkit-turn-id"), self.frame_id

    def draw(self) -> None:
        """Apply what was read."""
        events = self.stream.events
        for event in events[self.drawn :]:
            self.picture.apply(event)
        self.drawn = len(events)

    def has_user_item(self, words: str) -> bool:
        return any(words in str(event) for event in self.stream.events if event["type"] == "thread.item.done")


class Anything(RuleBasedStateMachine):
    """Each rule is one thing that a page does, or two at the same time."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.conversations: list[Conversation] = []
        self.readings: list[Reading] = []
        self.readers: dict[Place, Reading] = {}
        self.number = 0
        self.tabs: list[list[Tab]] = self._run(self._visit())

    @property
    def living(self) -> list[Conversation]:
        return [conversation for conversation in self.conversations if not conversation.is_deleted]

    # -- rules

    @rule(user=st.integers(0, USERS - 1), frame=flags, hang=hangs, detach=flags)
    def create(self, user: int, frame: bool, hang: int | None, detach: bool) -> None:
        self._run(self._create(self.tabs[user][frame], user, self._words(hang), detach))

    @precondition(lambda self: self.living)
    @rule(n=which, frame=flags, hang=hangs, detach=flags)
    def send(self, n: int, frame: bool, hang: int | None, detach: bool) -> None:
        conversation = self._pick(n)
        self._do(conversation, self._send(conversation, frame, self._words(hang), detach))

    @precondition(lambda self: self.living)
    @rule(n=which, m=which, frame=flags)
    def retry(self, n: int, m: int, frame: bool) -> None:
        conversation = self._pick(n)
        self._do(conversation, self._retry(conversation, m, frame))

    @precondition(lambda self: self.living)
    @rule(n=which)
    def stop(self, n: int) -> None:
        conversation = self._pick(n)
        self._do(conversation, self._stop(conversation))

    @precondition(lambda self: self.living)
    @rule(n=which, m=which, frame=flags, one=st.integers(0, 4), other=st.integers(0, 4), hang=hangs)
    def do_two_things_at_once(self, n: int, m: int, frame: bool, one: int, other: int, hang: int | None) -> None:
        conversation = self._pick(n)

        def thing(number: int, frame: bool) -> Coroutine[Any, Any, Effect | None]:
            match number:
                case 0:
                    return self._send(conversation, frame, self._words(hang), True)
                case 1:
                    return self._retry(conversation, m, frame)
                case 2:
                    return self._stop(conversation)
                case 3:
                    return self._attach(conversation, frame)
                case _:
                    return self._delete(conversation)

        self._do(conversation, thing(one, frame), thing(other, not frame))

    @precondition(lambda self: self.living)
    @rule(n=which, frame=flags)
    def attach(self, n: int, frame: bool) -> None:
        conversation = self._pick(n)
        self._do(conversation, self._attach(conversation, frame))

    @precondition(lambda self: self.living)
    @rule(n=which)
    def rename(self, n: int) -> None:
        conversation = self._pick(n)
        self.number += 1
        self._run(self._rename(conversation, f"Title {self.number}"))

    @precondition(lambda self: self.living)
    @rule(n=which)
    def delete(self, n: int) -> None:
        conversation = self._pick(n)
        self._do(conversation, self._delete(conversation))

    # No precondition on readings: which exist depends on timing when two things are done at the same time, and
    # hypothesis rejects rules whose availability is not deterministic.

    @rule(n=which, politely=flags)
    def disconnect(self, n: int, politely: bool) -> None:
        if not self.readings:
            return
        reading = self.readings.pop(n % len(self.readings))
        if self.readers.get(reading.place) is reading:
            del self.readers[reading.place]  # the replaced reader has ended as well
        reading.stream.close() if politely else reading.stream.reset()
        self._run(asyncio.sleep(0))

    @rule(n=which)
    def read_a_little(self, n: int) -> None:
        if self.readings:
            self._run(self._read_a_little(self.readings[n % len(self.readings)]))

    @rule()
    def let_the_models_go_on(self) -> None:
        self.world.chat.upstream.release()
        self._run(asyncio.sleep(0))

    @precondition(lambda self: self.living)
    @rule(n=which)
    def reload(self, n: int) -> None:
        self._run(self._check(self._pick(n)))

    @precondition(lambda self: self.living)
    @rule(n=which)
    def meddle_as_a_stranger(self, n: int) -> None:
        self._run(self._meddle(self._pick(n)))

    def teardown(self) -> None:
        self._run(self._end())

    # -- helpers

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.world.run(work)

    def _pick(self, n: int) -> Conversation:
        return self.living[n % len(self.living)]

    def _words(self, hang: int | None) -> str:
        self.number += 1
        return message(self.number, hang)

    def _do(self, conversation: Conversation, *things: Coroutine[Any, Any, Effect | None]) -> None:
        async def at_once() -> list[Effect | None]:
            return await asyncio.gather(*things)

        conversation.happened(*(effect for effect in self._run(at_once()) if effect is not None))

    async def _visit(self) -> list[list[Tab]]:
        chat = self.world.chat
        first = [await chat.visitor() for _ in range(USERS)]
        return [[tab, Tab(chat.url, cookies=tab.cookies)] for tab in first]

    async def _post(self, tab: Tab, op: str, params: Json, detach: bool = True) -> RawStream:
        return await self.world.chat.post(tab, op, params, headers={"x-chatkit-detach": "1"} if detach else {})

    async def _create(self, tab: Tab, user: int, words: str, detach: bool) -> None:
        stream = await self._post(tab, "threads.create", {"input": user_input(words)}, detach)
        await stream.read_until(lambda frame: "stream_options" in frame.data)
        reading = Reading("", tab.frame_id, stream)
        reading.draw()
        reading.conversation_id = reading.picture.thread["id"]
        self._follow(reading)
        conversation = Conversation(reading.conversation_id, user, {words}, [words])
        conversation.happened(sent(words))
        self.conversations.append(conversation)

    async def _send(self, conversation: Conversation, frame: bool, words: str, detach: bool) -> Effect | None:
        params = {"thread_id": conversation.id, "input": user_input(words)}
        reading = await self._begin(conversation, "threads.add_user_message", params, frame, detach)
        if not reading.has_user_item(words):
            return None  # the thread was just deleted
        conversation.accepted.append(words)
        return sent(words)

    async def _retry(self, conversation: Conversation, m: int, frame: bool) -> Effect | None:
        tab = self.tabs[conversation.user][frame]
        reply = await tab.post("threads.get_by_id", {"thread_id": conversation.id})
        if reply.status != 200:
            return None  # just deleted
        messages = [item for item in reply.body["items"]["data"] if item["type"] == "user_message"]
        item = messages[m % len(messages)]
        await self._begin(
            conversation, "threads.retry_after_item", {"thread_id": conversation.id, "item_id": item["id"]}, frame
        )
        return retried(text_of(item))

    async def _attach(self, conversation: Conversation, frame: bool) -> None:
        action = {"type": "turn.attach", "payload": None}
        await self._begin(
            conversation, "threads.custom_action", {"thread_id": conversation.id, "action": action}, frame
        )

    async def _begin(
        self, conversation: Conversation, op: str, params: Json, frame: bool, detach: bool = True
    ) -> Reading:
        """Read up to where the request is accepted or refused."""
        tab = self.tabs[conversation.user][frame]
        reading = Reading(conversation.id, tab.frame_id, await self._post(tab, op, params, detach))
        while not reading.stream.frames and await reading.stream.read():
            pass
        assert reading.stream.status == 200
        self._follow(reading)
        return reading

    def _follow(self, reading: Reading) -> None:
        self.readings.append(reading)
        self.readers[reading.place] = reading

    async def _stop(self, conversation: Conversation) -> None:
        tab = self.tabs[conversation.user][0]
        async with tab.session.post(f"{self.world.chat.url}/api/threads/{conversation.id}/stop") as response:
            assert response.status in (200, 404)
            assert response.status == 200 or conversation.is_deleted or await self._is_gone(conversation)

    async def _rename(self, conversation: Conversation, title: str) -> None:
        reply = await self.tabs[conversation.user][0].post(
            "threads.update", {"thread_id": conversation.id, "title": title}
        )
        assert reply.status == 200
        conversation.titles = {title}

    async def _delete(self, conversation: Conversation) -> None:
        reply = await self.tabs[conversation.user][0].post("threads.delete", {"thread_id": conversation.id})
        assert reply.status == 200 or conversation.is_deleted or await self._is_gone(conversation)
        conversation.is_deleted = True

    async def _is_gone(self, conversation: Conversation) -> bool:
        return not await self._select("SELECT id FROM threads WHERE id = :id", conversation)

    async def _read_a_little(self, reading: Reading) -> None:
        """Read what has arrived, if anything. A read with a timeout could lose what arrives as it ends."""
        await asyncio.sleep(0.005)
        if reading.stream.has_arrived:
            await reading.stream.read()

    async def _meddle(self, conversation: Conversation) -> None:
        stranger = self.tabs[(conversation.user + 1) % USERS][0]
        thread = {"thread_id": conversation.id}
        for op in ("threads.get_by_id", "items.list", "threads.update", "threads.delete"):
            assert (await stranger.post(op, thread | {"title": "Mine"})).status == 404
        streaming: dict[str, Json] = {
            "threads.add_user_message": {"input": user_input("Message 0")},
            "threads.retry_after_item": {"item_id": "msg_0"},
            "threads.custom_action": {"action": {"type": "turn.attach", "payload": None}},
        }
        for op, params in streaming.items():
            reply = await stranger.post(op, thread | params)
            assert reply.types == ["error"]
        assert conversation.id not in str(await stranger.list())
        turns = await self._select("SELECT id FROM turns WHERE thread_id = :id", conversation)
        url = self.world.chat.url
        for path in (f"threads/{conversation.id}/stop", *(f"turns/{turn_id}/stop" for (turn_id,) in turns)):
            async with stranger.session.post(f"{url}/api/{path}") as response:
                assert response.status == 404

    # -- checks

    async def _select(self, statement: str, conversation: Conversation) -> list[tuple[Any, ...]]:
        return await self.world.chat.select(statement, id=conversation.id)

    async def _check(self, conversation: Conversation) -> Picture:
        """Check what a reload shows and what SQL contains, at any moment."""
        running = await self._select("SELECT id FROM turns WHERE thread_id = :id AND status = 'running'", conversation)
        assert len(running) <= 1
        loaded = await self.tabs[conversation.user][0].reload(conversation.id)
        assert loaded.thread["title"] in conversation.titles
        texts = tuple(words for role, words in loaded.texts() if role == "user")
        assert texts in conversation.possible
        if not running:
            conversation.possible = {texts}  # the outcome of a retry is final now
        rows = await self._select("SELECT text FROM thread_items WHERE thread_id = :id AND role = 'user'", conversation)
        assert sorted(words for (words,) in rows) == sorted(conversation.accepted)
        await self._check_answers(conversation)
        return loaded

    async def _check_answers(self, conversation: Conversation) -> None:
        """Check all answers, replaced ones included: each is a prefix of what was sent, a completed one all of it."""
        query = """
            SELECT question.text, turns.status, answer.text FROM turns
            JOIN thread_items AS question ON question.id = turns.user_item_id
            LEFT JOIN thread_items AS answer ON answer.turn_id = turns.id AND answer.type = 'assistant_message'
            WHERE turns.thread_id = :id
        """
        for words, status, text in await self._select(query, conversation):
            if status == "completed":
                assert text == answer_to(words)
            elif text is not None:
                assert answer_to(words).startswith(text)
            assert status in ("running", "completed", "stopped")

    async def _end(self) -> None:
        """Let everything finish; then check that nothing else is left."""
        chat = self.world.chat
        try:
            while await chat.select("SELECT id FROM turns WHERE status = 'running'"):
                chat.upstream.release()
                await asyncio.sleep(0.005)
            for reading in self.readings:
                await reading.stream.read_to_end()
                assert reading.stream.ended
                reading.draw()
            await self._check_all()
        finally:
            for reading in self.readings:
                reading.stream.close()
            for tab in (tab for tabs in self.tabs for tab in tabs):
                await tab.session.close()
            chat.upstream.requests.clear()
        await chat.quiet()
        assert chat.upstream.closed == chat.upstream.opened

    async def _check_all(self) -> None:
        for conversation in self.conversations:
            await (self._check_deleted(conversation) if conversation.is_deleted else self._check_end(conversation))
        for user, tabs in enumerate(self.tabs):
            listed = {thread["id"] for thread in await tabs[0].history()}
            assert listed == {conversation.id for conversation in self.living if conversation.user == user}

    async def _check_end(self, conversation: Conversation) -> None:
        loaded = await self._check(conversation)
        in_vain = """
            SELECT item.id FROM thread_items AS item JOIN turns ON turns.id = item.replaced_by
            WHERE turns.thread_id = :id AND turns.status <> 'completed'
            AND NOT EXISTS (SELECT 1 FROM thread_items AS own WHERE own.turn_id = turns.id)
        """
        assert await self._select(in_vain, conversation) == [], (
            "a retry without an answer has taken the old answer away"
        )
        query = "SELECT id FROM thread_items WHERE thread_id = :id AND replaced_by IS NULL AND NOT hidden"
        ids = [item_id for (item_id,) in await self._select(f"{query} ORDER BY position", conversation)]
        assert [item["id"] for item in loaded.items] == ids
        by_id = {item["id"]: item for item in loaded.items}
        kept = await self._select("SELECT id FROM thread_items WHERE thread_id = :id", conversation)
        for reading in (reading for reading in self.readers.values() if reading.conversation_id == conversation.id):
            for item in reading.picture.items:
                assert (item["id"],) in kept
                assert by_id.get(item["id"], item) == item  # a reload does not show replaced items

    async def _check_deleted(self, conversation: Conversation) -> None:
        for table in ("thread_items", "turns"):
            assert await self._select(f"SELECT id FROM {table} WHERE thread_id = :id", conversation) == []
        assert await self._is_gone(conversation)


@pytest.mark.no_cover
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_no_order_of_actions_loses_anything(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(database_url, tmp_path) as place:
        monkeypatch.setattr(Anything, "world", place, raising=False)
        run_state_machine_as_test(
            Anything,
            settings=settings(
                max_examples=EXAMPLES[database_url.partition(":")[0]],
                stateful_step_count=STEPS,
                database=None,
                print_blob=True,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
