"""The frames of one turn, for any number of readers that come, lag and leave without the turn noticing."""

import asyncio
import contextlib
from asyncio import Future

from .frames import frame


class TurnLog:
    """Append-only; `close` tells the readers that nothing more comes."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._waiting: list[Future[None]] = []
        self._pausing: list[Future[None]] = []
        self.last_text = 0
        """How many frames there were when the last piece of text came."""
        self.closed = False

    def __len__(self) -> int:
        return len(self._frames)

    def append(self, data: bytes) -> None:
        """Adds one event's JSON as the next frame and wakes the readers."""
        self._frames.append(frame(len(self._frames) + 1, data))
        self.wake()

    def append_text(self, data: bytes) -> None:
        """As `append`, for a piece of text: readers that pause go on pausing."""
        self._frames.append(frame(len(self._frames) + 1, data))
        self.last_text = len(self._frames)
        if self._waiting:
            self._waiting = _resolve(self._waiting)

    def close(self) -> None:
        """Ends the log."""
        self.closed = True
        self.wake()

    def since(self, position: int) -> bytes:
        """All frames after the first `position` ones, in one piece."""
        if position == len(self._frames) - 1:
            return self._frames[position]
        return b"".join(self._frames[position:])

    async def changed(self) -> None:
        """Waits for the next frame, the end, or a `wake`."""
        await _wait(asyncio.get_running_loop().create_future(), self._waiting)

    async def pause(self, seconds: float) -> None:
        """Waits for `seconds`, but not longer than to the next frame that is not text, the end, or a `wake`."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        timer = loop.call_later(seconds, _resolve, [future])
        try:
            await _wait(future, self._pausing)
        finally:
            timer.cancel()

    def wake(self) -> None:
        """Lets every reader look again."""
        self._waiting = _resolve(self._waiting)
        self._pausing = _resolve(self._pausing)


async def _wait(future: Future[None], futures: list[Future[None]]) -> None:
    futures.append(future)
    try:
        await future
    finally:
        with contextlib.suppress(ValueError):
            futures.remove(future)


def _resolve(futures: list[Future[None]]) -> list[Future[None]]:
    """Wakes whoever waits; returns the empty list that takes the place of `futures`."""
    for future in futures:
        if not future.done():
            future.set_result(None)
    return []
