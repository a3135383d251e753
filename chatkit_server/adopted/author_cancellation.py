"""`handle_stream_cancelled` of an author's server, for turns that are stopped before they end."""

import logging
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.types import ThreadMetadata, ThreadStreamEvent

from ..errors.log_format import redacted_traceback
from ..events.fold import TurnItems
from .author_call import AuthorCall

logger = logging.getLogger(__name__)


class AuthorCancellation:
    """Keeps the items that are not done yet, and gives them to the author's method. chatkit's own does nothing here:
    the turn saves what was written so far, and tells the model."""

    def __init__(self, author: ChatKitServer[Any]) -> None:
        self._author = author
        is_own = type(author).handle_stream_cancelled is not ChatKitServer.handle_stream_cancelled
        self._items = TurnItems() if is_own else None

    def note(self, event: ThreadStreamEvent) -> None:
        """Note an event of the author's."""
        if self._items is not None:
            self._items.apply(event)

    async def tell(self, thread: ThreadMetadata, call: AuthorCall) -> None:
        """Call the author's method, if it has one. Its errors are logged: the turn ends anyway."""
        if self._items is None:
            return
        call.is_cancelled = True
        try:
            await self._author.handle_stream_cancelled(thread, list(self._items.open), call.author_context)
        except Exception as error:  # the author's code may raise anything
            logger.warning("handle_stream_cancelled failed\n%s", redacted_traceback(error))
