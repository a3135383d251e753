"""All turns of this process: starting one, finding one, stopping one, ending all."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from store import NewTurn, SqlStore, TurnStore, new_id

from .accept import Accepted
from .context import RequestContext
from .errors import ServerStopping
from .settings import Settings
from .turn import StopReason, Turn

logger = logging.getLogger(__name__)


CLOSE_STEPS = 3
"""How many `stop_seconds` the end of the server may take: the work's end, its saving, and as much again."""


class Turns:
    """One turn runs per thread (T16); a second request stops the first, whose partial answer is kept."""

    def __init__(self, store: SqlStore[RequestContext], turns: TurnStore, settings: Settings, model: str) -> None:
        self._store = store
        self._turns = turns
        self._settings = settings
        self._model = model
        self._running: dict[str, Turn] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._draining: asyncio.Task[None] | None = None
        self.is_closing = False
        """Takes no new turns: the process was asked to stop."""

    async def start(
        self, accept: Callable[[], Awaitable[Accepted]], thread_id: str | None, context: RequestContext
    ) -> Turn:
        """Has the request accepted, saves what it brought and starts the turn in a task of its own.

        `accept` runs under the thread's lock, so that what it checked still holds when the turn starts; once more where
        a running turn had to be stopped first. `thread_id` is None for a thread that does not exist yet. When this
        returns, the user's message is committed. Raises what `accept` raises, `ServerStopping`, or a store's error.
        """
        if self.is_closing:  # before a running turn is stopped for one that is refused
            raise ServerStopping
        if thread_id is None:
            return await self._begin(await accept(), context)
        async with self._lock(thread_id):
            accepted = await accept()
            if self._turns_of(thread_id) and not self.is_closing:
                await self._stop_all(thread_id, "superseded")
                accepted = await accept()
            return await self._begin(accepted, context)

    def find(self, turn_id: str, context: RequestContext) -> Turn | None:
        """The running turn of this user with that id, None where there is none."""
        turn = self._running.get(turn_id)
        return turn if turn is not None and turn.context.user_id == context.user_id else None

    def running_on(self, thread_id: str, context: RequestContext) -> Turn | None:
        """The running turn of this user's thread, None where there is none."""
        turns = (turn for turn in self._turns_of(thread_id) if turn.context.user_id == context.user_id)
        return next((turn for turn in turns if not turn.log.closed), None)

    @asynccontextmanager
    async def alone(self, thread_id: str, reason: StopReason) -> AsyncIterator[None]:
        """Stops what runs on the thread, waits until it is saved, and lets no other turn start inside."""
        async with self._lock(thread_id):
            await self._stop_all(thread_id, reason)
            yield

    def drain(self) -> None:
        """Takes no new turns, and interrupts those that still run in CHATKIT_DRAIN_SECONDS; a second call does so now.

        Returns at once.
        """
        if self.is_closing:
            self.interrupt()
            return
        self.is_closing = True
        self._draining = asyncio.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=self._settings.drain_seconds)
        self.interrupt()

    def interrupt(self) -> None:
        """Takes no new turns and stops the running ones as interrupted. Returns at once; `close` waits for them."""
        self.is_closing = True
        for turn in list(self._running.values()):
            turn.stop("shutdown")

    async def close(self) -> None:
        """Waits for a drain that has begun, else interrupts at once; then waits until all turns are saved."""
        if self._draining is not None:
            await self._draining
        self.interrupt()
        deadline = asyncio.get_running_loop().time() + CLOSE_STEPS * self._settings.stop_seconds
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left)
        for task in set(self._tasks):
            logger.error("turn %s could not be saved before the server stopped", task.get_name())
            task.cancel()
        if self._tasks:  # a driver may wait for its database even then
            await asyncio.wait(set(self._tasks), timeout=self._settings.stop_seconds)

    def _lock(self, thread_id: str) -> asyncio.Lock:
        return self._locks.setdefault(thread_id, asyncio.Lock())

    def _turns_of(self, thread_id: str) -> list[Turn]:
        return [turn for turn in self._running.values() if turn.thread.id == thread_id]

    async def _stop_all(self, thread_id: str, reason: StopReason) -> None:
        for turn in self._turns_of(thread_id):
            turn.stop(reason)
            await turn.ended()

    async def _begin(self, accepted: Accepted, context: RequestContext) -> Turn:
        if self.is_closing:
            raise ServerStopping
        new = NewTurn(
            id=new_id("turn"),
            thread_id=accepted.thread.id,
            kind=accepted.kind,
            request_id=context.request_id,
            frame_id=context.frame_id,
            user_item_id=accepted.user_item_id,
            model=accepted.model or self._model,
        )
        await self._turns.start(
            new,
            context,
            new_thread=accepted.thread if accepted.is_new_thread else None,
            items=accepted.items,
            replace_after=accepted.replace_after,
            choice=accepted.choice,
        )
        turn = Turn(new.id, accepted, context, self._store, self._turns, self._settings)
        self._run(turn)
        return turn

    def _run(self, turn: Turn) -> None:
        self._running[turn.id] = turn
        task = asyncio.create_task(turn.run(), name=turn.id)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._forget(turn, task))
        if self.is_closing:  # the process was asked to stop while the message was saved
            turn.stop("shutdown")

    def _forget(self, turn: Turn, task: asyncio.Task[None]) -> None:
        self._running.pop(turn.id, None)
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("request %s: turn %s broke", turn.context.request_id, turn.id, exc_info=error)
