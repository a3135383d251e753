"""Track uploads: the states of rows in `attachments` until a message contains them.

`pending` → `uploading` → `stored`. Each step is one UPDATE on condition of the previous state, so it happens once.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from chatkit.types import Attachment
from pydantic import TypeAdapter
from sqlalchemy import BigInteger, Connection, bindparam, case, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import limits
from chatkit_store.acting import ALL_USERS, for_all_users
from chatkit_store.attachments import to_row, write
from chatkit_store.columns import dump_json
from chatkit_store.database import Database
from chatkit_store.errors import LimitReached, NotFound, TooManyUnsent
from chatkit_store.owner import HasUser, checked, owned, owner_values
from chatkit_store.tables import attachments, threads

UploadStatus = Literal["pending", "uploading", "stored"]

_adapter: TypeAdapter[Attachment] = TypeAdapter(Attachment)

NEWEST = 300
"""How many unsent files are examined for those of new users, beyond the limit of these."""
PART = 500

a = attachments.c


@dataclass(frozen=True)
class Upload:
    """A row of `attachments`; `size` in bytes, as announced by the client until stored, then as measured."""

    attachment: Attachment
    status: UploadStatus
    size: int | None


class UploadStore:
    """The uploads of `context.user_id`. Raises `NotFound` for another user's, and errors as `SqlStore` does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def add(
        self,
        attachment: Attachment,
        context: HasUser,
        *,
        size: int | None,
        limit: int,
        newcomers: int | None = None,
        since: datetime | None = None,
        owner_bytes: int | None = None,
    ) -> bool:
        """Add a pending row; return False, having written nothing, if the user has `limit` unsent files.

        `newcomers` limits the files of all users without a thread among the newest unsent ones that were added after
        `since`: a new user costs a stranger nothing. Raises `TooManyUnsent` beyond it, for such a user.
        `owner_bytes` limits all files of the user, sent ones and generated images included. Raises `LimitReached`.
        """
        row = to_row(attachment, context) | {"status": "pending", "size": size}

        def work(connection: Connection) -> bool:
            if owner_bytes is not None:
                limits.lock_owner(connection, self._database.dialect, context)
            if newcomers is not None and not connection.scalar(_HAS_THREAD, owner_values(context)):
                values = {"since": since, "newest": NEWEST + newcomers}
                with for_all_users(connection):
                    unsent = connection.scalar(_COUNT_NEWCOMERS, values) or 0
                if unsent >= newcomers:
                    raise TooManyUnsent
            connection.execute(insert(attachments), row)
            if owner_bytes is not None and (connection.scalar(_SUM, owner_values(context)) or 0) > owner_bytes:
                raise LimitReached("file_bytes", owner_bytes, None)
            if (connection.scalar(_COUNT_UNSENT, owner_values(context)) or 0) <= limit:
                return True
            connection.execute(_FORGET, {"attachment": attachment.id, **owner_values(context)})
            return False

        return await self._database.write(work, context)

    async def keep(self, attachment: Attachment, size: int, context: HasUser) -> None:
        """Add or update a stored file of a thread that was not uploaded, such as a generated image.

        Raises `NotFound` if the thread is not the user's, `IdClash` for another user's id.
        """
        row, dialect = to_row(attachment, context), self._database.dialect
        values = {"attachment": attachment.id, **owner_values(context), "size": size}

        def work(connection: Connection) -> None:
            write(connection, dialect, row, context)
            connection.execute(_SIZE, values)

        await self._database.write(work, context)

    async def load(self, attachment_id: str, context: HasUser) -> Upload:
        """Return one upload, in any state. Raises `NotFound`."""
        values = {"attachment": attachment_id, **owner_values(context)}
        row = await self._database.read(lambda c: c.execute(_LOAD, values).one_or_none(), context)
        if row is None:
            raise NotFound("Attachment", attachment_id)
        return Upload(_adapter.validate_json(row.payload), row.status, row.size)

    async def claim(self, attachment_id: str, context: HasUser) -> bool:
        """Change `pending` to `uploading`; return False if it is not pending."""
        return await self._step(_CLAIM, {"attachment": attachment_id}, context)

    async def unsent_bytes(self) -> int:
        """Return the size of the unsent files of all users, without pending ones; visits all their rows, in parts."""
        after, total = datetime.min.replace(tzinfo=UTC), 0
        while True:
            part = await self._database.read(partial(_read_part, after=after), ALL_USERS)
            total += part.size or 0
            if part.files < PART:
                return total
            after = part.last

    async def finish(self, attachment: Attachment, size: int, context: HasUser) -> bool:
        """Change `uploading` to `stored` and save the file's real properties; return False if it was deleted."""
        values = {
            "attachment": attachment.id,
            "size": size,
            "name": attachment.name,
            "mime_type": attachment.mime_type,
            "payload": dump_json(attachment),
        }
        return await self._step(_FINISH, values, context)

    async def release(self, attachment_id: str, context: HasUser) -> bool:
        """Change `uploading` back to `pending` after a failed upload; return False if it is not uploading."""
        return await self._step(_RELEASE, {"attachment": attachment_id}, context)

    async def forget(self, attachment_id: str, context: HasUser) -> bool:
        """Delete the row of an unsent file; return False if a message contains it or it does not exist."""
        return await self._step(_FORGET, {"attachment": attachment_id}, context)

    async def drop(self, attachment_id: str, context: HasUser) -> bool:
        """Delete the row of any file; return False if it does not exist."""
        return await self._step(_DROP, {"attachment": attachment_id}, context)

    async def sizes(self, ids: Collection[str], context: HasUser) -> dict[str, int | None]:
        """Return the sizes of those `ids` that are the user's, in any state; None if the size is unknown."""
        values = {"ids": list(ids), **owner_values(context)}
        return {
            row.id: row.size for row in await self._database.read(lambda c: c.execute(_SIZES, values).all(), context)
        }

    async def stored(self, ids: Collection[str], context: HasUser) -> set[str]:
        """Return those `ids` that are stored files and the user's."""
        values = {"ids": list(ids), **owner_values(context)}
        return set(await self._database.read(lambda c: c.scalars(_STORED, values).all(), context))

    async def delete_unsent(self, before: datetime) -> list[str]:
        """Delete the rows of unsent files of all users that were added before a time; return their ids."""
        values = {"before": before}
        return list(await self._database.write(lambda c: c.scalars(_DELETE_UNSENT, values).all(), ALL_USERS))

    async def list_unsent(self, before: datetime) -> list[str]:
        """Return the ids that `delete_unsent` would delete."""
        values = {"before": before}
        return list(await self._database.read(lambda c: c.scalars(_LIST_UNSENT, values).all(), ALL_USERS))

    async def existing(self, ids: Collection[str]) -> set[str]:
        """Return those `ids` that have a row, of any user."""
        values = {"ids": list(ids)}
        return set(await self._database.read(lambda c: c.scalars(_EXISTING, values).all(), ALL_USERS))

    async def _step(self, statement: Any, values: dict[str, Any], context: HasUser) -> bool:
        values = values | owner_values(context)
        return await self._database.write(lambda c: c.scalar(statement, values), context) is not None


