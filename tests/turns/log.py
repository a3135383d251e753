"""Wait for messages in the server's log."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager


class Log(logging.Handler):
    """Collect the records of all loggers."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[tuple[int, str]] = []
        self._more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        self._records.append((record.levelno, record.getMessage()))
        self._more.set()

    def of(self, level: int) -> list[str]:
        """Return the messages of a level."""
        return [message for record_level, message in self._records if record_level == level]

    async def wait_for(self, words: str, within: float = 30.0) -> None:
        """Wait until a message contains these words. Raises `TimeoutError`."""
        async with asyncio.timeout(within):
            while not any(words in message for _, message in self._records):
                self._more.clear()
                await self._more.wait()


@contextmanager
def listening() -> Iterator[Log]:
    """Collect the log inside the block."""
    log = Log()
    root = logging.getLogger()
    root.addHandler(log)
    try:
        yield log
    finally:
        root.removeHandler(log)
