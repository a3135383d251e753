"""A sync action that comes twice is done once, over all workers: the second gets the answer of the first."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from store import StoreError, SyncActionStatus, SyncActionStore, SyncAnswer, SyncRun

from ..causes import describe_cause
from ..context import RequestContext
from ..errors import ActionRunning, ServerError, describe
from .same_action import SAME_ACTION_SECONDS

logger = logging.getLogger(__name__)

WAIT_SECONDS = 30.0
"""For how long the second waits: proxies cut off what takes a minute."""
LOOK_SECONDS = 0.05
"""Between two looks whether the first has its answer."""


class SameFailure(ServerError):
    """The error that the same action has failed with a moment ago."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


async def do_once(
    run: SyncRun, work: Callable[[], Awaitable[bytes]], actions: SyncActionStore, context: RequestContext
) -> bytes:
    """The JSON that `work` answers with, or that the same action was answered with by whoever came first.

    Raises what `work` raises, as a `ServerError`; the same, with the same words, where the first has failed;
    `ActionRunning` where the first takes too long.
    """
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
    while (first := await actions.begin(run, SAME_ACTION_SECONDS, context)) is not None:
        ended = await _end_of(first, run.key, actions, deadline, context)
        if ended is not None:
            return _answer_of(ended)
    return await _do(run, work, actions, context)


async def _end_of(
    first: SyncAnswer, key: str, actions: SyncActionStore, deadline: float, context: RequestContext
) -> SyncAnswer | None:
    """The first one's end; None where its worker died. Raises `ActionRunning`."""
    now: SyncAnswer | None = first
    while now is not None and now.status == "running":
        if asyncio.get_running_loop().time() > deadline:
            raise ActionRunning
        await asyncio.sleep(LOOK_SECONDS)
        now = await actions.load(key, first.run_id, context)
    return now


def _answer_of(ended: SyncAnswer) -> bytes:
    told = ended.answer or "{}"
    if ended.status == "failed":
        raise SameFailure(**json.loads(told))
    return told.encode()


async def _do(
    run: SyncRun, work: Callable[[], Awaitable[bytes]], actions: SyncActionStore, context: RequestContext
) -> bytes:
    try:
        answer = await work()
    except Exception as error:
        failure = describe(error, context.request_id)
        told = {"status": failure.status, "code": failure.code, "message": failure.message}
        await _end(run, "failed", json.dumps(told), actions, context)
        raise failure from None  # its cause is in the log
    await _end(run, "done", answer.decode(), actions, context)
    return answer


async def _end(
    run: SyncRun, status: SyncActionStatus, answer: str, actions: SyncActionStore, context: RequestContext
) -> None:
    """Without it the second one waits in vain, which is no reason to keep the answer from the first."""
    try:
        await actions.end(run, status, answer, context)
    except StoreError as error:
        logger.error("request %s: the end of an action is not noted\n%s", context.request_id, describe_cause(error))