def _read_part(connection: Connection, after: datetime) -> Any:
    return connection.execute(_UNSENT_PART, {"after": after}).one()


_ONE = (a.id == bindparam("attachment"), owned(attachments))
_LOAD = select(a.payload, a.status, a.size).where(*_ONE)
_COUNT_UNSENT = select(func.count()).select_from(attachments).where(owned(attachments), a.thread_id.is_(None))
_SUM = select(func.sum(a.size)).where(owned(attachments))
_HAS_THREAD = select(exists().where(owned(threads)))
_NEWEST_UNSENT = (
    select(a.tenant, a.user_id)
    .where(a.thread_id.is_(None), a.created_at > bindparam("since", type_=a.created_at.type))
    .order_by(a.created_at.desc())
    .limit(bindparam("newest", type_=BigInteger))
    .subquery()
)
_COUNT_NEWCOMERS = (
    select(func.count())
    .select_from(_NEWEST_UNSENT)
    .where(~exists().where(threads.c.user_id == _NEWEST_UNSENT.c.user_id, threads.c.tenant == _NEWEST_UNSENT.c.tenant))
)
_PART = (
    select(case((a.status == "pending", 0), else_=a.size).label("size"), a.created_at)
    .where(a.thread_id.is_(None), a.created_at > bindparam("after", type_=a.created_at.type))
    .order_by(a.created_at)
    .limit(PART)
    .subquery()
)
_UNSENT_PART = select(
    func.count().label("files"), func.sum(_PART.c.size).label("size"), func.max(_PART.c.created_at).label("last")
)
_SIZE = update(attachments).where(*_ONE).values(size=bindparam("size"))
_CLAIM = update(attachments).where(*_ONE, a.status == "pending").values(status="uploading").returning(a.id)
_FINISH = (
    update(attachments)
    .where(*_ONE, a.status == "uploading")
    .values(
        status="stored",
        size=bindparam("size"),
        name=bindparam("name"),
        mime_type=bindparam("mime_type"),
        payload=bindparam("payload"),
    )
    .returning(a.id)
)
_RELEASE = update(attachments).where(*_ONE, a.status == "uploading").values(status="pending").returning(a.id)
_DROP = delete(attachments).where(*_ONE).returning(a.id)
_FORGET = _DROP.where(a.thread_id.is_(None))
_UNSENT = (a.thread_id.is_(None), a.created_at < bindparam("before", type_=a.created_at.type))
_DELETE_UNSENT = delete(attachments).where(*_UNSENT).returning(a.id)
_LIST_UNSENT = select(a.id).where(*_UNSENT)
_SIZES = select(a.id, a.size).where(a.id.in_(bindparam("ids", expanding=True)), checked(attachments))
_STORED = select(a.id).where(a.id.in_(bindparam("ids", expanding=True)), checked(attachments), a.status == "stored")
_EXISTING = select(a.id).where(a.id.in_(bindparam("ids", expanding=True)))
