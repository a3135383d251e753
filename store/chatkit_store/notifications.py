"""PostgreSQL's NOTIFY and LISTEN: workers learn at once that a turn has changed, instead of asking again and again.

A notification has only ids of turns: what has changed is read from the rows, so one that is lost, or was sent by
somebody else, does no harm. SQLite has none, and a pooler such as PgBouncer in transaction mode does not deliver them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Connection, String, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.acting import ALL_USERS
from chatkit_store.database import Database
from chatkit_store.errors import StoreUnavailable
from chatkit_store.ids import new_id
from chatkit_store.sessions import sessions_of

CHANGES = "chatkit_turn_changes"
"""The channel of turns whose journal has grown, or that have ended."""
SIGNALS = "chatkit_turn_signals"
"""The channel of turns whose workers have a signal to read."""
PAYLOAD_BYTES = 7_900
"""The longest payload; PostgreSQL refuses 8,000 bytes."""
PROBE_SECONDS = 5.0
CHECK_SECONDS = 5.0

OnNotification = Callable[[list[str]], None]


def notify(connection: Connection, channel: str, turn_ids: Iterable[str]) -> None:
    """Notify all listening workers of these turns once the transaction is committed. Does nothing on SQLite.

    PostgreSQL commits such transactions one after another, so this is only for turns that somebody waits for.
    """
    if connection.dialect.name == "postgresql":
        for payload in payloads(turn_ids):
            connection.execute(_NOTIFY, {"channel": channel, "payload": payload})


def payloads(turn_ids: Iterable[str]) -> Iterator[str]:
    """Yield the ids, separated by spaces, in as few payloads as possible."""
    payload = ""
    for turn_id in turn_ids:
        if payload and len(payload) + 1 + len(turn_id) > PAYLOAD_BYTES:  # ids are ASCII
            yield payload
            payload = ""
        payload = f"{payload} {turn_id}" if payload else turn_id
    if payload:
        yield payload


class CannotListen(Exception):
    """The database has no notifications, or what is in front of it does not deliver them."""


class Listener:
    """One connection to PostgreSQL, beside those of the pool, that receives notifications."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._database = Database(engine)
        self._connection: Any = None
        """Of the driver, while it is open."""

    @asynccontextmanager
    async def listening(self, on_changes: OnNotification, on_signals: OnNotification) -> AsyncIterator[asyncio.Event]:
        """Call the functions with ids of turns inside the block. Yields an event that is set when the connection is
        lost.

        Raises `CannotListen`, and `StoreUnavailable` if the database does not answer, or has no connection to spare.
        """
        if self._database.dialect != "postgresql":
            raise CannotListen("SQLite has no notifications")
        lost, probed = asyncio.Event(), asyncio.Event()
        probe = new_id("probe")

        def changed(_: object, __: object, ___: object, payload: object) -> None:
            if payload == probe:
                probed.set()
            else:
                on_changes(str(payload).split())

        connection = await self._open()
        try:
            await _subscribe(connection, lost, changed, lambda _, __, ___, payload: on_signals(str(payload).split()))
            await self._check_delivery(probe, probed)
            self._connection = connection
            yield lost
        finally:
            self._connection = None
            connection.terminate()  # nothing is in progress on it

    async def check(self) -> None:
        """End the connection if its server does not answer, of which the network may have said nothing."""
        connection = self._connection
        if connection is None:
            return
        try:
            await connection.execute("SELECT 1", timeout=CHECK_SECONDS)
        except Exception:  # whatever it is, a new connection does better
            connection.terminate()

    async def _open(self) -> Any:
        """Return a new connection of the driver, prepared as those of the pool, which does not count it."""
        sessions = sessions_of(self._engine)
        if sessions is not None and sessions.is_pooled:
            raise CannotListen("a pooler is in front of the database")
        try:
            pooled = await self._engine.raw_connection()
        except Exception as error:  # of the driver or the pool: SQLAlchemy wraps only those of statements
            raise StoreUnavailable(f"The database gives no connection: {_name_of(error)}") from error
        connection = pooled.driver_connection
        pooled.detach()
        if sessions is not None and sessions.is_pooled:  # known since the first connection
            connection.terminate()  # type: ignore[union-attr]  # of asyncpg
            raise CannotListen("a pooler is in front of the database")
        return connection

    async def _check_delivery(self, probe: str, probed: asyncio.Event) -> None:
        """Send a notification through the pool: a pooler that was not recognised loses it."""
        await self._database.write(lambda c: notify(c, CHANGES, [probe]), ALL_USERS)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await probed.wait()
        except TimeoutError:
            raise StoreUnavailable("The database does not deliver notifications in time.") from None


async def _subscribe(connection: Any, lost: asyncio.Event, changed: Any, signalled: Any) -> None:
    try:
        connection.add_termination_listener(lambda _: lost.set())
        await connection.execute(_SESSION)
        await connection.add_listener(CHANGES, changed)
        await connection.add_listener(SIGNALS, signalled)
    except Exception as error:  # of the driver, which is used here without SQLAlchemy
        raise StoreUnavailable(f"The database does not take a listener: {_name_of(error)}") from error


def _name_of(error: Exception) -> str:
    """Return the name of a driver's error, without its message; SQLAlchemy may have put its own in front of it."""
    return type(error.__cause__ or error).__name__


_NOTIFY = select(func.pg_notify(bindparam("channel", type_=String), bindparam("payload", type_=String)))
_SESSION = """
SELECT set_config(name, CASE name WHEN 'tcp_keepalives_idle' THEN '60' WHEN 'idle_session_timeout' THEN '0'
ELSE 'chatkit-server listener' END, false) FROM pg_settings
WHERE name IN ('tcp_keepalives_idle', 'idle_session_timeout', 'application_name')
"""
"""A connection that waits for hours: keep firewalls from forgetting it, and the server from ending it."""
