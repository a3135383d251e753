"""What the log says of an exception: where it came from and what it was, without the texts that people wrote.

Many exceptions quote the data they met: a driver prints the row, a provider the prompt, pydantic the input. Of those
the log gets the class, the codes and the stack; all others keep their message.
"""

import re
import sqlite3
import traceback
from collections.abc import Iterable, Iterator

import agents
import asyncpg  # type: ignore[import-untyped]  # it has no types
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
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sqlite3.Error,
    ValidationError,
    PydanticSerializationError,
)
"""Exceptions whose message may hold what somebody wrote."""

# What they say in codes: status and code of a provider, SQLSTATE, names of the schema.
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
MEANWHILE = "\n\nDuring handling of the above exception, another exception occurred:\n\n"


def redacted_traceback(error: BaseException) -> str:
    """A traceback of `error` and of all that led to it, fit for the log.

    An exception that wraps a quoting one may repeat its text, so it loses its message too, unless its class is ours.
    """
    return _describe(error, set())


def _describe(error: BaseException, seen: set[int]) -> str:
    seen.add(id(error))
    earlier = _earlier(error)
    before = ""
    if earlier is not None and id(earlier) not in seen:
        before = _describe(earlier, seen) + (CAUSED if earlier is error.__cause__ else MEANWHILE)
    stack = "".join(_frames(error))
    parts = [f"{before}Traceback (most recent call last):\n{stack}{_name(error)}: {_say(error)}"]
    if isinstance(error, BaseExceptionGroup):
        parts += [_describe(part, seen) for part in error.exceptions if id(part) not in seen]
    return "\n\n".join(parts)


def redacted_message(error: BaseException) -> str:
    """The class of `error` and its words in one line, where nobody's data may be among them."""
    words = " ".join(_say(error).split()).rstrip(".")
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _frames(error: BaseException) -> Iterable[str]:
    """As Python prints them; without the lines of source where data are in play."""
    if not _quotes(error):
        return traceback.format_tb(error.__traceback__)
    frames = traceback.extract_tb(error.__traceback__)
    return (f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n' for frame in frames)


def _quotes(error: BaseException) -> bool:
    """Whether its message may hold texts: its own, or those of an exception that it came from."""
    return any(isinstance(one, QUOTING) for one in _all(error, set()))


def _name(error: BaseException) -> str:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"


def _earlier(error: BaseException) -> BaseException | None:
    """The exception that Python would print before this one."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _say(error: BaseException) -> str:
    if type(error).__module__.split(".")[0] not in OURS and _quotes(error):
        return f"(message withheld) {codes_of(error)}".rstrip()
    try:
        return str(error)
    except Exception:
        return "(no message)"


def _all(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """The exception, what led to it, also where Python would not print it, and what it groups."""
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for one in (error.__cause__, error.__context__, *parts):
        if one is not None:
            yield from _all(one, seen)


def codes_of(error: BaseException) -> str:
    """The status and the codes of an error, where it has any: nothing that people wrote."""
    found = {name: getattr(error, name, None) for name in CODES}
    if isinstance(error, ValidationError):
        kinds = (detail["type"] for detail in error.errors(include_url=False, include_context=False))
        found["type"] = "/".join(sorted(set(kinds)))[:100]
    return " ".join(f"{name}={value}" for name, value in found.items() if _is_code(value))


def _is_code(value: object) -> bool:
    return isinstance(value, int | str) and CODE.fullmatch(str(value)) is not None
