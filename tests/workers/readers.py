"""A reader that loses its connection again and again, and re-attaches to any worker in any way."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import aiohttp

from tests.serving import Tab
from tests.support.chatkit import Picture, text_of
from tests.support.sse import SseParser
from tests.workers.processes import Worker


class Wanderer:
    """Read one turn to its end. The text of `picture` must always be a prefix of `whole`."""

    def __init__(self, dice: random.Random, tab: Tab, thread_id: str, turn_id: str, whole: str) -> None:
        self.picture = Picture()
        self.visits = 0
        self._dice = dice
        self._tab = tab
        self._thread_id = thread_id
        self._turn_id = turn_id
        self._whole = whole
        self._seen: int | None = None

    @property
    def text(self) -> str:
        """Return the assistant's text on the screen."""
        return "".join(text_of(item) for item in self.picture.of_type("assistant_message"))

    async def read(self, workers: Sequence[Worker]) -> None:
        """Read until a stream ends. A dead worker counts as a lost connection."""
        while True:
            worker = self._dice.choice([candidate for candidate in workers if candidate.url])
            frames = self._dice.choice([1, 2, 3, 5, 8, 13, 10_000])
            self.visits += 1
            with suppress(aiohttp.ClientError):
                if await self._visit(worker, frames):
                    return
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Close the browser."""
        await self._tab.session.close()

    async def _visit(self, worker: Worker, frames: int) -> bool:
        """Read at most that many frames; return whether the stream ended."""
        if self._seen is None or self._dice.random() < 0.5:
            body = {
                "type": "threads.custom_action",
                "params": {"thread_id": self._thread_id, "action": {"type": "turn.attach", "payload": None}},
            }
            headers = {"chatkit-frame-instance-id": self._tab.frame_id, "accept": "text/event-stream"}
            request = self._tab.session.post(f"{worker.url}/chatkit", json=body, headers=headers)
        else:
            where = f"{worker.url}/api/turns/{self._turn_id}/events?after={self._seen}"
            request = self._tab.session.get(where)
        async with request as response:
            assert response.status == 200, response.status
            ended = await self._draw(response, frames)
            response.close()
        return ended

    async def _draw(self, response: aiohttp.ClientResponse, frames: int) -> bool:
        parser, number = SseParser(), 0
        while chunk := await response.content.readany():
            for frame in parser.feed(chunk):
                if frame.comment is not None:
                    continue
                self.picture.apply(frame.json)
                assert self._whole.startswith(self.text), f"{self.text!r} after {frame} at {response.url}"
                self._seen = int(frame.id) if frame.id is not None else self._seen
                number += 1
                if number == frames:
                    return False
        return True
