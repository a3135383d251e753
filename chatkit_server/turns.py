"""All turns of this process: starting one, finding one, stopping one, ending all."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from store import NewTurn, SqlStore, TurnStore, new_id

from .accept import Accepted
from .context import RequestContext
from .errors import ServerStopping
from .turn import StopReason, Turn

logger = logging.getLogger(__name__)


class Turns:
    """One turn runs per thread (T16); a second request stops the first, whose partial answer is kept."""

    def __init__(self, store: SqlStore[RequestContext], turns: TurnStore, stop_seconds: float, model: str) -> None:
        self._store = store
        self._turns = turns
        self._stop_seconds = stop_seconds
        self._model = model
        self._running: dict[str, Turn] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._closing = False

    async def start(self, accepted: Accepted, context: RequestContext) -> Turn:
        """Saves what was accepted and starts the turn in a task of its own.

        When this returns, the user's message is committed. Raises `ServerStopping`, or what the store raises.
        """
        thread_id = accepted.thread.id
        async with self.alone(thread_id, "superseded"):
            if self._closing:
                raise ServerStopping
            turn = await self._begin(accepted, context)
            self._run(turn)
        return turn

    def find(self, turn_id: str, context: RequestContext) -> Turn | None:
        """The running turn of this user with that id, None where there is none."""
        turn = self._running.get(turn_id)
        return turn if turn is not None and turn.context.user_id == context.user_id else None

    @asynccontextmanager
    async def alone(self, thread_id: str, reason: StopReason) -> AsyncIterator[None]:
        """Stops what runs on the thread, waits until it is saved, and lets no other turn start inside."""
        async with self._locks.setdefault(thread_id, asyncio.Lock()):
            for turn in [turn for turn in self._running.values() if turn.thread.id == thread_id]:
                turn.stop(reason)
                await turn.ended()
            yield

    def interrupt(self) -> None:
        """Takes no new turns and stops the running ones as interrupted. Returns at once; `close` waits for them."""
        self._closing = True
        for turn in list(self._running.values()):
            turn.stop("shutdown")

    async def close(self) -> None:
        """As `interrupt`, and waits until all turns are saved."""
        self.interrupt()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _begin(self, accepted: Accepted, context: RequestContext) -> Turn:
        new = NewTurn(
            id=new_id("turn"),
            thread_id=accepted.thread.id,
            kind=accepted.kind,
            request_id=context.request_id,
            frame_id=context.frame_id,
            user_item_id=accepted.user_item_id,
            model=self._model,
        )
        await self._turns.start(
            new,
            context,
            new_thread=accepted.thread if accepted.is_new_thread else None,
            items=accepted.items,
            replace_after=accepted.replace_after,
        )
        return Turn(new.id, accepted, context, self._store, self._turns, self._stop_seconds)

    def _run(self, turn: Turn) -> None:
        self._running[turn.id] = turn
        task = asyncio.create_task(turn.run(), name=turn.id)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._forget(turn, task))
        if self._closing:  # the process was asked to stop while the message was saved
            turn.stop("shutdown")

    def _forget(self, turn: Turn, task: asyncio.Task[None]) -> None:
        self._running.pop(turn.id, None)
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("request %s: turn %s broke", turn.context.request_id, turn.id, exc_info=error)
