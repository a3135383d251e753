"""A worker is killed (SIGKILL) during its answers: after a restart their text is there, but for the last 250 ms."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.serving import Tab
from tests.support.chatkit import LiveReply
from tests.support.openai_answers import Answer, Reasoning, Text, split_tokens
from tests.support.openai_server import ModelRequest, OpenAIServer, bench_tokens
from tests.turns.coming_back import asking
from tests.workers.conftest import Fork
from tests.workers.processes import Worker
from tests.workers.sql import select

KILLS = 20
AT_ONCE = 3
"""Conversations that each kill interrupts."""
JOURNAL_SECONDS = 0.25
WAY_SECONDS = 0.15
"""From the model's endpoint to the journal's page and a commit, on a machine that is not overloaded."""
RATE = 120.0
TOKENS = bench_tokens(50)
WHOLE = "".join(TOKENS)
THOUGHT = "Let me think about that for a moment."


@dataclass
class Conversation:
    """An interrupted answer."""

    tab: Tab
    words: str
    reply: LiveReply

    @property
    def thinks(self) -> bool:
        return self.words.startswith("Think")

    def said_before(self, moment: float, calls: list[ModelRequest]) -> str:
        """Return the text that the endpoint had sent at that time."""
        sent = [at for call in calls if self.words in str(call.body["input"]) for at in call.sent_at if at < moment]
        thoughts = len(split_tokens(THOUGHT)) if self.thinks else 0
        return "".join(TOKENS[: max(len(sent) - thoughts, 0)])


def answer(request: ModelRequest) -> Answer:
    """Return an answer that streams at a steady pace and does not end."""
    reasoning = Reasoning(summary=[THOUGHT]) if "Think" in str(request.body["input"]) else None
    last = len(TOKENS) + (len(split_tokens(THOUGHT)) if reasoning else 0)
    return Answer(Text("", tokens=TOKENS), reasoning, rate=RATE, hang_after=last)


@asynccontextmanager
async def lag(worker: Worker) -> AsyncIterator[list[float]]:
    """Measure how long the worker takes to answer after a look at its database, in seconds: on a busy machine, it and
    PostgreSQL are late with everything."""
    late = [0.0]

    async def measure() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                began = time.monotonic()
                try:
                    async with session.get(f"{worker.url}/readyz"):
                        pass
                except aiohttp.ClientError:  # it was killed
                    return
                finally:
                    late.append(time.monotonic() - began)
                await asyncio.sleep(0.02)

    task = asyncio.create_task(measure())
    try:
        yield late
    finally:
        task.cancel()
        await asyncio.wait([task])


async def converse(worker: Worker, words: str, stack: AsyncExitStack, begun: asyncio.Semaphore) -> Conversation:
    """Send a message and read until the connection breaks."""
    tab = await stack.enter_async_context(worker.tab())
    with suppress(aiohttp.ClientError):
        async with asking(tab, words) as reply:
            await reply.wait_for("thread.item.done")
            begun.release()
            await reply.read()
    return Conversation(tab, words, reply)


async def test_a_kill_loses_at_most_a_quarter_of_a_second(
    forked: Fork, engine: AsyncEngine, upstream: OpenAIServer
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - for whoever has to find out why
    dice = random.Random(seed)
    worker = await forked(api="responses")
    for number in range(KILLS):
        upstream.default = answer
        upstream.requests.clear()
        async with AsyncExitStack() as stack, lag(worker) as late:
            begun = asyncio.Semaphore(0)
            kinds = [dice.choice(["Count", "Think"]) for _ in range(AT_ONCE)]
            tasks = [
                asyncio.create_task(converse(worker, f"{kind} {number}-{i}.", stack, begun))
                for i, kind in enumerate(kinds)
            ]
            for _ in tasks:
                await asyncio.wait_for(begun.acquire(), 60)
            await asyncio.sleep(dice.uniform(0, (len(TOKENS) + 8) / RATE + 0.1))  # at a random moment
            killed_at = time.monotonic()
            worker.kill()
            conversations = await asyncio.gather(*tasks)
            if dice.random() < 0.5:  # otherwise it is a zombie while the next one starts
                await worker.gone()
            upstream.default = Answer(Text("", tokens=TOKENS))
            worker = await forked(api="responses")
            certain = killed_at - JOURNAL_SECONDS - WAY_SECONDS - 2 * max(late)
            for conversation in conversations:
                must = conversation.said_before(certain, upstream.requests[:AT_ONCE])
                await check(conversation, must, worker, engine)
        assert await select(engine, "SELECT id FROM turns WHERE status = 'running'") == []
        assert await select(engine, "SELECT id FROM thread_items WHERE open") == []
        assert len(await select(engine, "SELECT id FROM workers")) == 1


async def check(conversation: Conversation, must: str, worker: Worker, engine: AsyncEngine) -> None:
    """Check the rows after the kill, what a reload shows, and that Retry gives a complete answer."""
    thread_id = conversation.reply.thread_id
    query = "SELECT role, text FROM messages WHERE thread_id = :id ORDER BY position"
    (user, *answers) = await select(engine, query, id=thread_id)
    assert user == ("user", conversation.words)
    text = answers[-1][1] if answers else ""
    assert len(answers) <= 1
    assert WHOLE.startswith(text)
    assert text.startswith(must), (text, must)
    turns = "SELECT status, stop_reason, ended_at IS NULL FROM turns WHERE thread_id = :id"
    assert await select(engine, turns, id=thread_id) == [("interrupted", "crash", 0)]

    async with worker.tab(conversation.tab) as tab:
        loaded = await tab.reload(thread_id)
        assert loaded.texts() == [("user", conversation.words), *([("assistant", text)] if text else [])]
        (card,) = loaded.notices
        tab.pictures[thread_id] = loaded
        if conversation.thinks:
            again = await tab.retry(thread_id, loaded.items[0]["id"])
        else:
            action = card["widget"]["children"][-1]["children"][0]["onClickAction"]
            again = await tab.action(thread_id, action["type"], action["payload"], card["id"])
        assert (again.text, again.error) == (WHOLE, None)
        reloaded = await tab.reload(thread_id)
    assert (again.picture.notices, reloaded.notices) == ([], [])
    assert reloaded.texts() == [("user", conversation.words), ("assistant", WHOLE)]
    replaced = "SELECT text FROM thread_items WHERE thread_id = :id AND replaced_by IS NOT NULL AND role = 'assistant'"
    replaced_texts = [
        words for (words,) in await select(engine, replaced + " AND type = 'assistant_message'", id=thread_id)
    ]
    assert replaced_texts == ([text] if text else [])
