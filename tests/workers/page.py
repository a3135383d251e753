"""Simulate the page (`web/src/attach.ts`) and a load balancer during a restart of the servers."""

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
"""Seconds until the page retries."""


@dataclass
class Balancer:
    """Send each request to one of the workers that listen."""

    dice: random.Random
    workers: list[Worker] = field(default_factory=list)

    def choose(self) -> str:
        """Return the base URL for the next request."""
        return self.dice.choice(self.workers).url


class Page:
    """One conversation. Each request gets a 200, is refused by a stopping server, or its connection is lost."""

    def __init__(self, balancer: Balancer, tab: Tab) -> None:
        self.picture = Picture()
        self.sent: list[str] = []
        self.lost = 0
        """How many connections broke."""
        self.refused = 0
        """How many messages reached a stopping server and were sent again."""
        self._balancer = balancer
        self._tab = tab

    @property
    def thread_id(self) -> str:
        thread_id: str = self.picture.thread["id"]
        return thread_id

    async def say(self, words: str) -> None:
        """Send a message and read its answer to the end, over any number of connections and with some reloads."""
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
            return False  # the user sees nothing: post the same bytes again
        while not ended:
            await asyncio.sleep(WAIT)
            action = {"thread_id": self.thread_id, "action": {"type": "turn.attach", "payload": None}}
            with suppress(aiohttp.ClientConnectionError):
                ended = await self._post({"type": "threads.custom_action", "params": action}, self._frames())
        return True

    def _frames(self) -> int:
        """Return how many events to read before the user reloads the page."""
        return self._balancer.dice.choice([10, 20, 10_000])

    async def _post(self, body: Json, frames: int) -> bool:
        """Draw what arrives; return whether the answer ended."""
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream",
            "chatkit-frame-instance-id": self._tab.frame_id,
            "x-chatkit-detach": "1",
        }
        url = f"{self._balancer.choose()}/chatkit"
        async with self._tab.session.post(url, data=json.dumps(body), headers=headers) as response:
            if response.status == 503:  # a stopping server; the widget posts the same bytes again
                self.refused += 1
                return False
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
