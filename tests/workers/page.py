"""The page (`web/src/attach.ts`) and its load balancer, as far as a restart of the servers concerns them."""

import asyncio
import json
import random
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from tests.serving import Tab
from tests.support.chatkit import Json, Picture, user_input
from tests.support.sse import SseParser
from tests.workers.processes import Worker

WAIT = 0.05
"""Seconds until it tries again."""


@dataclass
class Balancer:
    """Sends each request to one of the workers, and to another one where none listens."""

    dice: random.Random
    workers: list[Worker] = field(default_factory=list)

    def choose(self) -> str:
        """The address for the next request."""
        return self.dice.choice(self.workers).url


class Page:
    """One conversation. Everything that it sends is answered by 200, or its connection was lost."""

    def __init__(self, balancer: Balancer, tab: Tab) -> None:
        self.picture = Picture()
        self.sent: list[str] = []
        self.lost = 0
        """Connections that broke."""
        self.refused = 0
        """Messages that came while a server was about to stop, and were sent once more."""
        self._balancer = balancer
        self._tab = tab

    @property
    def thread_id(self) -> str:
        thread_id: str = self.picture.thread["id"]
        return thread_id

    async def say(self, words: str) -> None:
        """Sends a message and reads its answer to the end, over as many connections as that takes; now and then its
        user reloads it in the middle."""
        is_new = not self.picture.thread
        params: Json = {"input": user_input(words)} | ({} if is_new else {"thread_id": self.thread_id})
        op = "threads.create" if is_new else "threads.add_user_message"
        self.sent.append(words)
        while not await self._is_sent({"type": op, "params": params}, words):  # noqa: ASYNC110 - as the page does
            await asyncio.sleep(WAIT)

    async def _is_sent(self, body: Json, words: str) -> bool:
        before = len(self.picture.items)
        try:
            ended = await self._post(body, self._frames())
        except aiohttp.ClientConnectionError:
            ended = False
        if not any(words in str(item) for item in self.picture.items[before:]):
            self.refused += ended
            return False  # what the user sees is an error or nothing: the same bytes once more
        while not ended:
            await asyncio.sleep(WAIT)
            action = {"thread_id": self.thread_id, "action": {"type": "turn.attach", "payload": None}}
            with suppress(aiohttp.ClientConnectionError):
                ended = await self._post({"type": "threads.custom_action", "params": action}, self._frames())
        return True

    def _frames(self) -> int:
        """How many events are read until the user reloads the page."""
        return self._balancer.dice.choice([10, 20, 10_000])

    async def _post(self, body: Json, frames: int) -> bool:
        """Draws what comes; says whether the answer came to its end."""
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream",
            "chatkit-frame-instance-id": self._tab.frame_id,
            "x-chatkit-detach": "1",
        }
        url = f"{self._balancer.choose()}/chatkit"
        async with self._tab.session.post(url, data=json.dumps(body), headers=headers) as response:
            assert response.status == 200, (response.status, await response.text())
            parser, number = SseParser(), 0
            try:
                while chunk := await response.content.readany():
                    for frame in parser.feed(chunk):
                        if frame.comment is None:
                            self.picture.apply(frame.json)
                            number += 1
                            if number == frames:
                                response.close()
                                return False
            except aiohttp.ClientPayloadError:
                self.lost += 1
                return False
        return True
