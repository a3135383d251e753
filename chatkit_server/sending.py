"""From a plain client's message to its turn; the same message, sent twice with one idempotency key, is one turn."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from store import TurnRecord
from store.text import plain_text

from .accept import Accepted, accept
from .context import RequestContext
from .errors import InvalidParams, KeyReused
from .message import Message
from .services import Services
from .turn import Turn
from .turns import Turns

KEY_HEADER = "idempotency-key"
KEY_LENGTH = 255


@dataclass(frozen=True)
class EndedTurn:
    """The turn of the same message, which is over: its answer lies in SQL."""

    id: str
    thread_id: str


async def send(
    message: Message, services: Services, context: RequestContext, *, key: str | None, is_detached: bool
) -> Turn | EndedTurn:
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

    turn = await _start_once(accept_message, message.thread_id, services, context, key)
    if isinstance(turn, Turn):
        turn.is_detached = turn.is_detached or is_detached
        if key is None:
            return turn
    record = await services.turn_store.load(turn if isinstance(turn, str) else turn.id, context)
    if record.user_item_id not in made:
        await _check_message(message, record, services, context)
    return EndedTurn(record.id, record.thread_id) if isinstance(turn, str) else turn


async def _check_message(message: Message, record: TurnRecord, services: Services, context: RequestContext) -> None:
    """A client whose keys are not unique would get the answers to other questions without noticing."""
    if record.user_item_id is None:
        raise KeyReused
    said = await services.store.load_item(record.thread_id, record.user_item_id, context)
    if plain_text(said) != message.message.replace("\0", ""):  # which no database can keep
        raise KeyReused


@dataclass
class _Once:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    turn_id: str | None = None


_STARTED: WeakKeyDictionary[Turns, dict[tuple[str, str], _Once]] = WeakKeyDictionary()


async def _start_once(
    accept_message: Callable[[], Awaitable[Accepted]],
    thread_id: str | None,
    services: Services,
    context: RequestContext,
    key: str | None,
) -> Turn | str:
    """The turn, or the id of the ended one that the key started."""
    if key is None:
        return await services.turns.start(accept_message, thread_id, context)
    once = _STARTED.setdefault(services.turns, {}).setdefault((context.user_id, key), _Once())
    async with once.lock:
        if once.turn_id is not None:
            return services.turns.find(once.turn_id, context) or once.turn_id
        turn = await services.turns.start(accept_message, thread_id, context)
        once.turn_id = turn.id
        return turn
