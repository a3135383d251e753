"""Recover the turns of a dead worker: save their partial answers, and close them as interrupted."""

import contextlib
import logging
from functools import partial

from chatkit.store import NotFoundError
from chatkit.types import ThreadItem, UserMessageItem

from chatkit_store import JournalStore, SqlStore, TurnEnd, TurnRecord, TurnStore
from chatkit_store.turns import RETRY

from ..context import RequestContext
from ..errors.http import AnswerInterrupted
from ..errors.log_format import redacted_traceback
from ..events.decode import decode_event
from ..events.fold import TurnItems, is_empty, is_thought, settle
from ..interactions.notice_card import failure_notice
from .turn_end import finish_anyway

logger = logging.getLogger(__name__)


async def recover(record: TurnRecord, store: SqlStore[RequestContext], turns: TurnStore, journal: JournalStore) -> None:
    """Close a turn that this worker has adopted, and save its open items as far as its journal has them.

    The transcript stays as the journal wrote it last. A retry that has shown nothing but thoughts is undone: the old
    answer comes back. A turn that has ended meanwhile is left alone. Do not call this twice at once for one turn.
    Raises `StoreUnavailable`.
    """
    context = RequestContext(**record.owner._asdict(), request_id=record.request_id)
    if (await turns.load(record.id, context)).status != "running":
        return
    items = await _fold_journal(record.id, journal, context)
    # The journal lags behind the rows by up to a batch, so it may show an item as open whose row is already finished.
    # That row is complete and newer than the journal: save only items without a row, or with one that is still open.
    saved = await store.saved_ids(record.thread_id, [item.id for item in items.open], context)
    kept_items = [settle(item) for item in items.open if not is_empty(item) and saved.get(item.id, True)]
    restore = record.kind == RETRY and not _is_answered([*items.finished.values(), *kept_items])
    finish = partial(
        turns.finish,
        record.id,
        TurnEnd(status="interrupted", stop_reason="crash"),
        context,
        restore_replaced=restore,
        keep_transcript=not restore,
        worker_id=record.worker_id,
        notifies=True,
    )
    notice = failure_notice(AnswerInterrupted(), record.id, record.thread_id, record.user_item_id)
    ended = await finish_anyway(finish, [notice] if restore else [*kept_items, notice])
    if ended and restore:
        for item_id in items.finished:
            with contextlib.suppress(NotFoundError):
                await store.delete_thread_item(record.thread_id, item_id, context)
    if ended:
        logger.warning("turn %s was closed as interrupted: its worker died or could not save its end", record.id)


async def _fold_journal(turn_id: str, journal: JournalStore, context: RequestContext) -> TurnItems:
    items = TurnItems()
    for entry in (await journal.read(turn_id, 0, context)).entries:
        try:
            items.apply(decode_event(entry.payload))
        except Exception as error:  # perhaps a newer version wrote it; keep the others
            cause = redacted_traceback(error)
            logger.warning("turn %s: event %s of its journal cannot be decoded\n%s", turn_id, entry.seq, cause)
    return items


def _is_answered(items: list[ThreadItem]) -> bool:
    return any(not isinstance(item, UserMessageItem) and not is_thought(item) for item in items)
