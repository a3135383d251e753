"""Set limits and schema of PostgreSQL for each session, or for each transaction behind PgBouncer and its like.

A pooler may run each transaction in another session of the server, and lends that to other applications, too: whatever
is set must end with the transaction, and no prepared statement may have a name. Whether there is one is seen at the
first connection: the process that serves it is not the one that it was told when it began.
"""

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import AdaptedConnection, Dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

OPTION = "chatkit_sessions"
"""The execution option of an engine on PostgreSQL, and of its connections."""

_UNNAMED: dict[str, Any] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",  # with it, asyncpg parses again with each execution
}


class Sessions:
    """What an engine sets in its sessions. `is_pooled` is None until the first connection, unless it was given."""

    def __init__(self, values: dict[str, str], schema: str | None, is_pooled: bool | None) -> None:
        self.schema = schema
        self.is_pooled = is_pooled
        self._values = values | ({"search_path": quoted(schema)} if schema is not None else {})

    @property
    def needs_transactions(self) -> bool:
        """Whether a statement outside of a transaction might look into another schema."""
        return self.schema is not None and self.is_pooled is not False

    def listen(self, engine: AsyncEngine) -> None:
        """Prepare all connections of the engine."""
        event.listen(engine.sync_engine, "do_connect", self._find_pooler)
        event.listen(engine.sync_engine, "connect", self._set_for_session)
        event.listen(engine.sync_engine, "begin", self._set_for_transaction)

    def _find_pooler(
        self, dialect: Dialect, _: ConnectionPoolEntry | None, places: list[Any], arguments: dict[str, Any]
    ) -> Any:
        """Return a connection, or None to have one made with the arguments, which may have changed."""
        if self.is_pooled is None:
            connection = dialect.connect(*places, **arguments)
            if _is_direct(connection):
                self.is_pooled = False
                return connection
            dialect.do_terminate(connection)
            self.is_pooled = True
        if self.is_pooled:
            arguments.update(_UNNAMED)
        return None

    def _set_for_session(self, connection: AdaptedConnection, _: object) -> None:
        # Not as start-up parameters: PgBouncer refuses those.
        if not self.is_pooled:
            statement = self._statement(is_local=False)
            connection.run_async(lambda driver: driver.execute(statement))

    def _set_for_transaction(self, connection: Connection) -> None:
        if self.is_pooled and connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(self._statement(is_local=True))

    def _statement(self, *, is_local: bool) -> str:
        return "SELECT " + ", ".join(
            f"set_config('{name}', '{value}', {str(is_local).lower()})" for name, value in self._values.items()
        )


def sessions_of(engine: AsyncEngine | Connection) -> Sessions | None:
    """Return the settings of an engine's sessions; None on SQLite."""
    sessions: Sessions | None = engine.get_execution_options().get(OPTION)
    return sessions


def quoted(schema: str) -> str:
    """Return the name of a schema for a statement."""
    return '"' + schema.replace('"', '""') + '"'


def _is_direct(connection: Any) -> bool:
    """Return whether the server's process is the one that was named when the connection began."""
    process = connection.run_async(_find_process)
    return bool(process == connection.driver_connection.get_server_pid())


async def _find_process(driver: Any) -> int:
    statement = await driver.prepare("SELECT pg_backend_pid()", name="")  # behind a pooler, none may have a name
    process: int = await statement.fetchval()
    return process
