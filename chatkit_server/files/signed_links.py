"""Rows store `attachment:` references; responses get signed URLs.

A URL in a row would expire, and an inline image would make the row huge (T23). A row therefore stores
`attachment:<id>`, followed by `.<version>` if the bytes may change, or `attachment-upload:<id>` if they are not
uploaded yet. When JSON leaves the server, each reference becomes a URL that is signed for the user and expires. A
preview becomes a `data:` URL, because Chromium blocks images from localhost in the widget's iframe.
"""

import asyncio
import base64
import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote

from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import AnyUrl

from chatkit_store import BlobMissing, Blobs, BlobsUnavailable, Owner, UploadStore

from ..context import RequestContext
from ..errors.http import LinkExpired

Purpose = Literal["download", "upload"]

REFERENCE_MARK = b'":"attachment'
"""Part of every reference in JSON, and of nothing else: in text, the quotes are escaped."""

_REFERENCE = re.compile(rb'"(url|preview_url)":"(attachment|attachment-upload):(atc_[0-9a-f]{32})(?:\.([0-9a-f]{8}))?"')
_IMAGE = re.compile(r"attachment:(atc_[0-9a-f]{32})(?:\.[0-9a-f]{8})?")


def download_reference(attachment_id: str) -> AnyUrl:
    """Return what a row stores instead of the URL of a file."""
    return AnyUrl(f"attachment:{attachment_id}")


def upload_reference(attachment_id: str) -> AnyUrl:
    """Return what a row stores instead of the URL to which the file is uploaded."""
    return AnyUrl(f"attachment-upload:{attachment_id}")


def preview_key(attachment_id: str) -> str:
    """Return the blob key of an image's preview."""
    return f"{attachment_id}.preview"


class SignedLinks:
    """Creates and verifies the URLs of files; each is valid for `seconds`."""

    def __init__(
        self, keys: Sequence[str], uploads: UploadStore, blobs: Blobs, *, public_url: str | None, seconds: int
    ) -> None:
        self._signers: dict[Purpose, URLSafeTimedSerializer] = {
            "download": URLSafeTimedSerializer(keys, salt="chatkit-download"),
            "upload": URLSafeTimedSerializer(keys, salt="chatkit-upload"),
        }
        self._uploads = uploads
        self._blobs = blobs
        self._public_url = public_url
        self._seconds = seconds

    def make(self, purpose: Purpose, attachment_id: str, owner: Owner, base_url: str, version: str = "") -> str:
        """Return a URL for one purpose, file and owner. `version` only makes browsers load changed bytes again."""
        token = self._signers[purpose].dumps([attachment_id, *owner])
        base = (self._public_url or base_url).rstrip("/")
        return f"{base}/api/attachments/{attachment_id}/content?token={quote(str(token))}{version and '&v='}{version}"

    def for_provider(self, url: str, owner: Owner) -> str | None:
        """Return a URL of the image for the model's provider, or None if the provider cannot reach this server."""
        if (match := _IMAGE.fullmatch(url)) is None:
            return url if url.startswith("https:") else None
        if self._public_url is None or not self._public_url.startswith("https:"):
            return None
        return self.make("download", match[1], owner, self._public_url)

    def verify(self, purpose: Purpose, attachment_id: str, token: str) -> Owner:
        """Return the owner for whom the token was signed.

        Raises `LinkExpired` if it is too old, altered, or signed for another purpose or file.
        """
        try:
            signed_id, tenant, user_id = self._signers[purpose].loads(token, max_age=self._seconds)
        except (BadData, TypeError, ValueError) as error:
            raise LinkExpired from error
        if signed_id != attachment_id or not (isinstance(tenant, str) and isinstance(user_id, str)):
            raise LinkExpired
        return Owner(tenant, user_id)

    async def resolve(self, body: bytes, context: RequestContext, base_url: str) -> bytes:
        """Replace each reference in JSON or SSE frames by a URL."""
        if REFERENCE_MARK not in body:
            return body
        preview_ids = {match[3].decode() for match in _REFERENCE.finditer(body) if match[1] == b"preview_url"}
        previews = await self._load_previews(preview_ids, context)

        def url(match: re.Match[bytes]) -> bytes:
            field, scheme, attachment_id = match[1], match[2], match[3].decode()
            if field == b"preview_url" and attachment_id in previews:
                return b'"%b":"%b"' % (field, previews[attachment_id])
            purpose: Purpose = "upload" if scheme == b"attachment-upload" else "download"
            version = (match[4] or b"").decode()
            link = self.make(purpose, attachment_id, context.owner, base_url, version)
            return b'"%b":"%b"' % (field, link.encode())

        return _REFERENCE.sub(url, body)

    async def _load_previews(self, attachment_ids: set[str], context: RequestContext) -> dict[str, bytes]:
        """Return the existing previews by id. Only of the user's own files: a client may have forged the reference."""
        own_ids = sorted(await self._uploads.stored(attachment_ids, context)) if attachment_ids else []
        previews = await asyncio.gather(*(self._load_preview(attachment_id) for attachment_id in own_ids))
        return {attachment_id: preview for attachment_id, preview in zip(own_ids, previews, strict=True) if preview}

    async def _load_preview(self, attachment_id: str) -> bytes | None:
        try:
            return b"data:image/webp;base64," + base64.b64encode(await self._blobs.get(preview_key(attachment_id)))
        except (BlobMissing, BlobsUnavailable):  # the thread is readable without its previews
            return None
