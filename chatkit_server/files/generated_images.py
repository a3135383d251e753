"""Store the images that a model generates, and put references into their events before anything is saved.

Events carry images as `data:` URLs, whether they come from our conversion, from the SDK's, or from a tool. Saved like
that, each row would hold megabytes. Each image gets a row in `attachments` that belongs to its thread; a partial image
is overwritten by the next one.
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
    """Return the event's image if its URL is a `data:` URL; None for nearly every event."""
    image = None
    if isinstance(event, ThreadItemUpdatedEvent):
        image = event.update.image if type(event.update) is GeneratedImageUpdated else None
    elif isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent | ThreadItemReplacedEvent):
        image = event.item.image if isinstance(event.item, GeneratedImageItem) else None
    return image if image is not None and image.url.startswith("data:") else None


class GeneratedImages:
    """Stores the images that turns generate."""

    def __init__(self, uploads: UploadStore, blobs: Blobs) -> None:
        self._uploads = uploads
        self._blobs = blobs

    async def store(self, event: Any, image: GeneratedImage, thread: ThreadMetadata, context: RequestContext) -> Any:
        """Store the image and return a copy of the event that refers to it.

        Raises `InvalidFile` if it is not an image, `chatkit_store.NotFound` if the thread was deleted, `StoreError`.
        """
        item_id = event.item_id if isinstance(event, ThreadItemUpdatedEvent) else event.item.id
        data = _decode(image.url)
        attachment = _attachment(item_id, thread, data)
        await self._uploads.keep(attachment, len(data), context)  # the row first: bytes without one are pruned
        await self._blobs.put(attachment.id, data)
        # Each part has its own URL, so that browsers do not show the previous one from their cache.
        url = f"{download_reference(attachment.id)}.{hashlib.blake2b(data, digest_size=4).hexdigest()}"
        return _with_image(event, image.model_copy(update={"url": url}))

    async def delete(self, item_id: str, thread: ThreadMetadata, context: RequestContext) -> None:
        """Delete the image of an item that was removed, if it has one. Raises `StoreError`."""
        attachment_id = _attachment_id(item_id, thread)
        if await self._uploads.drop(attachment_id, context):
            with contextlib.suppress(BlobsUnavailable):  # the pruner deletes bytes without a row
                await self._blobs.delete(attachment_id)


def _decode(url: str) -> bytes:
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise InvalidFile("The model sent an image that cannot be read. Please retry.") from error


def _attachment(item_id: str, thread: ThreadMetadata, data: bytes) -> ImageAttachment:
    mime_type = filetype.guess_mime(data)
    if mime_type not in IMAGES:
        raise InvalidFile("The model sent an image that cannot be read. Please retry.")
    attachment_id = _attachment_id(item_id, thread)
    return ImageAttachment(
        id=attachment_id,
        name=f"image.{mime_type.partition('/')[2]}",
        mime_type=mime_type,
        preview_url=download_reference(attachment_id),
        thread_id=thread.id,
    )


def _attachment_id(item_id: str, thread: ThreadMetadata) -> str:
    """Derive the id from the item's, so that all parts of an image share one attachment."""
    return f"atc_{hashlib.blake2b(f'{thread.id} {item_id}'.encode(), digest_size=16).hexdigest()}"


def _with_image(event: ImageEvent, image: GeneratedImage) -> ImageEvent:
    if isinstance(event, ThreadItemUpdatedEvent):
        return event.model_copy(update={"update": event.update.model_copy(update={"image": image})})
    return event.model_copy(update={"item": event.item.model_copy(update={"image": image})})
