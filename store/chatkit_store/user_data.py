"""Delete what a user leaves behind besides threads, for administrators who have to forget somebody."""

from sqlalchemy import Connection, Table, delete
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.database import Database
from chatkit_store.owner import Owner, owned, owner_values
from chatkit_store.tables import attachments, chat_sessions, deleted_turns, imported_threads

_TABLES: tuple[Table, ...] = (attachments, chat_sessions, deleted_turns, imported_threads)
"""The tables with rows of a user that are not a part of a thread."""


class UserDataStore:
    """Deletes rows of one user, whoever asks for it: only for administrators."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def delete(self, owner: Owner) -> None:
        """Delete the user's unsent files, client secrets, and what limits and imports remember of their threads.

        Their threads are deleted by `SqlStore.delete_thread`, before this, which counts what they had for the limits.
        """
        values = owner_values(owner)

        def work(connection: Connection) -> None:
            for statement in _DELETIONS:
                connection.execute(statement, values)

        await self._database.write(work, owner)


_DELETIONS = [delete(table).where(owned(table)) for table in _TABLES]
