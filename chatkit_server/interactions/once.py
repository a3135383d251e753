"""Run an action once although it arrives twice: a double click, a click in two tabs, a repeated post.

A streaming action is a turn: the second request finds the first one's turn by its key. A non-streaming action
has no turn: the first one's answer is kept in the table `sync_actions`. Both ways share the key and the window.
docs/decisions/0004-two-ways-to-run-an-action-once.md has the reasons.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chatkit.types import ThreadCustomActionParams

from chatkit_store import (
    RequestKey,
    StoreError,
    StoreUnavailable,
    SyncActionStatus,
    SyncActionStore,
    SyncAnswer,
    SyncRun,
    new_id,
)

from ..context import RequestContext
from ..errors.http import ActionRunning, ServerError
from ..errors.log_format import redacted_traceback
from ..errors.mapping import to_server_error

logger = logging.getLogger(__name__)

Work = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True)
class OnceLimits:
    """Time limits in seconds."""

    window: float = 1.0
    """A repeat is a double click when it comes this soon after the first one began. A double click takes half a second
    on a desktop, plus network delays; a user who means to click again first looks at the result."""
    wait: float = 30.0
    """How long a repeat waits for the first one's answer. Proxies cut off requests after a minute."""
    poll: float = 0.05
    """Pause between two checks for that answer."""
    save: float = 5.0
    """How long saving an answer is retried while the database fails. The first click waits for this."""
    save_retry: float = 0.5
    """Pause between two attempts to save."""


class RepeatedFailure(ServerError):
    """The error that the first of two equal actions failed with."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def action_key(params: ThreadCustomActionParams, context: RequestContext) -> str:
    """Return the fingerprint of owner, thread, widget, type and payload; it ignores the frame and the order of keys."""
    action = params.action
    identity = [*context.owner, params.thread_id, params.item_id, action.type, action.payload]
    return hashlib.sha256(b"action\0" + json.dumps(identity, sort_keys=True).encode()).hexdigest()


class OnceRunner:
    """Runs the non-streaming actions of one worker, each once, and makes the keys of streaming actions."""

    def __init__(self, store: SyncActionStore, worker_id: str, limits: OnceLimits | None = None) -> None:
        self._store = store
        self._worker_id = worker_id
        self._limits = limits or OnceLimits()
        self._running: set[str] = set()  # the ids of this worker's runs

    def turn_key(self, params: ThreadCustomActionParams, turn_seconds: float, context: RequestContext) -> RequestKey:
        """Return the key of a streaming action's turn; `turn_seconds` is the longest that a turn may run."""
        return RequestKey(action_key(params, context), turn_seconds, ended_seconds=self._limits.window)

    async def do_once(self, params: ThreadCustomActionParams, work: Work, context: RequestContext) -> bytes:
        """Return the JSON from `work`, or the answer of an equal action that is running or has just run.

        Raises what `work` raises, as a `ServerError`; the same error if the equal action failed; `ActionRunning` if
        that one takes too long.
        """
        run = SyncRun(new_id("act"), action_key(params, context), params.thread_id, self._worker_id)
        self._running.add(run.id)
        try:
            return await self._run_or_join(run, work, context)
        finally:
            self._running.discard(run.id)

    async def _run_or_join(self, run: SyncRun, work: Work, context: RequestContext) -> bytes:
        deadline = asyncio.get_running_loop().time() + self._limits.wait
        while (first := await self._begin(run, context)) is not None:
            ended = await self._wait_for_end(first, run.key, deadline, context)
            if ended is not None:
                return _answer_of(ended)
        return await self._run(run, work, context)

    async def _begin(self, run: SyncRun, context: RequestContext) -> SyncAnswer | None:
        try:
            return await self._store.begin(run, self._limits.window, context)
        except StoreUnavailable:  # the row may have been written, and only the reply lost: remove it
            await self._save(lambda: self._store.forget(run.key, run.id, context))
            raise

    async def _wait_for_end(
        self, first: SyncAnswer, key: str, deadline: float, context: RequestContext
    ) -> SyncAnswer | None:
        """Return how the first run ended, or None if no worker runs it any longer. Raises `ActionRunning`."""
        current: SyncAnswer | None = first
        while current is not None and current.status == "running":
            if asyncio.get_running_loop().time() > deadline:
                raise ActionRunning
            if current.worker_id != self._worker_id or current.run_id in self._running:
                await asyncio.sleep(self._limits.poll)
            elif await self._store.forget(key, current.run_id, context):  # ran here, but its end could not be saved
                return None
            current = await self._store.load(key, first.run_id, context)
        return current

    async def _run(self, run: SyncRun, work: Work, context: RequestContext) -> bytes:
        try:
            answer = await work()
        except BaseException as error:  # a handler may await a task that was cancelled
            failure = to_server_error(error)
            fields = {"status": failure.status, "code": failure.code, "message": failure.message}
            await self._end(run, "failed", json.dumps(fields), context)
            if _is_handler_failure(error):
                raise failure from None  # its cause is in the log
            raise
        await self._end(run, "done", answer.decode(), context)
        return answer

    async def _end(self, run: SyncRun, status: SyncActionStatus, answer: str, context: RequestContext) -> None:
        await self._save(lambda: self._store.end(run, status, answer, context))

    async def _save(self, write: Callable[[], Awaitable[object]]) -> None:
        """Retry `write` for a while. If it never succeeds, only log it: the first click still gets its answer, and
        repeats at other workers wait until they time out."""
        now = asyncio.get_running_loop().time
        deadline = now() + self._limits.save
        while True:
            try:
                await write()
                return
            except StoreError as error:
                if now() > deadline:
                    logger.error("the result of an action could not be saved\n%s", redacted_traceback(error))
                    return
            await asyncio.sleep(self._limits.save_retry)


def _answer_of(ended: SyncAnswer) -> bytes:
    answer = ended.answer or "{}"
    if ended.status == "failed":
        raise RepeatedFailure(**json.loads(answer))
    return answer.encode()


def _is_handler_failure(error: BaseException) -> bool:
    """Return whether the handler failed; False if this task itself is being cancelled."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return isinstance(error, Exception)
