"""Store the API keys that `chatkit-server keys create` makes, as hashes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import BigInteger, bindparam, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store.acting import ALL_USERS
from chatkit_store.columns import UtcDateTime
from chatkit_store.database import Database
from chatkit_store.tables import api_keys

MAX_LISTED = 1000

k = api_keys.c


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of somebody who calls the API; the key itself is not stored."""

    id: str
    name: str
    key_hash: str
    hint: str
    """The first characters of the key."""
    is_admin: bool
    created_at: datetime
    revoked_at: datetime | None = None


class ApiKeyStore:
    """The API keys of the server. Raises errors as `SqlStore` does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)

    async def create(self, key: ApiKey) -> None:
        """Add a key. Raises `IdClash` if it exists."""
        row = asdict(key)
        await self._database.write(lambda connection: connection.execute(_INSERT, row), ALL_USERS)

    async def find(self, key_hash: str) -> ApiKey | None:
        """Return the key with this hash, unless it is revoked."""
        values = {"hash": key_hash}
        row = await self._database.read(lambda connection: connection.execute(_FIND, values).one_or_none(), ALL_USERS)
        return None if row is None else ApiKey(*row)

    async def list(self) -> Sequence[ApiKey]:
        """Return the newest keys, also revoked ones, newest first."""
        rows = await self._database.read(
            lambda connection: connection.execute(_LIST, {"count": MAX_LISTED}).all(), ALL_USERS
        )
        return [ApiKey(*row) for row in rows]

    async def revoke(self, key_id: str) -> bool:
        """Revoke a key; return False if there is none with this id that is not revoked yet."""
        values = {"key": key_id, "now": datetime.now(UTC)}
        return await self._database.write(lambda connection: connection.scalar(_REVOKE, values), ALL_USERS) is not None

    async def is_empty(self) -> bool:
        """Return whether no key is valid."""
        return not await self._database.read(lambda connection: connection.scalar(_ANY), ALL_USERS)


_COLUMNS = [k[name] for name in ApiKey.__dataclass_fields__]
_INSERT = insert(api_keys)
_FIND = select(*_COLUMNS).where(k.key_hash == bindparam("hash"), k.revoked_at.is_(None))
_LIST = select(*_COLUMNS).order_by(k.id.desc()).limit(bindparam("count", type_=BigInteger))
_REVOKE = (
    update(api_keys)
    .where(k.id == bindparam("key"), k.revoked_at.is_(None))
    .values(revoked_at=bindparam("now", type_=UtcDateTime))
    .returning(k.id)
)
_ANY = select(exists().where(k.revoked_at.is_(None)))
