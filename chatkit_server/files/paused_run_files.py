"""Files in a run that waits for an approval: out of the state that is saved, and back into the one that goes on.

The Agents SDK (0.24) writes a run with all of its input and of what its tools returned. Bytes have no place in a row
(trap T23): what stands there is which attachment it was, or which file the text with the bytes was put into. Such a
file has a row in `attachments` and goes with its thread.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from chatkit.types import FileAttachment

from chatkit_store import BlobMissing, BlobsUnavailable, NotFound

from .user_files import UserFiles, turn_files, unreadable_text

ATTACHMENT = "attachment"
"""The type of a part of a message that only a saved run has."""
KEPT = "chatkit_kept_text"
"""The only name in what stands for a text that lies in a file."""
GONE = "[a file, which is not kept]"

_BYTES = ("image_url", "file_data")


async def strip_files(state: Any, thread_id: str) -> Any:
    """A copy of the state without bytes: of files that this turn's model was shown, of images that it drew, of what
    tools returned. Raises `store.NotFound` where the thread was deleted, or a `StoreError`."""
    return await _without(state, turn_files.get(), thread_id)


async def _without(value: Any, files: UserFiles | None, thread_id: str) -> Any:
    match value:
        case {"type": "image_generation_call", "result": str()}:
            return {**value, "result": None}
        case {"type": "input_image" | "input_file"} if files is not None and (known := _given(value, files)):
            return {"type": ATTACHMENT, "id": known}
        case Mapping():
            return {name: await _without(entry, files, thread_id) for name, entry in value.items()}
        case list() | tuple():
            return [await _without(entry, files, thread_id) for entry in value]
        case str() if ";base64," in value:
            return GONE if files is None else {KEPT: await _keep(value, files, thread_id)}
    return value


def _given(part: Mapping[str, Any], files: UserFiles) -> str | None:
    """The attachment that the part of a message is."""
    return next((files.given[part[name]] for name in _BYTES if part.get(name) in files.given), None)


async def _keep(text: str, files: UserFiles, thread_id: str) -> str:
    """Puts the text into a file, equal ones into one; its id."""
    data = text.encode()
    digest = hashlib.blake2b(thread_id.encode() + data, digest_size=16).hexdigest()
    kept = FileAttachment(id=f"atc_{digest}", name="tool output.txt", mime_type="text/plain", thread_id=thread_id)
    await files.uploads.keep(kept, len(data), files.context)  # before its bytes: those without a row are pruned
    await files.blobs.put(kept.id, data)
    return kept.id


async def restore_files(state: Any, files: UserFiles) -> Any:
    """The state with the files in it again; a sentence stands for one that is gone."""
    match state:
        case {"type": kind, "id": str() as attachment_id} if kind == ATTACHMENT:
            try:
                return await files.content_of(attachment_id)
            except NotFound:
                return unreadable_text("a file")
        case Mapping() if isinstance(kept_id := state.get(KEPT), str):
            try:
                await files.uploads.load(kept_id, files.context)
                return (await files.blobs.get(kept_id)).decode()
            except (NotFound, BlobMissing, BlobsUnavailable):
                return GONE
        case Mapping():
            return {name: await restore_files(entry, files) for name, entry in state.items()}
        case list():
            return [await restore_files(entry, files) for entry in state]
    return state
