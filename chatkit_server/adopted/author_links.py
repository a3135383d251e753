"""Signed URLs to an author's own upload and download routes.

The widget's iframe uploads and shows files without cookies or an Authorization header. So the URL says for whom: it is
signed for a file and its owner. Only URLs of this server are signed; those of others, such as S3, are left alone.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from chatkit.types import Attachment, ImageAttachment
from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import AnyUrl
from starlette.requests import HTTPConnection

from chatkit_store import Owner

PARAMETER = "chatkit_token"
"""The query parameter with the signature."""


class AuthorLinks:
    """Signs URLs of files, and reads who may use them.

    The signature does not expire: the preview's URL is saved with the message, as the author's own URL would be.
    """

    def __init__(self, keys: Sequence[str], public_url: str | None) -> None:
        self._signer = URLSafeTimedSerializer(keys, salt="chatkit-author-file")
        self._public_origin = _origin(public_url) if public_url else None

    def sign(self, attachment: Attachment, owner: Owner, request: HTTPConnection | None) -> Attachment:
        """Return the attachment with signed URLs."""
        changes: dict[str, object] = {}
        if (descriptor := attachment.upload_descriptor) is not None:
            url = self._signed(descriptor.url, attachment.id, owner, request)
            changes["upload_descriptor"] = descriptor.model_copy(update={"url": url})
        if isinstance(attachment, ImageAttachment):
            changes["preview_url"] = self._signed(attachment.preview_url, attachment.id, owner, request)
        return attachment.model_copy(update=changes)

    def owner_of(self, request: HTTPConnection, attachment_id: str) -> Owner | None:
        """Return whom the request's URL was signed for, if it was signed for this file."""
        try:
            signed_id, tenant, user_id = self._signer.loads(request.query_params.get(PARAMETER, ""))
        except (BadData, TypeError, ValueError):
            return None
        if signed_id != attachment_id or not (isinstance(tenant, str) and isinstance(user_id, str)):
            return None
        return Owner(tenant, user_id)

    def _signed(self, url: AnyUrl, attachment_id: str, owner: Owner, request: HTTPConnection | None) -> AnyUrl:
        text = str(url)
        own_origins = {self._public_origin, _origin(str(request.base_url)) if request is not None else None}
        if _origin(text) not in own_origins or f"{PARAMETER}=" in text:
            return url
        token = self._signer.dumps([attachment_id, *owner])
        base, mark, fragment = text.partition("#")
        return AnyUrl(f"{base}{'&' if '?' in base else '?'}{PARAMETER}={token}{mark}{fragment}")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
