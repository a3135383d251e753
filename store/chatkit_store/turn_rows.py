"""What a row of `turns` is written from and read into: `NewTurn`, `TurnEnd` and `TurnRecord`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from chatkit_store.columns import dump_json, load_json
from chatkit_store.database import AnyRow
from chatkit_store.owner import HasUser, Owner, owner_columns

TurnStatus = Literal["running", "completed", "stopped", "failed", "interrupted"]


@dataclass(frozen=True)
class RequestKey:
    """Identifies repeats of the same request, which join the first one's turn instead of starting another.

    The key is valid for `seconds` from the start of the turn while it runs, and for `ended_seconds` once it has ended.
    With `until_read`, a turn that someone has read is no longer joined: its client has got the answer, and means a new
    request. `taken_from` is the id of a turn that gives the key up to the new one, in the transaction that starts it.
    """

    value: str
    seconds: float
    ended_seconds: float = 0.0
    until_read: bool = False
    taken_from: str | None = None

    def covers(self, status: str, started_at: datetime, readers: int) -> bool:
        """Return whether a turn with this key is recent enough to be joined, and not read if that matters."""
        if self.until_read and readers:
            return False
        seconds = self.seconds if status == "running" else self.ended_seconds
        return datetime.now(UTC) - started_at <= timedelta(seconds=seconds)


@dataclass(frozen=True)
class NewTurn:
    """A turn about to run; `kind` is the ChatKit operation, `id` comes from `new_id("turn")`.

    `worker_id` is the worker that runs it. If that worker has no heartbeat, the turn counts as interrupted by a crash.
    """

    id: str
    thread_id: str
    kind: str
    request_id: str
    frame_id: str | None = None
    user_item_id: str | None = None
    model: str | None = None
    worker_id: str | None = None
    session_id: str | None = None
    """The chat session that the request belongs to."""
    address_key: str | None = None
    """What the address of an anonymous visitor is counted under, for a limit per address."""

    def to_row(self, key: RequestKey | None, context: HasUser) -> dict[str, Any]:
        """Return the columns of the turn as it starts now."""
        request_key = None if key is None else key.value
        started = {"status": "running", "started_at": datetime.now(UTC)}
        return {**vars(self), **owner_columns(context), **started, "request_key": request_key}


@dataclass(frozen=True)
class TurnEnd:
    """How a turn ended; `_ms` are milliseconds from its start, `transcript` is plain JSON.

    None leaves a column as it is, except for `transcript`. `readers` are added to those of other workers.
    """

    status: TurnStatus
    stop_reason: str | None = None
    error_code: str | None = None
    model: str | None = None
    first_token_ms: int | None = None
    duration_ms: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    retries: int | None = None
    readers: int = 0
    transcript: Any = None

    @property
    def tokens_per_second(self) -> float | None:
        """The output rate between the first token and the end; None if unknown."""
        start = self.first_token_ms or 0
        if self.output_tokens is None or self.duration_ms is None or self.duration_ms <= start:
            return None
        return round(self.output_tokens * 1000 / (self.duration_ms - start), 1)

    def to_row(self, *, keep_transcript: bool) -> dict[str, Any]:
        """Return the columns to set, all but `readers`."""
        columns = {
            "status": self.status,
            "stop_reason": self.stop_reason,
            "error_code": self.error_code,
            "model": self.model,
            "first_token_ms": self.first_token_ms,
            "duration_ms": self.duration_ms,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "tokens_per_second": self.tokens_per_second,
            "retries": self.retries,
            "ended_at": datetime.now(UTC),
        }
        row: dict[str, Any] = {name: value for name, value in columns.items() if value is not None}
        if not keep_transcript:
            row["transcript"] = None if self.transcript is None else dump_json(self.transcript)
        return row


@dataclass(frozen=True)
class TurnRecord:
    """A row of `turns`; times are aware UTC, `_ms` are milliseconds from the start, `transcript` is plain JSON."""

    id: str
    thread_id: str
    tenant: str
    user_id: str
    kind: str
    user_item_id: str | None
    request_id: str
    frame_id: str | None
    model: str | None
    status: TurnStatus
    stop_reason: str | None
    error_code: str | None
    started_at: datetime
    ended_at: datetime | None
    first_token_ms: int | None
    duration_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    tokens_per_second: float | None
    retries: int | None
    readers: int
    transcript: Any
    worker_id: str | None
    signal: str | None
    request_key: str | None
    session_id: str | None
    address_key: str | None

    @property
    def owner(self) -> Owner:
        """The user whose request started it."""
        return Owner(self.tenant, self.user_id)

    @classmethod
    def from_row(cls, row: AnyRow) -> "TurnRecord":
        """Return the record of a complete row."""
        columns = dict(row._mapping)
        return cls(**columns | {"transcript": load_json(columns["transcript"])})
