"""Convert attachments to rows and back, and bind them to threads. Their bytes are stored elsewhere (`blobs`)."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from chatkit.types import Attachment, ThreadItem, UserMessageItem
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, bindparam, delete, or_, select, update

from chatkit_store.columns import dump_json, load_json
from chatkit_store.database import Database, insert_into
from chatkit_store.errors import IdClash, NotFound
from chatkit_store.items import take_positions
from chatkit_store.owner import HasUser, owned, owner_columns, owner_values
from chatkit_store.tables import attachments

_adapter: TypeAdapter[Attachment] = TypeAdapter(Attachment)

a = attachments.c


def to_row(attachment: Attachment, context: HasUser) -> dict[str, Any]:
    """Return the attachment's columns."""
    return {
        "id": attachment.id,
        **owner_columns(context),
        "thread_id": attachment.thread_id,
        "name": attachment.name,
        "mime_type": attachment.mime_type,
        "status": "stored" if attachment.upload_descriptor is None else "pending",
        "payload": dump_json(attachment),
        "created_at": datetime.now(UTC),
    }


def write(connection: Connection, dialect: str, row: dict[str, Any], context: HasUser) -> None:
    """Insert or update a row. Raises `IdClash` if another user has its id, `NotFound` for another user's thread."""
    if row["thread_id"] is not None:
        take_positions(connection, row["thread_id"], 0, context)
    if connection.scalar(_upsert(dialect), row | owner_values(context)) is None:
        raise IdClash("Attachment", row["id"])


@cache
def _upsert(dialect: str) -> Any:
    insert = insert_into(attachments, dialect)
    changed = {name: insert.excluded[name] for name in ("thread_id", "name", "mime_type", "status", "payload")}
    return insert.on_conflict_do_update(index_elements=[a.id], set_=changed, where=owned(attachments)).returning(a.id)


def ids_in(items: Iterable[ThreadItem]) -> list[str]:
    """Return the ids of all attachments of user messages, sorted so that concurrent calls cannot deadlock."""
    messages = (item for item in items if isinstance(item, UserMessageItem))
    return sorted({attachment.id for message in messages for attachment in message.attachments})


def bind(connection: Connection, attachment_ids: Iterable[str], thread_id: str, context: HasUser) -> None:
    """Bind the attachments to the thread for good.

    Raises `NotFound` if one belongs to another thread or user, or is not stored yet.
    """
    for attachment_id in attachment_ids:
        values = {"attachment": attachment_id, "thread": thread_id, **owner_values(context)}
        row = connection.execute(_BIND, values).one_or_none()
        if row is None:
            raise NotFound("Attachment", attachment_id)
        payload = load_json(row.payload)
        if isinstance(payload, dict) and payload.get("thread_id") != thread_id:
            values = {"attachment": attachment_id, **owner_values(context)}
            connection.execute(_UPDATE, {**values, "payload": dump_json(payload | {"thread_id": thread_id})})


def delete_attachment(connection: Connection, attachment_id: str, context: HasUser) -> None:
    """Delete a row. Raises `NotFound`."""
    if connection.scalar(_DELETE, {"attachment": attachment_id, **owner_values(context)}) is None:
        raise NotFound("Attachment", attachment_id)


_ONE = (a.id == bindparam("attachment"), owned(attachments))
_LOAD = select(a.payload).where(*_ONE)
_UPDATE = update(attachments).where(*_ONE)  # sets the columns among the parameters
_BIND = (
    _UPDATE.where(or_(a.thread_id.is_(None), a.thread_id == bindparam("thread")), a.status == "stored")
    .values(thread_id=bindparam("thread"))
    .returning(a.payload)
)

_DELETE = delete(attachments).where(*_ONE).returning(a.id)


async def load(database: Database, attachment_id: str, context: HasUser) -> Attachment:
    """Return one attachment. Raises `NotFound`, also if this version cannot read it."""
    values = {"attachment": attachment_id, **owner_values(context)}
    payload = await database.read(lambda c: c.scalar(_LOAD, values), context)
    try:
        if payload is not None:
            return _adapter.validate_json(payload)
    except ValidationError as error:
        raise NotFound("Attachment", attachment_id) from error
    raise NotFound("Attachment", attachment_id)
