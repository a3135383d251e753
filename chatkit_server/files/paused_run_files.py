"""Keep file contents out of the saved state of a paused run, and put them back when it resumes.

The Agents SDK (0.24) saves a run with its whole input and all tool outputs, which may contain megabytes of base64.
The saved state refers to the attachment instead. A tool output that contains base64 is moved to a file of its own,
which has a row in `attachments` and is deleted with its thread.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from chatkit.types import FileAttachment

from chatkit_store import BlobMissing, BlobsUnavailable, NotFound

from .user_files import UserFiles, named_unreadable_note, turn_files

ATTACHMENT = "attachment"
"""The type of a message part that refers to an attachment; used in saved runs only."""
STORED_TEXT = "chatkit_kept_text"
"""The only key of an object that stands for a text in a file."""
MISSING_FILE = "[a file, not stored]"

_FILE_FIELDS = ("image_url", "file_data")


async def strip_files(state: Any, thread_id: str) -> Any:
    """Return a copy of the state without the bytes of the turn's files, of generated images, and of tool outputs.

    Raises `chatkit_store.NotFound` if the thread was deleted, `StoreError`.
    """
    return await _strip(state, turn_files.get(), thread_id)


async def _strip(value: Any, files: UserFiles | None, thread_id: str) -> Any:
    match value:
        case {"type": "image_generation_call", "result": str()}:
            return {**value, "result": None}
        case {"type": "input_image" | "input_file"} if files is not None and (attachment_id := _id_of(value, files)):
            return {"type": ATTACHMENT, "id": attachment_id}
        case Mapping():
            return {name: await _strip(entry, files, thread_id) for name, entry in value.items()}
        case list() | tuple():
            return [await _strip(entry, files, thread_id) for entry in value]
        case str() if ";base64," in value:
            return MISSING_FILE if files is None else {STORED_TEXT: await _store_text(value, files, thread_id)}
    return value


def _id_of(part: Mapping[str, Any], files: UserFiles) -> str | None:
    """Return which attachment the message part contains, or None."""
    ids = files.attachment_ids
    return next((ids[part[name]] for name in _FILE_FIELDS if part.get(name) in ids), None)


async def _store_text(text: str, files: UserFiles, thread_id: str) -> str:
    """Store the text in a file, equal texts in the same one, and return its attachment id."""
    data = text.encode()
    digest = hashlib.blake2b(thread_id.encode() + data, digest_size=16).hexdigest()
    attachment = FileAttachment(id=f"atc_{digest}", name="tool output.txt", mime_type="text/plain", thread_id=thread_id)
    await files.uploads.keep(attachment, len(data), files.context)  # the row first: bytes without one are pruned
    await files.blobs.put(attachment.id, data)
    return attachment.id


async def restore_files(state: Any, files: UserFiles) -> Any:
    """Return the state with its files, and a note for each that is gone."""
    match state:
        case {"type": kind, "id": str() as attachment_id} if kind == ATTACHMENT:
            try:
                return await files.load_content(attachment_id)
            except NotFound:
                return named_unreadable_note("a file")
        case Mapping() if isinstance(text_id := state.get(STORED_TEXT), str):
            try:
                await files.uploads.load(text_id, files.context)
                return (await files.blobs.get(text_id)).decode()
            except (NotFound, BlobMissing, BlobsUnavailable):
                return MISSING_FILE
        case Mapping():
            return {name: await restore_files(entry, files) for name, entry in state.items()}
        case list():
            return [await restore_files(entry, files) for entry in state]
    return state
