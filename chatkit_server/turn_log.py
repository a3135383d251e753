"""The frames of one turn, for any number of readers that come, lag and leave without the turn noticing."""

import asyncio
import contextlib

from .frames import frame


class TurnLog:
    """Append-only; `close` tells the readers that nothing more comes."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.closed = False

    def __len__(self) -> int:
        return len(self._frames)

    def append(self, data: bytes) -> None:
        """Adds one event's JSON as the next frame and wakes the readers."""
        self._frames.append(frame(len(self._frames) + 1, data))
        if self._waiting:
            self.wake()

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
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)

    def wake(self) -> None:
        """Lets every waiting reader look again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
