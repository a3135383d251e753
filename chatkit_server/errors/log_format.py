"""Format exceptions for the log without leaking user content.

Many exceptions quote data: a driver prints the row, a provider the prompt, pydantic the input. Those are logged with
their class, codes and stack only; all others keep their message.
"""

import re
import sqlite3
import sys
import traceback
from collections.abc import Iterable, Iterator

import agents
import openai
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from sqlalchemy.connectors.asyncio import AsyncAdapt_Error
from sqlalchemy.exc import StatementError

QUOTING: tuple[type[BaseException], ...] = (
    openai.APIError,
    agents.ModelBehaviorError,
    agents.ModelRefusalError,
    StatementError,
    AsyncAdapt_Error,
    sqlite3.Error,
    ValidationError,
    PydanticSerializationError,
)
"""Exceptions whose message may contain user content."""

# Attributes that are safe to log: a provider's status and code, SQLSTATE, names in the schema.
CODES = (
    "status_code",
    "code",
    "type",
    "request_id",
    "sqlstate",
    "sqlite_errorname",
    "schema_name",
    "table_name",
    "column_name",
    "constraint_name",
)
CODE = re.compile(r"[\w.:/-]{1,100}")
OURS = frozenset({"chatkit_server", "chatkit_store"})
CAUSED = "\n\nThe above exception was the direct cause of the following exception:\n\n"
WHILE_HANDLING = "\n\nDuring handling of the above exception, another exception occurred:\n\n"


def redacted_traceback(error: BaseException) -> str:
    """Return the traceback of `error` and its causes, with user content redacted.

    An exception that wraps a quoting one may repeat its text, so its message is withheld too, unless its class is ours.
    """
    return _format(error, set())


def _format(error: BaseException, seen: set[int]) -> str:
    seen.add(id(error))
    earlier = _earlier(error)
    before = ""
    if earlier is not None and id(earlier) not in seen:
        before = _format(earlier, seen) + (CAUSED if earlier is error.__cause__ else WHILE_HANDLING)
    stack = "".join(_frames(error))
    parts = [f"{before}Traceback (most recent call last):\n{stack}{_name(error)}: {_message(error)}"]
    if isinstance(error, BaseExceptionGroup):
        parts += [_format(part, seen) for part in error.exceptions if id(part) not in seen]
    return "\n\n".join(parts)


def redacted_message(error: BaseException) -> str:
    """Return the class and message of `error` in one line, with user content redacted."""
    message = " ".join(_message(error).split()).rstrip(".")
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _frames(error: BaseException) -> Iterable[str]:
    """Return the stack as Python prints it; without source lines if the error may quote user content."""
    if not _quotes(error):
        return traceback.format_tb(error.__traceback__)
    frames = traceback.extract_tb(error.__traceback__)
    return (f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n' for frame in frames)


def _quotes(error: BaseException) -> bool:
    """Return whether its message may contain user content: its own, or that of an exception in its chain."""
    quoting = QUOTING + _quoting_of_driver()
    return any(isinstance(related, quoting) for related in _chain(error, set()))


def _quoting_of_driver() -> tuple[type[BaseException], ...]:
    """Return the exceptions of PostgreSQL's driver; none where it was not imported, so that none can be raised."""
    driver = sys.modules.get("asyncpg")
    names = ("PostgresError", "InterfaceError", "InternalClientError")
    return tuple(getattr(driver, name) for name in names if hasattr(driver, name))


def _name(error: BaseException) -> str:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"


def _earlier(error: BaseException) -> BaseException | None:
    """Return the exception that Python prints before this one."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _message(error: BaseException) -> str:
    if type(error).__module__.split(".")[0] not in OURS and _quotes(error):
        return f"(message withheld) {codes_of(error)}".rstrip()
    try:
        return str(error)
    except Exception:
        return "(no message)"


def _chain(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """Yield the exception, its causes (also those that Python does not print) and the members of a group."""
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for related in (error.__cause__, error.__context__, *parts):
        if related is not None:
            yield from _chain(related, seen)


def codes_of(error: BaseException) -> str:
    """Return the status and codes of an error as `name=value` pairs, which never contain user content."""
    values = {name: getattr(error, name, None) for name in CODES}
    if isinstance(error, ValidationError):
        kinds = (detail["type"] for detail in error.errors(include_url=False, include_context=False))
        values["type"] = "/".join(sorted(set(kinds)))[:100]
    return " ".join(f"{name}={value}" for name, value in values.items() if _is_code(value))


def _is_code(value: object) -> bool:
    return isinstance(value, int | str) and CODE.fullmatch(str(value)) is not None
