"""Images that the model makes: from `data:` URLs in events to blobs with a reference, before anything is saved (T23).

It does not matter who sent the event: the model by our conversion, by the SDK's own, or a tool. Each image has a row in
`attachments`, bound to its thread; what comes of it in parts takes the place of the part before.
"""

import base64
import binascii
import contextlib
import hashlib
from typing import Any

import filetype  # type: ignore[import-untyped]  # 1.2 ships no types
from chatkit.types import (
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ImageAttachment,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
)

from chatkit_store import Blobs, BlobsUnavailable, UploadStore

from ..context import RequestContext
from ..errors.http import InvalidFile
from .file_types import IMAGES
from .signed_links import download_reference

ImageEvent = ThreadItemAddedEvent | ThreadItemDoneEvent | ThreadItemReplacedEvent | ThreadItemUpdatedEvent


def inline_image(event: ThreadStreamEvent) -> GeneratedImage | None:
    """The image in the event whose bytes stand in its URL; None for nearly every event."""
    image = None
    if isinstance(event, ThreadItemUpdatedEvent):
        image = event.update.image if type(event.update) is GeneratedImageUpdated else None
    elif isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent | ThreadItemReplacedEvent):
        image = event.item.image if isinstance(event.item, GeneratedImageItem) else None
    return image if image is not None and image.url.startswith("data:") else None


class GeneratedImages:
    """Keeps images of turns."""

    def __init__(self, uploads: UploadStore, blobs: Blobs) -> None:
        self._uploads = uploads
        self._blobs = blobs

    async def store(self, event: Any, image: GeneratedImage, thread: ThreadMetadata, context: RequestContext) -> Any:
        """A copy of the event that refers to the stored image.

        Raises `InvalidFile` for what is no picture, `store.NotFound` where the thread was deleted, a `StoreError`.
        """
        item_id = event.item_id if isinstance(event, ThreadItemUpdatedEvent) else event.item.id
        data = _decoded(image.url)
        kept = _attachment(item_id, thread, data)
        await self._uploads.keep(kept, len(data), context)  # before its bytes: those without a row are pruned
        await self._blobs.put(kept.id, data)
        # Each part has a URL of its own, so that a browser loads it anew.
        url = f"{download_reference(kept.id)}.{hashlib.blake2b(data, digest_size=4).hexdigest()}"
        return _with_image(event, image.model_copy(update={"url": url}))

    async def delete(self, item_id: str, thread: ThreadMetadata, context: RequestContext) -> None:
        """Deletes the item's image, if it has one: the item was taken back. Raises a `StoreError`."""
        attachment_id = _attachment_id(item_id, thread)
        if await self._uploads.drop(attachment_id, context):
            with contextlib.suppress(BlobsUnavailable):  # bytes without a row are pruned
                await self._blobs.delete(attachment_id)


def _decoded(url: str) -> bytes:
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise InvalidFile("The model sent a picture that cannot be read. Please retry.") from error


def _attachment(item_id: str, thread: ThreadMetadata, data: bytes) -> ImageAttachment:
    mime_type = filetype.guess_mime(data)
    if mime_type not in IMAGES:
        raise InvalidFile("The model sent a picture that cannot be read. Please retry.")
    attachment_id = _attachment_id(item_id, thread)
    return ImageAttachment(
        id=attachment_id,
        name=f"image.{mime_type.partition('/')[2]}",
        mime_type=mime_type,
        preview_url=download_reference(attachment_id),
        thread_id=thread.id,
    )


def _attachment_id(item_id: str, thread: ThreadMetadata) -> str:
    """The same for every part of an image: it follows from the id of its item."""
    return f"atc_{hashlib.blake2b(f'{thread.id} {item_id}'.encode(), digest_size=16).hexdigest()}"


def _with_image(event: ImageEvent, image: GeneratedImage) -> ImageEvent:
    if isinstance(event, ThreadItemUpdatedEvent):
        return event.model_copy(update={"update": event.update.model_copy(update={"image": image})})
    return event.model_copy(update={"item": event.item.model_copy(update={"image": image})})
