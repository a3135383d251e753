"""Start the turn of a plain message, once per idempotency key."""

import hashlib
import json
from dataclasses import dataclass, replace

from chatkit_store import DuplicateRequest, RequestKey, TurnRecord
from chatkit_store.text import plain_text
from chatkit_store.turns import RETRY

from ..context import RequestContext
from ..errors.http import InvalidParams, KeyReused, ThreadAnswering
from ..limits.fair_queue import Gone
from ..services import Services
from ..turns.accept import Accepted, accept
from ..turns.accept_answers import ANSWERS, accept_answers
from ..turns.live_turn import LiveTurn
from ..turns.turns import Accept
from .message import Message
from .retrying import accept_retry, can_restart, latest_answer
from .waiting import ClientAnswers

KEY_LENGTH = 255
KEY_SECONDS = 24 * 3600.0
"""How long a key is remembered."""


@dataclass(frozen=True)
class EndedTurn:
    """The turn of an earlier, equal request; it has ended, and its answer is in the database."""

    id: str
    thread_id: str


async def send(
    message: Message, services: Services, context: RequestContext, *, key: str | None, is_detached: bool, gone: Gone
) -> LiveTurn | EndedTurn:
    """Start the turn of the message, or return the turn that this user's `key` has already started.

    If that turn was interrupted, or failed in a way that a retry can help, its message is answered again, unless the
    conversation has continued since.

    With `is_detached`, the turn keeps running when its client disconnects. `gone` returns once it has. Raises
    `InvalidParams` for an invalid key, `KeyReused` if the key came with a different message, and what `accept` and
    `Turns.start` raise.
    """
    request = message.request()
    accepted_ids: list[str | None] = []

    async def accept_message() -> Accepted:
        accepted = await accept(request, services.server, context)
        accepted_ids.append(accepted.user_item_id)
        return accepted

    request_key = request_key_of(key, context)
    try:
        turn = await services.turns.start(accept_message, message.thread_id, context, key=request_key, gone=gone)
    except DuplicateRequest as duplicate:
        return await _repeat(
            message, duplicate.turn_id, request_key, services, context, is_detached=is_detached, gone=gone
        )
    if is_detached:
        turn.detach()
    if request_key is not None:
        record = await services.turn_store.load(turn.id, context)
        if record.user_item_id not in accepted_ids:
            await _check_message(message, record, services, context)
    return turn


async def retry(
    turn_id: str, services: Services, context: RequestContext, *, key: str | None, is_detached: bool, gone: Gone
) -> LiveTurn | EndedTurn:
    """Answer the message of an ended turn again, or return the turn that this user's `key` has already started.

    Raises `NotFoundError`, `NotRetryable`, and as `send` does.
    """
    record = await services.turn_store.load(turn_id, context)

    async def accept_again() -> Accepted:
        return await accept_retry(record, services, context)

    return await _continue(record, RETRY, accept_again, services, context, key=key, is_detached=is_detached, gone=gone)


async def answer(
    turn_id: str,
    answers: ClientAnswers,
    services: Services,
    context: RequestContext,
    *,
    key: str | None,
    is_detached: bool,
    gone: Gone,
) -> LiveTurn | EndedTurn:
    """Answer what an ended turn waits for, and return the turn that continues, or that this user's `key` has started.

    Raises `NotFoundError`, `ThreadAnswering` while the turn runs, and as `accept_answers` and `send` do.
    """
    record = await services.turn_store.load(turn_id, context)
    if record.status == "running":
        raise ThreadAnswering
    given = [answer.given() for answer in answers.answers]

    async def accept_all() -> Accepted:
        return await accept_answers(given, record.thread_id, services.server, context)

    return await _continue(record, ANSWERS, accept_all, services, context, key=key, is_detached=is_detached, gone=gone)


async def _continue(
    record: TurnRecord,
    kind: str,
    accept_request: Accept,
    services: Services,
    context: RequestContext,
    *,
    key: str | None,
    is_detached: bool,
    gone: Gone,
) -> LiveTurn | EndedTurn:
    """Start a turn on the thread of an ended one, or return the turn of this kind that the `key` has started."""
    request_key = request_key_of(key, context)
    turn: LiveTurn | EndedTurn
    try:
        turn = await services.turns.start(accept_request, record.thread_id, context, key=request_key, gone=gone)
        if is_detached:
            turn.detach()
    except DuplicateRequest as duplicate:
        turn = EndedTurn(duplicate.turn_id, record.thread_id)
    if request_key is not None:
        await _check_kind(turn.id, kind, record, services, context)
    return turn


async def _repeat(
    message: Message,
    turn_id: str,
    key: RequestKey | None,
    services: Services,
    context: RequestContext,
    *,
    is_detached: bool,
    gone: Gone,
) -> LiveTurn | EndedTurn:
    """Return the answer to a message whose key belongs to an ended turn; start it again if that can help."""
    first = await services.turn_store.load(turn_id, context)
    await _check_message(message, first, services, context)
    latest = await latest_answer(first, services, context)
    if key is None or not can_restart(latest):
        return await services.turns.find(latest.id, context) or EndedTurn(latest.id, latest.thread_id)
    key = replace(key, taken_from=first.id)
    try:
        turn = await services.turns.start(
            lambda: accept_retry(latest, services, context), latest.thread_id, context, key=key, gone=gone
        )
    except DuplicateRequest as duplicate:  # the conversation has continued, or another repeat was faster and has ended
        return EndedTurn(duplicate.turn_id, latest.thread_id)
    if is_detached:
        turn.detach()
    return turn


def request_key_of(key: str | None, context: RequestContext) -> RequestKey | None:
    """Return the key of a turn from an `Idempotency-Key`. Raises `InvalidParams` if it is empty or too long."""
    if key is None:
        return None
    if not 0 < len(key) <= KEY_LENGTH:
        raise InvalidParams(f"An idempotency key has 1 to {KEY_LENGTH} characters.")
    digest = hashlib.sha256(b"idempotency\0" + json.dumps([*context.owner, key]).encode())
    return RequestKey(digest.hexdigest(), KEY_SECONDS, ended_seconds=KEY_SECONDS)


async def _check_kind(turn_id: str, kind: str, record: TurnRecord, services: Services, context: RequestContext) -> None:
    """Raise `KeyReused` if the key has started anything else than a turn of this kind on the thread of `record`."""
    started = await services.turn_store.load(turn_id, context)
    if started.kind != kind or started.thread_id != record.thread_id:
        raise KeyReused


async def _check_message(message: Message, record: TurnRecord, services: Services, context: RequestContext) -> None:
    """Raise `KeyReused` for a different message: the client would get the answer to another question unnoticed."""
    if record.user_item_id is None:
        raise KeyReused
    item = await services.store.load_item(record.thread_id, record.user_item_id, context)
    if plain_text(item) != message.message.replace("\0", ""):  # databases cannot store it
        raise KeyReused
