"""Background loops as long as the server runs, exponential backoff, and repetition in an outage."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from chatkit_store import StoreUnavailable

from .errors.log_format import redacted_traceback
from .errors.outage import database_outage

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two attempts during an outage."""


def backoff(first: float, longest: float = math.inf) -> Iterator[float]:
    """Yield the pauses between attempts without end: `first`, then twice the last one, at most `longest`."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)


async def through_outage(call: Callable[[], Awaitable[T]], seconds: float, name: str) -> T:
    """Return what `call` returns; repeat it with backoff, for up to `seconds`, while the database does not respond.

    `call` must be idempotent: an attempt that failed may have written its rows. `name` is the subject of the log line.
    """
    now = asyncio.get_running_loop().time
    deadline, pauses = now() + seconds, None
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            is_first = pauses is None
            pauses = pauses or backoff(FIRST_PAUSE, LONGEST_PAUSE)
            pause = next(pauses)
            if now() + pause > deadline:
                raise
            if is_first:
                logger.warning("%s waits for the database, for up to %g s (%s)", name, seconds, error)
        await asyncio.sleep(pause)


@asynccontextmanager
async def background(name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run `loop` in a task inside the block; cancel the task at the end of the block and wait for it."""
    # Not an asyncio.TaskGroup: there, a loop that crashes would cancel the server, and all loops would end at once.
    # Nested blocks end the loops in reverse order: the journal and the heartbeat must outlive the turns.
    task = start_background(name, loop())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def start_background(name: str, loop: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """Return the task that runs `loop`.

    An error that ends it is logged: nothing else would show that its work is no longer done.
    """
    task = asyncio.create_task(loop, name=name)
    task.add_done_callback(_log_crash)
    return task


def _log_crash(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the background loop %r ended with an error\n%s", task.get_name(), redacted_traceback(error))


class Periodic:
    """Repeat `work` every `seconds` seconds. An error is logged and does not end the loop."""

    def __init__(self, name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        """`name` is the subject of log messages."""
        self._name = name
        self._seconds = seconds
        self._work = work

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the loop inside the block, for the first time after `seconds`; its end cancels work in progress."""
        async with background(self._name, self._run):
            yield

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._work()
                database_outage().worked(self._name)
            except StoreUnavailable as error:
                database_outage().failed(self._name, error)
            except Exception as error:
                logger.warning("%s failed; retry in %s s\n%s", self._name, self._seconds, redacted_traceback(error))
