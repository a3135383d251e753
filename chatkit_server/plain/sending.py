"""From a plain client's message to its turn; the same message, sent twice with one idempotency key, is one turn."""

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

KEY_HEADER = "idempotency-key"
KEY_LENGTH = 255
KEY_SECONDS = 24 * 3600.0
"""For how long a key stands for its message."""


@dataclass(frozen=True)
class EndedTurn:
    """The turn of the same message, which is over: its answer lies in SQL."""

    id: str
    thread_id: str


async def send(
    message: Message, services: Services, context: RequestContext, *, key: str | None, is_detached: bool
) -> LiveTurn | EndedTurn:
    """Starts the turn of the message, or finds it where this user's `key` has started one already.

    Raises what `accept` and `Turns.start` raise, `InvalidParams` for a key that cannot be one, `KeyReused` where
    another message came with it.
    """
    if key is not None and not 0 < len(key) <= KEY_LENGTH:
        raise InvalidParams(f"An idempotency key has 1 to {KEY_LENGTH} characters.")
    request = message.request()
    made: list[str | None] = []

    async def accept_message() -> Accepted:
        accepted = await accept(request, services.server, context)
        made.append(accepted.user_item_id)
        return accepted

    same = None if key is None else _request_key(key, context)
    turn: LiveTurn | EndedTurn
    try:
        turn = await services.turns.start(accept_message, message.thread_id, context, key=same)
        if is_detached:
            turn.detach()
        if same is None:
            return turn
        record = await services.turn_store.load(turn.id, context)
    except DuplicateRequest as duplicate:
        record = await services.turn_store.load(duplicate.turn_id, context)
        turn = EndedTurn(record.id, record.thread_id)
    if record.user_item_id not in made:
        await _check_message(message, record, services, context)
    return turn


def _request_key(key: str, context: RequestContext) -> RequestKey:
    told = hashlib.sha256(b"idempotency\0%b\0%b" % (context.user_id.encode(), key.encode("utf-8", "surrogatepass")))
    return RequestKey(told.hexdigest(), KEY_SECONDS, ended_seconds=KEY_SECONDS)


async def _check_message(message: Message, record: TurnRecord, services: Services, context: RequestContext) -> None:
    """A client whose keys are not unique would get the answers to other questions without noticing."""
    if record.user_item_id is None:
        raise KeyReused
    said = await services.store.load_item(record.thread_id, record.user_item_id, context)
    if plain_text(said) != message.message.replace("\0", ""):  # which no database can keep
        raise KeyReused
