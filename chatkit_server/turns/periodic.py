"""Work that is done again and again for as long as the server runs."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from chatkit_store import StoreUnavailable

from ..errors.log_format import redacted_traceback
from ..errors.outage import database_outage

logger = logging.getLogger(__name__)


class Periodic:
    """Does `work` every so many seconds, from `start` to `close`. What fails is logged, and tried again next time."""

    def __init__(self, name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        self._name = name
        self._seconds = seconds
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """The first time comes after `seconds`."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Ends it, in the middle of the work if need be. Safe to call twice, and before `start`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._work()
                database_outage.worked(self._name)
            except StoreUnavailable as error:
                database_outage.failed(self._name, error)
            except Exception as error:
                logger.warning(
                    "%s failed, and is tried again in %s s\n%s", self._name, self._seconds, redacted_traceback(error)
                )
