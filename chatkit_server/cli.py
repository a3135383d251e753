"""The `chatkit-server` command, with a subcommand for each thing that it does."""

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

from .startup.quick_imports import begin_imports, end_imports

begin_imports()

import typer
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

import chatkit_store
from chatkit_store import ChatSessionStore, UploadStore

from .app import build_services, create_app
from .errors.setup import SetupError
from .files.blob_storage import make_blobs
from .files.pruning import Pruner, PruneResult
from .settings import Settings, unknown_settings
from .startup.command_errors import SETUP_ERRORS, clear_errors, database_of, explanations, print_explanations
from .startup.exposure import exposure_warnings, refuse_open_address, refuse_unsafe_production
from .startup.http_protocol import HttpProtocol, limit_connections
from .startup.import_commands import import_threads
from .startup.key_commands import keys, token
from .startup.logs import configure_logging
from .startup.migrate_workflow_command import migrate_workflow
from .startup.new_command import new
from .startup.open_files import raise_open_files
from .startup.own_endpoint import own_address
from .startup.schema import migrate_database, prepare_schema
from .startup.settings_command import settings as settings_command
from .startup.thread_commands import threads, users
from .startup.websocket_protocol import WebSocketProtocol
from .version import __version__

if TYPE_CHECKING:
    from .startup.doctor import Finding

end_imports()

logger = logging.getLogger(__name__)

app = typer.Typer(
    help="A server for self-hosted ChatKit chats.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

WORKER_START_SECONDS = 120
"""How long a worker may take to import what it needs; uvicorn's 5 seconds are too few for large agents."""
LATER = "This command is not available in this version yet."


def build_app() -> FastAPI:
    """Return the app for any ASGI server (`uvicorn --factory chatkit_server.cli:build_app`), checked as by `serve`.

    Exits with a message and code 2 if the settings or the database are wrong.
    """
    with clear_errors(), ThreadPoolExecutor(1) as thread:  # the current thread may already run an event loop
        settings = Settings()
        configure_logging(settings)
        _warn_of_unknown_settings()
        _check_exposure(settings)
        thread.submit(asyncio.run, _migrate_or_refuse(settings)).result()
    return build_worker()


def build_worker() -> FastAPI:
    """Return the app for a worker of `serve`, with settings from the environment and logging configured."""
    with clear_errors():
        settings = Settings()
        configure_logging(settings)
        fastapi = create_app(settings)
    limit_connections(settings)
    _tame_garbage_collector()
    return fastapi


def _warn_of_unknown_settings() -> None:
    """Log variables that look like a misspelled setting, which would be ignored silently."""
    for warning in unknown_settings():
        logger.warning("%s", warning)


def _check_exposure(settings: Settings) -> None:
    """Refuse to be open to strangers by accident, and log what is weak: here, because only a command knows the address.

    Raises `SetupError`.
    """
    refuse_unsafe_production(settings)
    refuse_open_address(settings)
    for warning in exposure_warnings(settings):
        logger.warning("%s", warning)
    if (own := own_address(settings)) is not None:
        logger.warning("%s has no model: %s", settings.base_url, own)


def _tame_garbage_collector() -> None:
    """Exclude the SDKs' million permanent objects from garbage collection: scanning them takes a tenth of the CPU.

    A turn leaves no circles, but the code of agents may: what is then kept until the next full collection is bounded by
    the product of the thresholds, about 1 GB.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 10)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """A server for self-hosted ChatKit chats."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (CHATKIT_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (CHATKIT_PORT); 0 chooses a free one.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes; more than one needs PostgreSQL.")] = 1,
    reload: Annotated[bool, typer.Option(help="Restart when the code changes (development).")] = False,
) -> None:
    """Serve the page, the ChatKit protocol and the API."""
    with clear_errors():
        settings = Settings()
        configure_logging(settings)
        _warn_of_unknown_settings()
        if workers > 1 and settings.database_url.startswith("sqlite"):
            raise SetupError("Several workers need PostgreSQL. Set CHATKIT_DATABASE_URL, or serve with --workers 1.")
        host, port = host or settings.host, settings.port if port is None else port
        _check_exposure(settings.model_copy(update={"host": host, "port": port}))
        asyncio.run(_migrate_or_refuse(settings))
        if workers > 1:
            create_app(settings)  # report a wrong agent or model once, not from each worker
        _check_address(host, port)
    _spare_workers_this_module()
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
        proxy_headers=False,  # routes/trusted_proxies.py
        loop="auto",  # uvloop with the extra `fast`
        http=f"chatkit_server.cli:{HttpProtocol.__name__}",  # by name: a worker imports it by way of this module
        limit_concurrency=raise_open_files(),
        ws=f"chatkit_server.cli:{WebSocketProtocol.__name__}",
        timeout_graceful_shutdown=int(settings.drain_seconds + settings.stop_seconds) + 5,
        timeout_worker_healthcheck=WORKER_START_SECONDS,
    )


