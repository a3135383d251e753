"""Store chat sessions: client secrets as hashes, with the terms that hold for whoever sends them.

A session has one row for each of its secrets: a renewal adds a row with the same `session_id`. The clock is that of the
process, so that finding a secret takes one query.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.acting import ALL_USERS
from chatkit_store.columns import UtcDateTime
from chatkit_store.database import AnyRow, Database
from chatkit_store.owner import Owner
from chatkit_store.tables import chat_sessions

SessionStatus = Literal["active", "expired", "cancelled"]

VALID_SECRETS = 100
"""How many valid secrets the renewals of a session, or the pages of a user, may have at a time."""

c = chat_sessions.c


@dataclass(frozen=True, slots=True)
class ChatSession:
    """One secret of a session; `workflow` and `configuration` are JSON texts."""

    id: str
    session_id: str
    """The same for all secrets of the session."""
    secret_hash: str
    tenant: str
    user_id: str
    user_name: str | None
    is_anonymous: bool
    workflow: str
    configuration: str
    requests_per_minute: int | None
    created_at: datetime
    expires_at: datetime
    renewable_until: datetime
    cancelled_at: datetime | None = None
    renewed_at: datetime | None = None

    @property
    def owner(self) -> Owner:
        """Whose session it is."""
        return Owner(self.tenant, self.user_id)

    @property
    def status(self) -> SessionStatus:
        """What the secret is worth now."""
        if self.cancelled_at is not None:
            return "cancelled"
        return "active" if self.expires_at > datetime.now(UTC) else "expired"


class ChatSessionStore:
    """The sessions of all users. Raises errors as `SqlStore` does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def create(self, session: ChatSession) -> None:
        """Add a session with its first secret. Raises `IdClash` for a secret that exists."""
        row = _to_row(session)
        await self._database.write(lambda connection: connection.execute(_INSERT, row), ALL_USERS)

    async def create_for_page(self, session: ChatSession) -> bool:
        """Add a session that a page asks for itself; return False if its user has too many valid secrets."""
        row, owner = _to_row(session), {"of_user": session.user_id, "of_tenant": session.tenant}

        def work(connection: Connection) -> bool:
            connection.execute(_INSERT, row)
            valid = connection.scalar(_VALID_OF_USER, {**owner, "now": session.created_at}) or 0
            if valid > VALID_SECRETS:
                connection.execute(_DELETE, {"row": session.id})
            return valid <= VALID_SECRETS

        return await self._database.write(work, ALL_USERS)

    async def find(self, secret_hash: str) -> ChatSession | None:
        """Return the session of a secret, valid or not."""
        values = {"hash": secret_hash}
        row = await self._database.read(
            lambda connection: connection.execute(_FIND, values).one_or_none(), ALL_USERS, is_short=True
        )
        return None if row is None else ChatSession(*row)

    async def renew(self, secret_hash: str, new_id: str, new_hash: str, grace: float) -> ChatSession | None:
        """Add another secret for the session of this one, with the same terms, and return it.

        Return None, having written nothing, for a cancelled secret, for one past `renewable_until`, for one that
        expired more than `grace` seconds ago, for one that was already renewed after it had expired, and if the session
        has too many valid secrets.
        """

        def work(connection: Connection) -> ChatSession | None:
            moment = datetime.now(UTC)
            values = {"hash": secret_hash, "now": moment, "earliest": moment - timedelta(seconds=grace)}
            row = connection.execute(_TAKE, values).one_or_none()  # of parallel calls, its row lock lets one win
            if row is None:
                return None
            renewed = _renewed(ChatSession(*row), new_id, new_hash, moment)
            connection.execute(_INSERT, _to_row(renewed))
            return renewed

        return await self._database.write(work, ALL_USERS)

    async def cancel(self, session_id: str) -> ChatSession | None:
        """Cancel all secrets of a session and return the newest; None if there is no such session.

        On PostgreSQL, the statement waits for a renewal that holds a secret's row, but does not see the secret that it
        adds. So it runs until it finds none: from then on, no renewal finds one either.
        """
        values = {"session": session_id}

        def work(connection: Connection) -> AnyRow | None:
            while connection.execute(_CANCEL, {**values, "now": datetime.now(UTC)}).rowcount:
                pass
            return connection.execute(_NEWEST, values).first()

        row = await self._database.write(work, ALL_USERS)
        return None if row is None else ChatSession(*row)

    async def prune(self, before: datetime) -> int:
        """Delete the secrets that expired before a time; return their number."""
        values = {"before": before}
        return await self._database.write(lambda connection: connection.execute(_PRUNE, values).rowcount, ALL_USERS)


def _to_row(session: ChatSession) -> dict[str, Any]:
    return asdict(session)


def _renewed(session: ChatSession, id: str, secret_hash: str, moment: datetime) -> ChatSession:
    """Return the session with another secret, valid for as long as this one was."""
    return replace(
        session,
        id=id,
        secret_hash=secret_hash,
        created_at=moment,
        expires_at=min(moment + (session.expires_at - session.created_at), session.renewable_until),
        renewed_at=None,
    )


def _time(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=UtcDateTime)


_COLUMNS = [c[name] for name in ChatSession.__dataclass_fields__]
_INSERT = insert(chat_sessions)
_DELETE = delete(chat_sessions).where(c.id == bindparam("row"))
_FIND = select(*_COLUMNS).where(c.secret_hash == bindparam("hash"))
_other = chat_sessions.alias("other")
_valid_of_session = (
    select(func.count())
    .select_from(_other)
    .where(_other.c.session_id == c.session_id, _other.c.expires_at > _time("now"))
    .correlate(chat_sessions)
    .scalar_subquery()
)
_TAKE = (
    update(chat_sessions)
    .where(
        c.secret_hash == bindparam("hash"),
        c.cancelled_at.is_(None),
        c.renewable_until > _time("now"),
        or_(c.expires_at > _time("now"), and_(c.expires_at > _time("earliest"), c.renewed_at.is_(None))),
        _valid_of_session < VALID_SECRETS,
    )
    .values(renewed_at=case((c.expires_at <= _time("now"), _time("now")), else_=c.renewed_at))
    .returning(*_COLUMNS)
)
_VALID_OF_USER = (
    select(func.count())
    .select_from(chat_sessions)
    .where(c.user_id == bindparam("of_user"), c.tenant == bindparam("of_tenant"), c.expires_at > _time("now"))
)
_CANCEL = (
    update(chat_sessions)
    .where(c.session_id == bindparam("session"), c.cancelled_at.is_(None))
    .values(cancelled_at=_time("now"))
)
_NEWEST = (
    select(*_COLUMNS)
    .where(c.session_id == bindparam("session"))
    .order_by(c.session_id, c.expires_at.desc(), c.id.desc())
    .limit(1)
)
_PRUNE = delete(chat_sessions).where(c.expires_at < _time("before"))
