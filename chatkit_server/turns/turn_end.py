"""Close a turn's row even if some items cannot be saved: a row that stays `running` would block its thread."""

import logging
from collections.abc import Awaitable, Sequence
from typing import Protocol

from chatkit.types import ThreadItem

from chatkit_store import StoreError, StoreUnavailable

from ..errors.log_format import redacted_traceback

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
