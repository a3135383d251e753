"""`chatkit-server`: serve and migrate."""

import asyncio
import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from store import StoreError, open_engine
from store.migrations import pending, upgrade

from . import __version__
from .agents import AgentSetupError
from .app import create_app
from .auth import SetupError
from .logs import configure_logging
from .models import ModelSetupError
from .settings import Settings

logger = logging.getLogger(__name__)

app = typer.Typer(
    help="The server for a self-hosted ChatKit chat.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

SETUP_ERRORS = (SetupError, AgentSetupError, ModelSetupError, StoreError)
LATER = "This command is not available in this version yet."


def build_app() -> FastAPI:
    """What uvicorn's workers call: settings from the environment, our logging, the app."""
    with _clear_errors():
        settings = Settings()
        configure_logging(settings)
        built = create_app(settings)
    _tame_garbage_collector()
    return built


def _tame_garbage_collector() -> None:
    """The SDKs are a million objects that never die; looking through them again and again costs a tenth of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """The server for a self-hosted ChatKit chat."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (CHATKIT_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (CHATKIT_PORT); 0 takes a free one.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes; more than one needs PostgreSQL.")] = 1,
    reload: Annotated[bool, typer.Option(help="Restart when the code changes (development).")] = False,
) -> None:
    """Serve the page, the ChatKit protocol and the API."""
    with _clear_errors():
        settings = Settings()
        configure_logging(settings)
        if workers > 1 and settings.database_url.startswith("sqlite"):
            raise SetupError("Several workers need PostgreSQL. Set CHATKIT_DATABASE_URL, or serve with --workers 1.")
        asyncio.run(_migrate_or_refuse(settings))
        if workers > 1:
            create_app(settings)  # a wrong agent or model is told once, and not by each worker
    uvicorn.run(
        "chatkit_server.cli:build_app",
        factory=True,
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=workers,
        reload=reload,
        reload_dirs=_code_directories(settings) if reload else None,
        log_config=None,
        access_log=False,
        server_header=False,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        timeout_graceful_shutdown=int(settings.stop_seconds) + 5,
    )


@app.command()
def migrate() -> None:
    """Bring the database's tables up to this version."""
    with _clear_errors():
        settings = Settings()
        configure_logging(settings)
        applied = asyncio.run(_migrate(settings))
    typer.echo(f"Applied {applied} migration(s)." if applied else "The database is up to date.")


def _later() -> NoReturn:
    """Not available in this version yet."""
    typer.echo(LATER, err=True)
    raise typer.Exit(2)


for _name in ("doctor", "token", "threads", "turns", "stats", "prune"):
    app.command(_name, hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(_later)


def _code_directories(settings: Settings) -> list[str]:
    """Where the code lies that a reload is for: ours, and the user's own agent's."""
    ours = Path(__file__).parent
    directories = [ours, ours.parent / "store"]
    if settings.agent:
        package = Path(settings.agent.partition(":")[0].split(".")[0])
        directories.append(package if package.is_dir() else Path())
    return [str(directory.resolve()) for directory in directories]


async def _migrate(settings: Settings) -> int:
    engine = open_engine(settings.database_url)
    try:
        missing = await pending(engine)
        if missing:
            await upgrade(engine)
        return len(missing)
    finally:
        await engine.dispose()


async def _migrate_or_refuse(settings: Settings) -> None:
    """Before the workers start, so that the refusal is one sentence and not one traceback for each."""
    if settings.environment == "development":
        await _migrate(settings)
        return
    engine = open_engine(settings.database_url)
    try:
        if missing := await pending(engine):
            raise SetupError(f"The database lacks {len(missing)} migration(s). Run `chatkit-server migrate` first.")
    finally:
        await engine.dispose()


@contextmanager
def _clear_errors() -> Iterator[None]:
    """A wrong set-up ends with a sentence and exit code 2."""
    try:
        yield
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            name = "_".join(str(part) for part in fault["loc"]).upper()
            typer.echo(f"CHATKIT_{name}: {fault['msg']}" if name else fault["msg"], err=True)
        raise SystemExit(2) from None
    except SETUP_ERRORS as error:
        typer.echo(f"chatkit-server: {error}", err=True)
        raise SystemExit(2) from None
