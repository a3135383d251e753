"""Attachments and their rows. What they contain lies elsewhere."""

from datetime import UTC, datetime
from typing import Any

from chatkit.types import Attachment
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from store.columns import dump_json
from store.database import Database
from store.errors import IdClash, NotFound
from store.items import take_positions
from store.owner import HasUser, owned
from store.tables import attachments

_adapter: TypeAdapter[Attachment] = TypeAdapter(Attachment)

a = attachments.c


def to_row(attachment: Attachment, context: HasUser) -> dict[str, Any]:
    """The attachment's columns."""
    return {
        "id": attachment.id,
        "user_id": context.user_id,
        "thread_id": attachment.thread_id,
        "name": attachment.name,
        "mime_type": attachment.mime_type,
        "payload": dump_json(attachment),
        "created_at": datetime.now(UTC),
    }


async def write(connection: AsyncConnection, database: Database, attachment: Attachment, context: HasUser) -> None:
    """Insert or update; see `SqlStore.save_attachment`."""
    if attachment.thread_id is not None:
        await take_positions(connection, attachment.thread_id, 0, context)
    insert = database.insert(attachments).values(to_row(attachment, context))
    changed = {name: insert.excluded[name] for name in ("thread_id", "name", "mime_type", "payload")}
    upsert = insert.on_conflict_do_update(index_elements=[a.id], set_=changed, where=owned(attachments, context))
    if await connection.scalar(upsert.returning(a.id)) is None:
        raise IdClash("Attachment", attachment.id)


async def load(connection: AsyncConnection, attachment_id: str, context: HasUser) -> Attachment:
    """Read one; raises `NotFound`, also for one that this version cannot read."""
    query = select(a.payload).where(a.id == attachment_id, owned(attachments, context))
    payload = await connection.scalar(query)
    try:
        if payload is not None:
            return _adapter.validate_json(payload)
    except ValidationError as error:
        raise NotFound("Attachment", attachment_id) from error
    raise NotFound("Attachment", attachment_id)


def deletion(attachment_id: str, context: HasUser) -> Any:
    """The statement that deletes one and returns its id."""
    return delete(attachments).where(a.id == attachment_id, owned(attachments, context)).returning(a.id)
