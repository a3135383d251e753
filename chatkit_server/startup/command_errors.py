"""What every command has in common: an engine for its work, and errors as one sentence each."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import BlobsUnavailable, ExtraMissing, SchemaUnknown, StoreError

from ..errors.database_problem import explain_database_error
from ..errors.setup import AgentSetupError, ModelSetupError, SetupError
from ..settings import Settings
from .schema import open_database

SETUP_ERRORS = (SetupError, AgentSetupError, ModelSetupError, StoreError, SettingsError)


@asynccontextmanager
async def database_of(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = open_database(settings)
    try:
        yield engine
    except StoreError as error:
        # aiosqlite (0.22) does not wait for the thread of a failed connection, which prints a traceback if the loop
        # has already closed.
        await asyncio.sleep(0.1)
        if isinstance(error, BlobsUnavailable | SchemaUnknown | ExtraMissing):  # not about the location of the database
            raise
        raise SetupError(explain_database_error(error, engine.url)) from error
    finally:
        await engine.dispose()


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn setup errors into a message and exit code 2."""
    try:
        yield
    except (ValidationError, *SETUP_ERRORS) as error:
        print_explanations(error)
        raise SystemExit(2) from None


def print_explanations(error: Exception) -> None:
    prefix = "" if isinstance(error, ValidationError) else "chatkit-server: "
    for text in explanations(error):
        typer.echo(prefix + text, err=True)


def explanations(error: Exception) -> list[str]:
    """Return what to change: a line for each wrong setting, or the text of a setup error."""
    if not isinstance(error, ValidationError):
        return [str(error)]
    lines = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        location, message = _location(fault["loc"]), fault["msg"].removeprefix("Value error, ")
        lines.append(f"{location}: {message}" if location else message)
    return lines


def _location(path: tuple[int | str, ...]) -> str:
    """Return the environment variable of a fault and the path within its JSON; empty if it concerns several."""
    if not path:
        return ""
    name = str(path[0]).upper()
    within = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[1:])
    return (name if name.startswith(("CHATKIT_", "OPENAI_")) else f"CHATKIT_{name}") + within
