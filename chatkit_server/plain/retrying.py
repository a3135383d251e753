"""Answer the message of an ended turn again, as Retry does in the widget."""

from chatkit.types import ThreadRetryAfterItemParams, ThreadsRetryAfterItemReq, UserMessageItem

from chatkit_store import TurnRecord

from ..context import RequestContext
from ..errors.failures import failure_of_ended_turn
from ..errors.http import NotRetryable
from ..services import Services
from ..turns.accept import Accepted, accept

RETRYABLE = frozenset({"failed", "interrupted", "stopped"})
"""The statuses of turns that may be retried explicitly."""


def can_restart(record: TurnRecord) -> bool:
    """Return whether the turn ended in a way that repeating its request can help: not for a wrong API key."""
    error = failure_of_ended_turn(record.status, record.error_code)
    return error is not None and error.allow_retry


async def latest_answer(record: TurnRecord, services: Services, context: RequestContext) -> TurnRecord:
    """Return the last turn of the thread if it answers the same message as this one, else this one."""
    (last,) = await services.turn_store.list(context, record.thread_id, limit=1)
    return last if record.user_item_id is not None and last.user_item_id == record.user_item_id else record


async def accept_retry(record: TurnRecord, services: Services, context: RequestContext) -> Accepted:
    """Accept a retry of the turn. What follows the thread's last user message is replaced, as by the widget's Retry.

    Raises `NotRetryable` unless the turn has ended without a complete answer and is the last one of its thread.
    """
    # Read before the check: if another message comes in between, the start of the turn notices it.
    recent = await services.store.load_since_user(record.thread_id, context)
    (last,) = await services.turn_store.list(context, record.thread_id, limit=1)
    message = next((item for item in recent.items if isinstance(item, UserMessageItem)), None)
    if last.id != record.id or last.status not in RETRYABLE or message is None:
        raise NotRetryable
    params = ThreadRetryAfterItemParams(thread_id=record.thread_id, item_id=message.id)
    accepted = await accept(ThreadsRetryAfterItemReq(params=params), services.server, context)
    accepted.seen_position = recent.position
    return accepted
