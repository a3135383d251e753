"""A subclass of `ChatServer` with its own constructor."""

from pathlib import Path
from typing import Any

from chatkit.store import AttachmentStore
from chatkit.types import Attachment, AttachmentCreateParams

from chatkit_server import ChatServer, RequestContext
from tests.serving import serve


class OwnAttachments(AttachmentStore[RequestContext]):
    """An attachment store of a user."""

    async def create_attachment(self, input: AttachmentCreateParams, context: RequestContext) -> Attachment:
        raise NotImplementedError

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        raise NotImplementedError


class OwnServer(ChatServer):
    """Passes all arguments on, and sets an attachment store."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.attachment_store = OwnAttachments()


async def test_an_attachment_store_of_a_subclass_takes_precedence(tmp_path: Path) -> None:
    async with serve(tmp_path, server=OwnServer, attachments=True) as served:
        assert served.services.attachments is not None
        assert isinstance(served.services.server.attachment_store, OwnAttachments)


async def test_without_one_the_server_has_the_configured_attachment_store(tmp_path: Path) -> None:
    async with serve(tmp_path, attachments=True) as served:
        assert served.services.server.attachment_store is served.services.attachments
    async with serve(tmp_path, attachments=False) as served:
        assert served.services.server.attachment_store is None
