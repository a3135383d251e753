"""`chatkit-server import`: threads of OpenAI's hosted backend into this server, or into a folder for later."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from openai import AsyncOpenAI
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import ImportStore, UploadStore
from chatkit_store.migrations import pending

from ..auth.login import is_identifier
from ..errors.setup import SetupError
from ..files.blob_storage import make_blobs
from ..importing.destination import Destination, Rehearsal, ServerDestination
from ..importing.import_report import ImportReport
from ..importing.importer import Importer
from ..importing.openai_source import OpenAISource
from ..importing.pictures import ImportedPictures, PictureFetcher
from ..importing.polite_calls import PoliteCalls
from ..importing.source import Selection, Source
from ..importing.thread_folder import ThreadFolder
from ..importing.thread_run import SourceAway, Take, ThreadRun
from ..importing.thread_saving import ThreadSaver
from ..settings import Settings
from ..settings.working_directory import variables
from .command_errors import clear_errors, database_of
from .logs import configure_logging
from .schema import prepare_schema

OPENAI = "openai"
OPENAI_URL = "https://api.openai.com/v1"
AGAIN = "Run the same command again: it continues where this one ended."
SECONDS = 60
"""How long an answer of the source, or a picture, may take."""


@dataclass(frozen=True)
class ImportOptions:
    """The options of the command."""

    source: str
    save: Path | None
    base_url: str
    api_key_env: str
    selection: Selection
    tenant: str
    requests_per_minute: int
    dry_run: bool


def import_threads(
    source: Annotated[
        str | None, typer.Argument(metavar="[openai|FOLDER]", help="The hosted API, or a folder of JSON files.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Only save the threads of the API as JSON files.")
    ] = None,
    user: Annotated[list[str] | None, typer.Option(help="Only threads of this user; may be repeated.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only threads that began at this date or time (UTC) or later.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="The tenant of the users here; by default the source's.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, write nothing.")] = False,
    base_url: Annotated[str, typer.Option(help="The address of the API.")] = OPENAI_URL,
    api_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="The variable, of the environment or .env, with the API key.")
    ] = "OPENAI_API_KEY",
    requests_per_minute: Annotated[int, typer.Option(min=1, help="Requests to the API in a minute, at most.")] = 300,
) -> None:
    """Import the threads of OpenAI's hosted ChatKit backend, with their items, users, times and titles.

    It may be stopped and repeated at any time: it continues, and takes only what is new. Exits with 1 if something
    could not be read.
    """
    with clear_errors():
        options = ImportOptions(
            source=_source_word(source, save),
            save=save,
            base_url=base_url,
            api_key_env=api_key_env,
            selection=Selection(frozenset(user or ()), _moment(since)),
            tenant=_tenant(tenant),
            requests_per_minute=requests_per_minute,
            dry_run=dry_run,
        )
        settings = Settings()
        configure_logging(settings)
        report = ImportReport()
        try:
            asyncio.run(run_import(options, settings, report))
        except SourceAway as error:
            _warn(f"chatkit-server: the source is away: {error} {AGAIN}")
        except KeyboardInterrupt:
            _warn(f"chatkit-server: stopped. {AGAIN}")
            raise SystemExit(130) from None
    verb = "saved" if save is not None else "imported"
    verbs = (f"Would have {verb}", "Would have added") if dry_run else (verb.capitalize(), "Added")
    for sentence in report.sentences(*verbs):
        typer.echo(sentence)
    if report.problems:
        raise typer.Exit(1)


async def run_import(options: ImportOptions, settings: Settings, report: ImportReport) -> None:
    """Import, or save, and count in the report. Raises `SetupError`, `StoreError`, `SourceAway`."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx2.AsyncClient(timeout=SECONDS))
        fetcher = PictureFetcher(client, settings.attachment_max_bytes)
        source = await stack.enter_async_context(_open_source(options))
        run = ThreadRun(source, report, warn=_warn)
        if sys.stderr.isatty():
            _warn("Reading the list of threads")
        threads = await run.list_threads()
        take: Take
        if options.save is not None:
            take = ThreadSaver(source, options.save, fetcher.inline, report, dry_run=options.dry_run).take
        else:
            destination = await stack.enter_async_context(_open_destination(options, settings, fetcher))
            take = Importer(source, destination, report, options.tenant).take
        label = "Saving threads" if options.save is not None else "Importing threads"
        with typer.progressbar(length=len(threads), label=label, show_pos=True, file=sys.stderr) as progress:
            await run.take_all(threads, take, lambda: progress.update(1))


@asynccontextmanager
async def _open_source(options: ImportOptions) -> AsyncIterator[Source]:
    if options.source != OPENAI:
        yield ThreadFolder(Path(options.source), options.selection)
        return
    key = variables().get(options.api_key_env)
    if not key:
        raise SetupError(
            f"Set {options.api_key_env} to an API key of {options.base_url}, or name another variable with "
            "--api-key-env."
        )
    calls = PoliteCalls(options.requests_per_minute, report=_warn)
    async with AsyncOpenAI(api_key=key, base_url=options.base_url, max_retries=0, timeout=SECONDS) as client:
        yield OpenAISource(client, calls, options.selection)


@asynccontextmanager
async def _open_destination(
    options: ImportOptions, settings: Settings, fetcher: PictureFetcher
) -> AsyncIterator[Destination]:
    async with database_of(settings) as engine:
        imports = ImportStore(engine)
        if options.dry_run:
            yield Rehearsal(imports if await _has_tables(engine) else None, fetcher)
            return
        await prepare_schema(engine, settings)
        pictures = ImportedPictures(fetcher, UploadStore(engine), make_blobs(settings), settings)
        yield ServerDestination(imports, pictures)


async def _has_tables(engine: AsyncEngine) -> bool:
    """Return whether the database is ready, without creating the file of one that is not there."""
    return not _is_missing(engine.url) and not await pending(engine)


def _is_missing(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


def _source_word(source: str | None, save: Path | None) -> str:
    if source is None and save is None:
        raise SetupError(
            "Name what to import: `import openai`, or `import FOLDER` with what `--save FOLDER` has saved."
        )
    if save is not None and source not in (None, OPENAI):
        raise SetupError("--save saves the threads of the API; it does not copy a folder.")
    return source or OPENAI


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SetupError(f'--since {text} is not a date such as 2026-01-31 or "2026-01-31 12:00".') from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _tenant(name: str) -> str:
    if name and not is_identifier(name):
        raise SetupError("--tenant cannot name anybody: no login could have it.")
    return name


def _warn(text: str) -> None:
    typer.echo(text, err=True)
