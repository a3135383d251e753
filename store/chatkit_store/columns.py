"""Column types that hold on both databases: aware times, clean text, JSON that loads again."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy import JSON, ColumnElement, DateTime, Dialect, Text, cast
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator, TypeEngine

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def aware_utc(value: datetime) -> datetime:
    """The same moment in UTC; a naive value is local time, as chatkit's `datetime.now()` makes it (T17, T18)."""
    return value.astimezone(UTC)


def clean_text(value: str) -> str:
    """Replace what a text column cannot hold: NUL (PostgreSQL) and lone surrogates (UTF-8)."""
    if value.isascii():
        return value.replace("\0", REPLACEMENT)
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", REPLACEMENT)


def dump_json(value: Any) -> str:
    """JSON text of a pydantic model or a plain value. Replaces lone surrogates; what JSON cannot say becomes text."""
    try:
        return value.model_dump_json(warnings=False) if isinstance(value, BaseModel) else _encode(value)
    except (PydanticSerializationError, UnicodeError):
        return _encode(_cleaned(value.model_dump(warnings=False) if isinstance(value, BaseModel) else value))


def _encode(value: Any) -> str:
    return to_json(value, inf_nan_mode="null", fallback=str).decode()


def _cleaned(value: Any) -> Any:
    """A copy with every string in it fit for UTF-8 (slow; only where plain encoding failed)."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case bytes():
            return value.decode("utf-8", "replace")
        case dict():
            return {_cleaned(key): _cleaned(entry) for key, entry in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_cleaned(entry) for entry in value]
        case BaseModel():
            return _cleaned(value.model_dump())
        case _:
            return value


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in and out: `timestamptz` on PostgreSQL, text like `2026-11-23 05:22:26.123456Z` on SQLite.

    SQLite's date functions read that text, and it sorts by time.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type for the database."""
        if dialect.name != "sqlite":
            return dialect.type_descriptor(DateTime(timezone=True))
        text = "%(year)04d-%(month)02d-%(day)02d %(hour)02d:%(minute)02d:%(second)02d.%(microsecond)06dZ"  # fixed width
        parts = r"(\d+)-(\d+)-(\d+)[ T](\d+):(\d+)(?::(\d+)(?:\.(\d{6}))?)?"  # what people write by hand is read too
        return dialect.type_descriptor(sqlite.DATETIME(storage_format=text, regexp=parts))  # type: ignore[no-untyped-call]  # SQLAlchemy's

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert what goes in."""
        return None if value is None else aware_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert what comes out."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """Text that no string can break: see `clean_text`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Convert what goes in."""
        return None if value is None else clean_text(value)


class JsonText(TypeDecorator[str]):
    """A JSON column in and out as its text, which pydantic parses once. `json`: a `jsonb` cannot hold \\u0000."""

    impl = JSON
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        """Pass the text on as it is."""
        return

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Read text, which no driver decodes (asyncpg would)."""
        return cast(column, Text)

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Pass the text on as it is."""
        return


def load_json(text: str | None, default: Any = None) -> Any:
    """The value of a JSON column; `default` where it is NULL or no JSON at all."""
    try:
        return default if text is None else json.loads(text)
    except ValueError:
        return default
