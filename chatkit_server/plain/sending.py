"""Start the turn of a plain message, once per idempotency key."""

import hashlib
from dataclasses import dataclass

from chatkit_store import DuplicateRequest, RequestKey, TurnRecord
from chatkit_store.text import plain_text

from ..context import RequestContext
from ..errors.http import InvalidParams, KeyReused
from ..services import Services
from ..turns.accept import Accepted, accept
from ..turns.live_turn import LiveTurn
from .message import Message

KEY_LENGTH = 255
KEY_SECONDS = 24 * 3600.0
"""How long a key is remembered."""


@dataclass(frozen=True)
class EndedTurn:
    """The turn of an earlier, equal request; it has ended, and its answer is in the database."""

    id: str
    thread_id: str


async def send(
    message: Message, services: Services, context: RequestContext, *, key: str | None, is_detached: bool
) -> LiveTurn | EndedTurn:
    """Start the turn of the message, or return the turn that this user's `key` has already started.

    With `is_detached`, the turn keeps running when its client disconnects. Raises `InvalidParams` for an invalid key,
    `KeyReused` if the key came with a different message, and what `accept` and `Turns.start` raise.
    """
    if key is not None and not 0 < len(key) <= KEY_LENGTH:
        raise InvalidParams(f"An idempotency key has 1 to {KEY_LENGTH} characters.")
    request = message.request()
    accepted_ids: list[str | None] = []

    async def accept_message() -> Accepted:
        accepted = await accept(request, services.server, context)
        accepted_ids.append(accepted.user_item_id)
        return accepted

    request_key = None if key is None else _request_key(key, context)
    turn: LiveTurn | EndedTurn
    try:
        turn = await services.turns.start(accept_message, message.thread_id, context, key=request_key)
        if is_detached:
            turn.detach()
        if request_key is None:
            return turn
        record = await services.turn_store.load(turn.id, context)
    except DuplicateRequest as duplicate:
        record = await services.turn_store.load(duplicate.turn_id, context)
        turn = EndedTurn(record.id, record.thread_id)
    if record.user_item_id not in accepted_ids:
        await _check_message(message, record, services, context)
    return turn


def _request_key(key: str, context: RequestContext) -> RequestKey:
    digest = hashlib.sha256(b"idempotency\0%b\0%b" % (context.user_id.encode(), key.encode("utf-8", "surrogatepass")))
    return RequestKey(digest.hexdigest(), KEY_SECONDS, ended_seconds=KEY_SECONDS)


async def _check_message(message: Message, record: TurnRecord, services: Services, context: RequestContext) -> None:
    """Raise `KeyReused` for a different message: the client would get the answer to another question unnoticed."""
    if record.user_item_id is None:
        raise KeyReused
    item = await services.store.load_item(record.thread_id, record.user_item_id, context)
    if plain_text(item) != message.message.replace("\0", ""):  # databases cannot store it
        raise KeyReused
