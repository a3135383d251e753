"""Column types that behave alike on both databases: aware times, clean text and JSON text."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy import JSON, ColumnElement, DateTime, Dialect, Text, cast
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator, TypeEngine

from chatkit_store.clean import clean_json, clean_text


def aware_utc(value: datetime) -> datetime:
    """Convert to UTC; a naive value is local time, as from chatkit's `datetime.now()` (T17, T18)."""
    return value.astimezone(UTC)


def dump_json(value: Any) -> str:
    """Return the JSON of a pydantic model or a plain value. Replaces lone surrogates; other objects become text."""
    try:
        return value.model_dump_json(warnings=False) if isinstance(value, BaseModel) else _encode(value)
    except (PydanticSerializationError, UnicodeError):
        return _encode(clean_json(value))


def _encode(value: Any) -> str:
    return to_json(value, inf_nan_mode="null", fallback=str).decode()


class _SqliteTime(sqlite.DATETIME):
    """Text like `2026-11-23 05:22:26.123456Z`, of fixed width, so that it sorts by time."""

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return what converts a parameter or a literal."""
        return _sqlite_text


def _sqlite_text(value: datetime | None) -> str | None:
    return None if value is None else aware_utc(value).isoformat(" ", "microseconds")[:26] + "Z"


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in and out: `timestamptz` on PostgreSQL, text on SQLite, which SQLite's date functions read."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column's type for the database."""
        if dialect.name != "sqlite":
            return dialect.type_descriptor(DateTime(timezone=True))
        parts = r"(\d+)-(\d+)-(\d+)[ T](\d+):(\d+)(?::(\d+)(?:\.(\d{6}))?)?"  # also reads values written by hand
        return dialect.type_descriptor(_SqliteTime(regexp=parts))  # type: ignore[no-untyped-call]  # SQLAlchemy's

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a parameter."""
        return None if value is None else aware_utc(value)

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return what converts a parameter: on SQLite in one call, since each start of a turn has a handful."""
        return _sqlite_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a result."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """Text whose unstorable characters are replaced; see `clean_text`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Convert a parameter."""
        return _clean(value)

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return what converts a parameter: in one call instead of three, for some 40 at each start of a turn."""
        return _clean


def _clean(value: str | None) -> str | None:
    return None if value is None else clean_text(value)


class JsonText(TypeDecorator[str]):
    """A JSON column read and written as text, which pydantic parses once. Not `jsonb`: that cannot hold \\u0000."""

    impl = JSON
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        """Leave the text as it is."""
        return

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Read the column as text, because asyncpg decodes JSON."""
        return cast(column, Text)

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Leave the text as it is."""
        return


def load_json(text: str | None, default: Any = None) -> Any:
    """Return the value of a JSON column, or `default` if it is NULL or not valid JSON."""
    try:
        return default if text is None else json.loads(text)
    except ValueError:
        return default
