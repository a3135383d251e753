"""Where threads come from: what `OpenAISource` and `ThreadFolder` have in common."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from chatkit.types import ActiveStatus, ClosedStatus, LockedStatus, ThreadStatus

RawItem = Mapping[str, Any]
"""An item as the hosted API sends it."""
LATEST = 253_402_300_799
"""The last second of the year 9999, after which no `datetime` exists."""
MILLISECONDS = 100_000_000_000
"""A time from here on is in milliseconds: in seconds it would be in the year 5138, in milliseconds it is in 1973."""


class Unreadable(ValueError):
    """A thread or an item is not in the hosted API's shape; the text says why."""


class SourceFailed(Exception):
    """A thread cannot be read now; the text says why."""


class ThreadGone(Exception):
    """The thread was deleted at its source after it was listed."""


@dataclass(frozen=True)
class SourceThread:
    """A thread at its source."""

    id: str
    user: str
    created_at: datetime
    title: str | None
    status: ThreadStatus
    tenant: str
    """Of another chatkit-server; empty for the hosted API, which has none."""
    raw: Mapping[str, Any]
    """As the API sends it."""


@dataclass(frozen=True)
class Selection:
    """Which threads to read."""

    users: Collection[str] = ()
    """Only those of these users; of all, if there are none."""
    since: datetime | None = None
    """Only those that began at this time or later."""

    def includes(self, thread: SourceThread) -> bool:
        """Return whether a thread is one of them."""
        return (not self.users or thread.user in self.users) and (self.since is None or thread.created_at >= self.since)


class Source(Protocol):
    """Threads and their items, oldest first."""

    async def threads(self) -> list[SourceThread]:
        """Return the selected threads."""
        ...

    def pages(self, thread: SourceThread, after: str | None) -> AsyncIterator[list[RawItem]]:
        """Yield the thread's items after the one with the id `after`, or all if it is None or no longer exists.

        Raises `SourceFailed`, `ThreadGone`, `Unreadable`.
        """
        ...

    @property
    def problems(self) -> list[str]:
        """What could not be read at all, a sentence each, once `threads` has returned."""
        ...


def read_thread(raw: Any) -> SourceThread:
    """Return a thread of the hosted API. Raises `Unreadable`."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("id"), str) or not raw["id"]:
        raise Unreadable("a thread has no id")
    user, title = raw.get("user"), raw.get("title")
    if not isinstance(user, str):
        raise Unreadable(f"thread {raw['id']} has no user" + ("" if user is None else " that is a text"))
    created_at = read_time(raw.get("created_at"))
    if created_at is None:
        raise Unreadable(f"thread {raw['id']} has no time in created_at")
    tenant = raw.get("tenant")
    return SourceThread(
        id=raw["id"],
        user=user,
        created_at=created_at,
        title=title if isinstance(title, str) else None,
        status=_status(raw),
        tenant=tenant if isinstance(tenant, str) else "",
        raw=raw,
    )


def id_of(item: RawItem) -> str:
    """Return the id of an item. Raises `Unreadable`."""
    item_id = item.get("id")
    if not isinstance(item_id, str) or not item_id:
        raise Unreadable("one of its items has no id")
    return item_id


def read_time(value: Any) -> datetime | None:
    """Return the time of a `created_at`: Unix seconds; in files that people made, milliseconds or an ISO text, too.

    None for anything else.
    """
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST * 1000:
        return None
    return datetime.fromtimestamp(value / 1000 if value >= MILLISECONDS else value, UTC)


def _read_text(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):  # in UTC, it may be before the first year, or behind the last one
        pass
    try:
        return read_time(float(value))
    except ValueError:
        return None


def _status(raw: Mapping[str, Any]) -> ThreadStatus:
    status = raw.get("status")
    kind = status.get("type") if isinstance(status, Mapping) else status
    reason = status.get("reason") if isinstance(status, Mapping) else None
    match kind:
        case "locked":
            return LockedStatus(reason=reason if isinstance(reason, str) else None)
        case "closed":
            return ClosedStatus(reason=reason if isinstance(reason, str) else None)
    return ActiveStatus()
