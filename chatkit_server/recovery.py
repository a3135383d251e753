"""Closing what a dead worker left running: its partial answers are saved, and its turns are interrupted."""

import contextlib
import logging

from chatkit.store import NotFoundError
from chatkit.types import ThreadItem, UserMessageItem

from store import JournalStore, SqlStore, TurnRecord, TurnStore

from .context import RequestContext
from .decoding import decode_event
from .fold import TurnItems, is_empty, is_thought, settle

logger = logging.getLogger(__name__)

RETRY = "threads.retry_after_item"


async def recover(record: TurnRecord, store: SqlStore[RequestContext], turns: TurnStore, journal: JournalStore) -> None:
    """Ends a turn that this worker has adopted: what its journal says of open items is saved, as far as they got.

    What a retry had replaced comes back where the retry had shown nothing but thoughts. Raises what the store raises.
    """
    context = RequestContext(user_id=record.user_id, request_id=record.request_id)
    items = await _fold_journal(record.id, journal, context)
    # A row that is not open any more is of an item that was finished in the last moment before the crash.
    saved = await store.saved_ids(record.thread_id, [item.id for item in items.open], context)
    partial = [settle(item) for item in items.open if not is_empty(item) and saved.get(item.id, True)]
    restore = record.kind == RETRY and not _is_answered([*items.finished.values(), *partial])
    ended = await turns.finish(
        record.id,
        context,
        status="interrupted",
        stop_reason="crash",
        items=[] if restore else partial,
        restore_replaced=restore,
        worker_id=record.worker_id,
    )
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
        except ValueError:  # a newer version wrote it; the others are worth having
            logger.warning("turn %s: event %s of its journal is unknown to this version", turn_id, entry.seq)
    return items


def _is_answered(shown: list[ThreadItem]) -> bool:
    return any(not isinstance(item, UserMessageItem) and not is_thought(item) for item in shown)
