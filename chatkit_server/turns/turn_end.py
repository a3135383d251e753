"""Close a turn's row even if some items cannot be saved: a row that stays `running` would block its thread. And what a
reader gets of the turn who is late."""

import logging
from collections.abc import Awaitable, Sequence
from typing import Protocol

from chatkit.store import NotFoundError
from chatkit.types import ThreadItem, ThreadItemDoneEvent

from chatkit_store import SqlStore, StoreError, StoreUnavailable

from ..context import RequestContext
from ..errors.log_format import redacted_traceback
from ..events.frames import serialize
from .turn_log import LoadDone

logger = logging.getLogger(__name__)


class Finish(Protocol):
    """`TurnStore.finish`, with all arguments but the items bound."""

    def __call__(self, *, items: Sequence[ThreadItem]) -> Awaitable[bool]:
        """End the turn with these items."""


async def finish_anyway(finish: Finish, items: Sequence[ThreadItem]) -> bool:
    """End the turn with `items`, except those that the database refuses, such as one whose id another thread has.

    Returns what `finish` returns. Raises `StoreUnavailable`; a retry may then save all of them.
    """
    try:
        return await finish(items=items)
    except StoreUnavailable:
        raise
    except StoreError as error:
        logger.error("an item could not be saved at the end of its turn\n%s", redacted_traceback(error))
    ended = await finish(items=[])
    for item in items if ended else []:
        try:
            await finish(items=[item])
        except StoreUnavailable:
            raise
        except StoreError:
            logger.error("item %s was lost at the end of its turn: the database refused it", item.id)
    return ended


def done_loader(store: SqlStore[RequestContext], thread_id: str, context: RequestContext) -> LoadDone:
    """Return what loads, for a late reader, the event that says that an item of an ended turn is done."""

    async def load(item_id: str) -> bytes:
        try:
            return serialize(ThreadItemDoneEvent(item=await store.load_item(thread_id, item_id, context)))
        except NotFoundError:  # deleted, with its thread or by a retry
            return b""

    return load
