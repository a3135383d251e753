"""`chatkit-server`: serve, migrate and prune."""

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.ext.asyncio import AsyncEngine

import chatkit_store
from chatkit_store import BlobsUnavailable, SchemaUnknown, StoreError, UploadStore, open_engine
from chatkit_store.migrations import upgrade

from . import __version__
from .app import create_app
from .errors.database_problem import explain_database_error
from .errors.setup import AgentSetupError, ModelSetupError, SetupError
from .files.blob_storage import make_blobs
from .files.pruning import Pruner, PruneResult
from .services import Services
from .settings import Settings, unknown_settings
from .startup.doctor import examine
from .startup.logs import configure_logging
from .startup.schema import prepare_schema

logger = logging.getLogger(__name__)

app = typer.Typer(
    help="The server for a self-hosted ChatKit chat.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

SETUP_ERRORS = (SetupError, AgentSetupError, ModelSetupError, StoreError, SettingsError)
LATER = "This command is not available in this version yet."


def build_app() -> FastAPI:
    """The app for any ASGI server (`uvicorn --factory chatkit_server.cli:build_app`), with the checks of `serve`.

    Exits with a sentence and code 2 where the settings or the database are wrong.
    """
    with _clear_errors(), ThreadPoolExecutor(1) as thread:  # this one may run an event loop already
        settings = Settings()
        configure_logging(settings)
        _warn_of_unknown_settings()
        thread.submit(asyncio.run, _migrate_or_refuse(settings)).result()
    return build_worker()


def build_worker() -> FastAPI:
    """What the workers of `serve` call: settings from the environment, our logging, the app."""
    with _clear_errors():
        settings = Settings()
        configure_logging(settings)
        built = create_app(settings)
    _tame_garbage_collector()
    return built


def _warn_of_unknown_settings() -> None:
    """A misspelled one would be ignored without a word."""
    for sentence in unknown_settings():
        logger.warning("%s", sentence)


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
        _warn_of_unknown_settings()
        if workers > 1 and settings.database_url.startswith("sqlite"):
            raise SetupError("Several workers need PostgreSQL. Set CHATKIT_DATABASE_URL, or serve with --workers 1.")
        asyncio.run(_migrate_or_refuse(settings))
        if workers > 1:
            create_app(settings)  # a wrong agent or model is told once, and not by each worker
        host, port = host or settings.host, settings.port if port is None else port
        _check_address(host, port)
    uvicorn.run(
        "chatkit_server.cli:build_worker",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        reload=reload,
        reload_dirs=_code_directories(settings) if reload else None,
        log_config=None,
        access_log=False,
        server_header=False,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        ws_max_size=2 * settings.max_body_bytes,  # what is a little over the limit gets a clear answer, more is cut off
        timeout_graceful_shutdown=int(settings.drain_seconds + settings.stop_seconds) + 5,
    )


@app.command()
def migrate() -> None:
    """Bring the database's tables up to this version."""
    with _clear_errors():
        settings = Settings()
        configure_logging(settings)
        applied = asyncio.run(_migrate(settings))
    typer.echo(f"Applied {applied} migration(s)." if applied else "The database is up to date.")


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete files that nobody holds any more: never sent, or of deleted conversations."""
    with _clear_errors():
        settings = Settings()
        configure_logging(settings)
        done = asyncio.run(_prune(settings, dry_run))
    typer.echo(
        f"{'Would delete' if dry_run else 'Deleted'} {done.unsent} file(s) that were not sent within "
        f"{settings.unsent_hours:g} hours and {done.orphaned} of deleted conversations, {done.size} bytes in all."
    )


@app.command()
def doctor() -> None:
    """Look at settings, database, MCP servers, agent and model; exits with 1 where something is wrong."""
    try:
        with _clear_errors():
            services: Services = create_app(Settings()).state.services
    except SystemExit:
        raise typer.Exit(1) from None
    logging.disable()  # what it would say is in the findings
    if not asyncio.run(_all_well(services)):
        raise typer.Exit(1)


async def _all_well(services: Services) -> bool:
    is_well = True
    async for finding in examine(services):
        typer.echo(f"{finding.mark:<7}{finding.name:<12} {finding.text}")
        is_well = is_well and finding.mark != "WRONG"
    return is_well


def _later() -> NoReturn:
    """Not available in this version yet."""
    typer.echo(LATER, err=True)
    raise typer.Exit(2)


for _name in ("token", "threads", "turns", "stats"):
    app.command(_name, hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(_later)


def _check_address(host: str, port: int) -> None:
    """Takes the address for a moment. Raises `SetupError` where that fails."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # Python adds the address, which is said already
        raise SetupError(
            f"Cannot listen on {host}, port {port}: {reason}. Choose another by CHATKIT_HOST and CHATKIT_PORT, "
            "or by --host and --port."
        ) from error


def _code_directories(settings: Settings) -> list[str]:
    """Where the code lies that a reload is for: ours, and the user's own agent's."""
    ours = Path(__file__).parent
    directories = [ours, Path(str(chatkit_store.__file__)).parent]
    if settings.agent:
        package = Path(settings.agent.partition(":")[0].split(".")[0])
        directories.append(package if package.is_dir() else Path())
    return [str(directory.resolve()) for directory in directories]


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(settings.database_url)
    try:
        yield engine
    except StoreError as error:
        # aiosqlite (0.22) does not wait for the thread of a connection that failed; behind the loop's end it would
        # print a traceback.
        await asyncio.sleep(0.1)
        if isinstance(error, BlobsUnavailable | SchemaUnknown):  # not about the place of the database
            raise
        raise SetupError(explain_database_error(error, engine.url)) from error
    finally:
        await engine.dispose()


async def _prune(settings: Settings, dry_run: bool) -> PruneResult:
    async with _database(settings) as engine:
        keep = timedelta(hours=settings.unsent_hours)
        return await Pruner(UploadStore(engine), make_blobs(settings), keep).prune(dry_run=dry_run)


async def _migrate(settings: Settings) -> int:
    async with _database(settings) as engine:
        return len(await upgrade(engine))


async def _migrate_or_refuse(settings: Settings) -> None:
    """Before the workers start, so that the refusal is one sentence and not one traceback for each."""
    async with _database(settings) as engine:
        await prepare_schema(engine, settings.environment)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """A wrong set-up ends with a sentence and exit code 2."""
    try:
        yield
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            name = _place(fault["loc"])
            said = fault["msg"].removeprefix("Value error, ")
            typer.echo(f"{name}: {said}" if name else said, err=True)
        raise SystemExit(2) from None
    except SETUP_ERRORS as error:
        typer.echo(f"chatkit-server: {error}", err=True)
        raise SystemExit(2) from None


def _place(place: tuple[int | str, ...]) -> str:
    """What a fault is about: the environment variable, and where in its JSON; empty where it is about several."""
    if not place:
        return ""
    name = str(place[0]).upper()
    within = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place[1:])
    return (name if name.startswith(("CHATKIT_", "OPENAI_")) else f"CHATKIT_{name}") + within
