"""Many visitors connect, stop, send again and disconnect: nothing leaks."""

import asyncio
import contextlib
import random

from tests.support.openai_answers import Answer
from tests.support.openai_server import ModelRequest
from tests.turns.chat import LEAVING, Chat, thread_of

CYCLES = 60
AT_ONCE = 6


async def test_sixty_visits_that_end_in_different_ways_leak_nothing(chat: Chat) -> None:
    dice = random.Random(7)
    visited: list[tuple[str, int]] = []

    def answer(request: ModelRequest) -> Answer:
        return Answer("one two three four", hang_after=dice.choice([None, None, 0, 1, 3]))

    async def visit(number: int) -> None:
        ending = dice.choice([*LEAVING, "stopped", "superseded", "read", "unread"])
        async with await chat.visitor() as tab:
            stream = await chat.ask(tab, f"visit {number}")
            await stream.read_until(lambda frame: "stream_options" in frame.data)
            thread_id, messages = thread_of(stream), 1
            if dice.random() < 0.5:
                with contextlib.suppress(TimeoutError):  # leave at a random moment
                    await stream.read_until(lambda frame: "text_delta" in frame.data, dice.uniform(0, 0.05))
            match ending:
                case "stopped":
                    assert (await chat.stop(tab, stream.headers["x-chatkit-turn-id"]))[0] == 200
                    await stream.read_to_end()
                case "superseded":
                    second = await chat.ask(tab, "another", thread_id)
                    await stream.read_to_end()
                    await second.read_until(lambda frame: "stream_options" in frame.data)
                    messages += 1
                    second.reset()
                case "read":
                    chat.upstream.release()
                case "closed" | "reset":
                    LEAVING[ending](stream)
            stream.close()
            visited.append((thread_id, messages))

    chat.upstream.default = answer
    gate = asyncio.Semaphore(AT_ONCE)

    async def in_turn(number: int) -> None:
        async with gate:
            await visit(number)

    async with asyncio.TaskGroup() as visits:
        for number in range(CYCLES):
            visits.create_task(in_turn(number))
    await chat.quiet()

    assert chat.upstream.closed == chat.upstream.opened == len(chat.upstream.requests)
    assert await chat.select("SELECT id FROM turns WHERE status = 'running' OR ended_at IS NULL") == []
    assert await chat.select("SELECT id FROM thread_items WHERE type = 'assistant_message' AND text = ''") == []
    for thread_id, messages in visited:
        roles = [role for role, _ in await chat.messages(thread_id)]
        assert roles.count("user") == messages
