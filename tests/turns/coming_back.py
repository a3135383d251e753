"""Helpers to re-attach to a running answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from agents import Agent, function_tool

from tests.serving import Tab
from tests.support.chatkit import LiveReply, text_of, user_input
from tests.support.sse import Json, SseParser
from tests.turns.chat import Chat

DETACH = {"x-chatkit-detach": "1"}


def asking(tab: Tab, words: str, headers: Mapping[str, str] | None = None) -> AbstractAsyncContextManager[LiveReply]:
    """Send the first message of a new thread and read its answer live."""
    return tab.open("threads.create", {"input": user_input(words)}, headers)


def attaching(
    tab: Tab, thread_id: str, headers: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[LiveReply]:
    """`sendCustomAction({type: "turn.attach"})`."""
    params = {"thread_id": thread_id, "action": {"type": "turn.attach", "payload": None}}
    return tab.open("threads.custom_action", params, headers)


async def read_up_to(reply: LiveReply, words: str, within: float = 30.0) -> None:
    """Read until the text of the last assistant message ends with `words`."""
    async with asyncio.timeout(within):
        while not last_text(reply).endswith(words):
            assert await reply.read_frame() is not None, f"the stream ended at {last_text(reply)!r}"


def last_text(reply: LiveReply) -> str:
    messages = reply.picture.of_type("assistant_message")
    return text_of(messages[-1]) if messages else ""


@asynccontextmanager
async def events(
    chat: Chat, tab: Tab, turn_id: str, query: str = "", headers: Mapping[str, str] | None = None
) -> AsyncIterator[AsyncIterator[tuple[str | None, Json]]]:
    """`GET /api/turns/{id}/events`: yield each event with its id as it arrives."""
    async with tab.session.get(f"{chat.url}/api/turns/{turn_id}/events{query}", headers=headers) as response:
        assert response.status == 200

        async def read() -> AsyncIterator[tuple[str | None, Json]]:
            parser = SseParser()
            while chunk := await response.content.readany():
                for frame in parser.feed(chunk):
                    if frame.comment is None:
                        yield frame.id, frame.json

        yield read()
        response.close()


class SlowTool:
    """An agent whose tool runs until it is released."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()

        @function_tool
        async def look_up() -> str:
            """Looks it up."""
            self.running.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return "found"

        self.agent = Agent(name="test", tools=[look_up])


async def within(event: asyncio.Event, seconds: float = 30) -> None:
    """Wait for the event. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        await event.wait()
