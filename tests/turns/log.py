"""What the server's own log says, as something to wait for."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager


class Log(logging.Handler):
    """Keeps the records of all loggers; a test may wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self._said: list[tuple[int, str]] = []
        self._more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        self._said.append((record.levelno, record.getMessage()))
        self._more.set()

    def of(self, level: int) -> list[str]:
        """The messages of a level."""
        return [message for known, message in self._said if known == level]

    async def wait_for(self, words: str, within: float = 5.0) -> None:
        """Returns when a message has these words. Raises `TimeoutError` where none comes."""
        async with asyncio.timeout(within):
            while not any(words in message for _, message in self._said):
                self._more.clear()
                await self._more.wait()


@contextmanager
def listening() -> Iterator[Log]:
    """The log from now on."""
    log = Log()
    root = logging.getLogger()
    root.addHandler(log)
    try:
        yield log
    finally:
        root.removeHandler(log)
