"""Run an action once although it arrives twice: a double click, a click in two tabs, a repeated post."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable

from chatkit.types import ThreadCustomActionParams

from chatkit_store import StoreError, StoreUnavailable, SyncActionStatus, SyncActionStore, SyncAnswer, SyncRun, new_id

from ..context import RequestContext
from ..errors.http import ActionRunning, ServerError, describe
from ..errors.log_format import describe_cause

logger = logging.getLogger(__name__)


WAIT_SECONDS = 30.0
"""For how long the second waits: proxies cut off what takes a minute."""
LOOK_SECONDS = 0.05
"""Between two looks whether the first has its answer."""
NOTE_SECONDS = 5.0
"""For how long a database that fails is asked again to note an end, while the first waits for its answer."""
RETRY_SECONDS = 0.5

Work = Callable[[], Awaitable[bytes]]


class SameFailure(ServerError):
    """The error that the same action has failed with a moment ago."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Joining:
    """Does the sync actions of one worker, and knows which those are."""

    def __init__(self, actions: SyncActionStore, worker_id: str) -> None:
        self._actions = actions
        self._worker_id = worker_id
        self._running: set[str] = set()

    async def do_once(self, key: str, thread_id: str, work: Work, context: RequestContext) -> bytes:
        """The JSON that `work` answers with, or that the action with the same `key` was answered with by whoever came
        first.

        Raises what `work` raises, as a `ServerError`; the same, with the same words, where the first has failed;
        `ActionRunning` where the first takes too long.
        """
        run = SyncRun(new_id("act"), key, thread_id, self._worker_id)
        self._running.add(run.id)
        try:
            return await self._do_or_join(run, work, context)
        finally:
            self._running.discard(run.id)

    async def _do_or_join(self, run: SyncRun, work: Work, context: RequestContext) -> bytes:
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while (first := await self._begin(run, context)) is not None:
            ended = await self._end_of(first, run.key, deadline, context)
            if ended is not None:
                return _answer_of(ended)
        return await self._do(run, work, context)

    async def _begin(self, run: SyncRun, context: RequestContext) -> SyncAnswer | None:
        try:
            return await self._actions.begin(run, SAME_ACTION_SECONDS, context)
        except StoreUnavailable:  # perhaps it was written, and only the word of it was lost
            await self._note(lambda: self._actions.forget(run.key, run.id, context), context)
            raise

    async def _end_of(self, first: SyncAnswer, key: str, deadline: float, context: RequestContext) -> SyncAnswer | None:
        """The first one's end; None where nobody does it any more. Raises `ActionRunning`."""
        now: SyncAnswer | None = first
        while now is not None and now.status == "running":
            if asyncio.get_running_loop().time() > deadline:
                raise ActionRunning
            if now.worker_id != self._worker_id or now.run_id in self._running:
                await asyncio.sleep(LOOK_SECONDS)
            elif await self._actions.forget(key, now.run_id, context):  # it was ours, and its end could not be noted
                return None
            now = await self._actions.load(key, first.run_id, context)
        return now

    async def _do(self, run: SyncRun, work: Work, context: RequestContext) -> bytes:
        try:
            answer = await work()
        except BaseException as error:  # a handler may await a task that was cancelled
            failure = describe(error, context.request_id)
            told = {"status": failure.status, "code": failure.code, "message": failure.message}
            await self._end(run, "failed", json.dumps(told), context)
            if _is_of_the_handler(error):
                raise failure from None  # its cause is in the log
            raise
        await self._end(run, "done", answer.decode(), context)
        return answer

    async def _end(self, run: SyncRun, status: SyncActionStatus, answer: str, context: RequestContext) -> None:
        await self._note(lambda: self._actions.end(run, status, answer, context), context)

    async def _note(self, write: Callable[[], Awaitable[object]], context: RequestContext) -> None:
        """Without it clicks at other workers wait in vain, which is no reason to keep the answer from the first."""
        now = asyncio.get_running_loop().time
        deadline = now() + NOTE_SECONDS
        while True:
            try:
                await write()
                return
            except StoreError as error:
                if now() > deadline:
                    cause = describe_cause(error)
                    logger.error("request %s: the end of an action is not noted\n%s", context.request_id, cause)
                    return
            await asyncio.sleep(RETRY_SECONDS)


def _answer_of(ended: SyncAnswer) -> bytes:
    told = ended.answer or "{}"
    if ended.status == "failed":
        raise SameFailure(**json.loads(told))
    return told.encode()


def _is_of_the_handler(error: BaseException) -> bool:
    """Whether the handler failed, and nobody wants this task to end."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return isinstance(error, Exception)


SAME_ACTION_SECONDS = 1.0
"""So soon after the first one began, a second one is a double click, which takes half a second on a desktop, and some
more where the first was slow to get here. Who means to click twice looks at what came of it, and takes longer."""


def action_key(params: ThreadCustomActionParams, context: RequestContext) -> str:
    """A fingerprint of who does what where, whatever the frame and the order of the payload's keys."""
    action = params.action
    told = [context.user_id, params.thread_id, params.item_id, action.type, action.payload]
    return hashlib.sha256(b"action\0" + json.dumps(told, sort_keys=True).encode()).hexdigest()
