"""Load, for a late reader, what the log of an ended turn does not keep."""

from chatkit.store import NotFoundError
from chatkit.types import ThreadItemDoneEvent

from chatkit_store import SqlStore

from ..context import RequestContext
from ..events.frames import serialize
from .turn_log import LoadDone


def done_loader(store: SqlStore[RequestContext], thread_id: str, context: RequestContext) -> LoadDone:
    """Return what loads the event that says that an item of an ended turn is done."""

    async def load(item_id: str) -> bytes:
        try:
            return serialize(ThreadItemDoneEvent(item=await store.load_item(thread_id, item_id, context)))
        except NotFoundError:  # deleted, with its thread or by a retry
            return b""

    return load
