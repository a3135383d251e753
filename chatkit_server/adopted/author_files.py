"""The attachment store of an author, behind our operations."""

from collections.abc import Awaitable, Callable
from typing import Any

from chatkit.store import AttachmentStore
from chatkit.types import Attachment, AttachmentCreateParams

from ..context import RequestContext
from .author_call import AuthorCall, calling
from .author_links import AuthorLinks
from .author_store import original_class


class AuthorFiles(AttachmentStore[RequestContext]):
    """Calls the author's attachment store with the author's context."""

    def __init__(
        self,
        author: AttachmentStore[Any],
        links: AuthorLinks,
        call_for: Callable[[RequestContext], Awaitable[AuthorCall]],
    ) -> None:
        self.author = author
        self._links = links
        self._call_for = call_for

    async def create_attachment(self, input: AttachmentCreateParams, context: RequestContext) -> Attachment:
        """Return the author's attachment; its URLs at this server are signed for the user."""
        with calling(await self._call_for(context)) as call:
            attachment = await self.author.create_attachment(input, call.author_context)
        return self._links.sign(attachment, context.owner, context.connection)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete the bytes."""
        # Not the object's own method: if the server's store is the same object, that is ours.
        delete = original_class(self.author).delete_attachment
        with calling(await self._call_for(context)) as call:
            await delete(self.author, attachment_id, call.author_context)
