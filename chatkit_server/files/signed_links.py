"""References inside, URLs at the door.

A row never holds the URL of a file: it would expire there, and an inline picture would make it huge (trap T23). It
holds `attachment:<id>`, with `.<version>` where the bytes may change, and `attachment-upload:<id>` where they are still
to come. When JSON leaves the server, each of these becomes a URL that is signed for this user and good for a while; a
preview becomes a `data:` URL, because Chromium blocks pictures of localhost in the widget's frame.
"""

import asyncio
import base64
import re
from typing import Literal
from urllib.parse import quote

from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import AnyUrl

from chatkit_store import BlobMissing, Blobs, BlobsUnavailable, UploadStore

from ..auth import Secret
from ..context import RequestContext
from ..errors.http import LinkExpired

Purpose = Literal["download", "upload"]

REFERENCE_MARK = b'":"attachment'
"""What every reference has in it as JSON. Text cannot: its quotes are escaped."""

_REFERENCE = re.compile(rb'"(url|preview_url)":"(attachment|attachment-upload):(atc_[0-9a-f]{32})(?:\.([0-9a-f]{8}))?"')
_IMAGE = re.compile(r"attachment:(atc_[0-9a-f]{32})(?:\.[0-9a-f]{8})?")


def download_reference(attachment_id: str) -> AnyUrl:
    """What a row holds in the place of a file's URL."""
    return AnyUrl(f"attachment:{attachment_id}")


def upload_reference(attachment_id: str) -> AnyUrl:
    """The same for the URL that takes the file's bytes."""
    return AnyUrl(f"attachment-upload:{attachment_id}")


def preview_key(attachment_id: str) -> str:
    """Where the small picture of an image lies."""
    return f"{attachment_id}.preview"


class SignedLinks:
    """Makes and checks the URLs of files."""

    def __init__(
        self, secret: Secret, uploads: UploadStore, blobs: Blobs, *, public_url: str | None, seconds: int
    ) -> None:
        self._signers: dict[Purpose, URLSafeTimedSerializer] = {
            "download": URLSafeTimedSerializer(secret, salt="chatkit-download"),
            "upload": URLSafeTimedSerializer(secret, salt="chatkit-upload"),
        }
        self._uploads = uploads
        self._blobs = blobs
        self._public_url = public_url
        self._seconds = seconds

    def make(self, purpose: Purpose, attachment_id: str, user_id: str, base_url: str, version: str = "") -> str:
        """A URL that does this one thing with this one file, for `CHATKIT_LINK_SECONDS`; another version is another
        URL for a browser's cache, and the same to us."""
        token = self._signers[purpose].dumps([attachment_id, user_id])
        base = (self._public_url or base_url).rstrip("/")
        return f"{base}/api/attachments/{attachment_id}/content?token={quote(str(token))}{version and '&v='}{version}"

    def for_provider(self, url: str, user_id: str) -> str | None:
        """A URL of a row by which a model's provider can load the image; None where it could not reach us."""
        if (match := _IMAGE.fullmatch(url)) is None:
            return url if url.startswith("https:") else None
        if self._public_url is None or not self._public_url.startswith("https:"):
            return None
        return self.make("download", match[1], user_id, self._public_url)

    def verify(self, purpose: Purpose, attachment_id: str, token: str) -> str:
        """Whose URL it is. Raises `LinkExpired` for one that is too old, altered, or for something else."""
        try:
            signed_id, user_id = self._signers[purpose].loads(token, max_age=self._seconds)
        except (BadData, TypeError, ValueError) as error:
            raise LinkExpired from error
        if signed_id != attachment_id or not isinstance(user_id, str):
            raise LinkExpired
        return user_id

    async def resolve(self, body: bytes, context: RequestContext, base_url: str) -> bytes:
        """The JSON or the frames with a URL in the place of each reference."""
        if REFERENCE_MARK not in body:
            return body
        found = dict.fromkeys(match.groups() for match in _REFERENCE.finditer(body))
        previews = await self._previews({parts[2].decode() for parts in found if parts[0] == b"preview_url"}, context)

        def url(match: re.Match[bytes]) -> bytes:
            field, scheme, attachment_id = match[1], match[2], match[3].decode()
            if field == b"preview_url" and attachment_id in previews:
                return b'"%b":"%b"' % (field, previews[attachment_id])
            purpose: Purpose = "upload" if scheme == b"attachment-upload" else "download"
            version = (match[4] or b"").decode()
            made = self.make(purpose, attachment_id, context.user_id, base_url, version)
            return b'"%b":"%b"' % (field, made.encode())

        return _REFERENCE.sub(url, body)

    async def _previews(self, attachment_ids: set[str], context: RequestContext) -> dict[str, bytes]:
        """The small pictures, as far as there are any. Only the user's own: a client may have written the reference."""
        own = sorted(await self._uploads.stored(attachment_ids, context)) if attachment_ids else []
        found = await asyncio.gather(*(self._preview(attachment_id) for attachment_id in own))
        return {attachment_id: preview for attachment_id, preview in zip(own, found, strict=True) if preview}

    async def _preview(self, attachment_id: str) -> bytes | None:
        try:
            return b"data:image/webp;base64," + base64.b64encode(await self._blobs.get(preview_key(attachment_id)))
        except (BlobMissing, BlobsUnavailable):  # a conversation is readable without its pictures
            return None
