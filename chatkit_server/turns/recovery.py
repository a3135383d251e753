"""Closing what a dead worker left running: its partial answers are saved, and its turns are interrupted."""

import contextlib
import logging
from functools import partial as partial_function

from chatkit.store import NotFoundError
from chatkit.types import ThreadItem, UserMessageItem

from chatkit_store import JournalStore, SqlStore, TurnEnd, TurnRecord, TurnStore
from chatkit_store.turns import RETRY

from ..context import RequestContext
from ..errors.log_format import redacted_traceback
from ..events.decode import decode_event
from ..events.fold import TurnItems, is_empty, is_thought, settle
from .turn_end import finish_anyway

logger = logging.getLogger(__name__)


async def recover(record: TurnRecord, store: SqlStore[RequestContext], turns: TurnStore, journal: JournalStore) -> None:
    """Ends a turn that this worker has adopted: what its journal says of open items is saved, as far as they got.

    The model's side stays as the journal wrote it last. What a retry had replaced comes back where the retry had shown
    nothing but thoughts. A turn that has ended meanwhile stays as it is. Not for two calls at once on one turn. Raises
    `StoreUnavailable`.
    """
    context = RequestContext(user_id=record.user_id, request_id=record.request_id)
    if (await turns.load(record.id, context)).status != "running":
        return
    items = await _fold_journal(record.id, journal, context)
    # A row that is not open any more is of an item that was finished in the last moment before the crash.
    saved = await store.saved_ids(record.thread_id, [item.id for item in items.open], context)
    partial = [settle(item) for item in items.open if not is_empty(item) and saved.get(item.id, True)]
    restore = record.kind == RETRY and not _is_answered([*items.finished.values(), *partial])
    finish = partial_function(
        turns.finish,
        record.id,
        TurnEnd(status="interrupted", stop_reason="crash"),
        context,
        restore_replaced=restore,
        keep_transcript=not restore,
        worker_id=record.worker_id,
    )
    ended = await finish_anyway(finish, [] if restore else partial)
    if ended and restore:
        for item_id in items.finished:
            with contextlib.suppress(NotFoundError):
                await store.delete_thread_item(record.thread_id, item_id, context)
    logger.warning("turn %s was cut off when its worker died; what it had said is kept", record.id)


async def _fold_journal(turn_id: str, journal: JournalStore, context: RequestContext) -> TurnItems:
    items = TurnItems()
    for entry in (await journal.read(turn_id, 0, context)).entries:
        try:
            items.apply(decode_event(entry.payload))
        except Exception as error:  # a newer version wrote it, perhaps; the others are worth having
            cause = redacted_traceback(error)
            logger.warning("turn %s: event %s of its journal cannot be read\n%s", turn_id, entry.seq, cause)
    return items


def _is_answered(shown: list[ThreadItem]) -> bool:
    return any(not isinstance(item, UserMessageItem) and not is_thought(item) for item in shown)