def _spare_workers_this_module() -> None:
    """Keep multiprocessing from importing `__main__`, and with it this module, first thing in each worker.

    Until it is done, a worker does not answer uvicorn, which replaces a worker that is silent for too long.
    """
    main_module = sys.modules["__main__"]
    main_module.__spec__ = None
    vars(main_module).pop("__file__", None)


@app.command()
def migrate() -> None:
    """Migrate the database to this version."""
    with clear_errors():
        settings = Settings()
        configure_logging(settings)
        for sentence in asyncio.run(_migrate(settings)):
            typer.echo(sentence)


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted.")] = False,
) -> None:
    """Delete files that were never sent, or belong to deleted conversations."""
    with clear_errors():
        settings = Settings()
        configure_logging(settings)
        pruned = asyncio.run(_prune(settings, dry_run))
    typer.echo(
        f"{'Would delete' if dry_run else 'Deleted'} {pruned.unsent} file(s) that were not sent within "
        f"{settings.unsent_hours:g} hours and {pruned.orphaned} of deleted conversations, {pruned.size} bytes in all."
    )


@app.command()
def doctor(
    url: Annotated[
        str | None, typer.Option(help="Look at a deployed server from outside instead, as a browser does.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as one JSON object, for scripts.")
    ] = False,
) -> None:
    """Check settings, logins, database, MCP servers, agent and model; exit with 1 if something is wrong.

    With --url https://chat.example.com: whether the proxy passes streams, WebSockets, uploads, cookies and headers on,
    and which other pages may call the server. It sends no message and needs no login.
    """
    from .startup.doctor import Finding, examinable, examine, examine_url, report  # much that only this command needs

    try:
        settings = Settings()
        findings = examine_url(url, settings) if url else examine(build_services(examinable(settings)), settings)
    except (ValidationError, *SETUP_ERRORS) as error:
        if as_json:
            typer.echo(report([Finding("settings", text, "WRONG") for text in explanations(error)]))
        else:
            print_explanations(error)
        raise typer.Exit(1) from None
    logging.disable()  # the findings already say it
    if not asyncio.run(_print_findings(findings, as_json=as_json)):
        raise typer.Exit(1)


async def _print_findings(findings: "AsyncIterator[Finding]", *, as_json: bool) -> bool:
    from .startup.doctor import is_well, report

    found = []
    async for finding in findings:
        found.append(finding)
        if not as_json:
            typer.echo(f"{finding.mark:<7}{finding.name:<12} {finding.text}")
    if as_json:
        typer.echo(report(found))
    return is_well(found)


def _refuse_unavailable() -> NoReturn:
    """Print that the command is not available in this version yet."""
    typer.echo(LATER, err=True)
    raise typer.Exit(2)


_ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}
for _name in ("turns", "stats"):
    app.command(_name, hidden=True, context_settings=_ANY_ARGUMENTS)(_refuse_unavailable)


app.add_typer(keys, name="keys")
app.add_typer(threads, name="threads")
app.add_typer(users, name="users")
app.command()(token)
app.command()(new)
app.command("settings")(settings_command)
app.command("migrate-workflow")(migrate_workflow)
app.command("import")(import_threads)


def _check_address(host: str, port: int) -> None:
    """Bind the address briefly. Raises `SetupError` if that fails."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # without the address, which Python appends
        raise SetupError(
            f"Cannot listen on {host}, port {port}: {reason}. Choose another with CHATKIT_HOST and CHATKIT_PORT, "
            "or with --host and --port."
        ) from error


def _code_directories(settings: Settings) -> list[str]:
    """Return the directories that `--reload` watches: our code and the agent's."""
    directories = [Path(__file__).parent, Path(str(chatkit_store.__file__)).parent]
    names = settings.agent.values() if isinstance(settings.agent, dict) else filter(None, [settings.agent])
    for name in [*names, *filter(None, [settings.server])]:
        package = Path(name.partition(":")[0].split(".")[0])
        directories.append(package if package.is_dir() else Path())
    return [str(directory.resolve()) for directory in directories]


async def _prune(settings: Settings, dry_run: bool) -> PruneResult:
    async with database_of(settings) as engine:
        keep = timedelta(hours=settings.unsent_hours)
        pruner = Pruner(UploadStore(engine), make_blobs(settings), keep, ChatSessionStore(engine))
        return await pruner.prune(dry_run=dry_run)


async def _migrate(settings: Settings) -> list[str]:
    async with database_of(settings) as engine:
        return await migrate_database(engine, settings)


async def _migrate_or_refuse(settings: Settings) -> None:
    """Prepare the schema before the workers start, so that an error is printed once and not by each of them."""
    async with database_of(settings) as engine:
        await prepare_schema(engine, settings)
