"""One piece of work at a time for the same request, however often it is posted while it runs: a double click."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Joining:
    """The work that runs now, by what was asked for. Holds within one process."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, or of the one with this key that runs already. Raises what it raises.

        The work goes on when one of those who wait for it goes away.
        """
        task: asyncio.Task[T] | None = self._running.get(key)
        if task is None:
            task = asyncio.create_task(_run(work), name="joined request")
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
