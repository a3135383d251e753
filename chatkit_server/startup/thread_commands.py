"""`chatkit-server threads` and `users`: look at threads, export and delete them, without SQL and without the API."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import AllThreadsStore, Cursors, NotFound, OwnedThread, Owner, SqlStore, UserDataStore, plain_text

from ..errors.setup import SetupError
from ..files.blob_storage import make_blobs
from ..routes.openai_items import openai_thread
from ..settings import Settings
from .command_errors import clear_errors, database_of
from .logs import configure_logging
from .schema import prepare_schema
from .thread_export import PAGE, ThreadExporter, api_items, items_of

T = TypeVar("T")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
AROUND = 40
"""Characters on each side of the match."""
BYTES_LATER = "`chatkit-server prune` deletes the bytes of their files now; the server does so within the hour."

threads = typer.Typer(help="The threads of all users.", no_args_is_help=True)
users = typer.Typer(help="All that is stored of a user.", no_args_is_help=True)

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of threads, as in `threads list`.")]
User = Annotated[str, typer.Argument(metavar="USER", help="The user's id.")]
UserOption = Annotated[str | None, typer.Option(help="Only threads of this user.")]
TenantOption = Annotated[str | None, typer.Option(help="Only threads of this tenant; of all by default.")]
UsersTenant = Annotated[str, typer.Option(help="The user's tenant.")]
Folder = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where to write a JSON file for each thread.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@threads.command("list")
def list_threads(
    user: UserOption = None,
    tenant: TenantOption = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Older ones than this thread.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the newest threads: id, start, owner and title."""

    async def load(engine: AsyncEngine, settings: Settings) -> list[OwnedThread]:
        page = await AllThreadsStore(engine).load_threads(Cursors(after), limit, "desc", user_id=user, tenant=tenant)
        return page.data

    for thread in _with_database(load):
        typer.echo(_as_json(thread) if as_json else _line(thread))


@threads.command("show")
def show_thread(thread_id: Annotated[str, typer.Argument(metavar="ID")], as_json: AsJson = False) -> None:
    """Print a thread as its user sees it."""

    async def load(engine: AsyncEngine, settings: Settings) -> list[str]:
        store = AllThreadsStore(engine)
        thread = await store.load_thread(thread_id)
        if as_json:
            items = [json.dumps(item, ensure_ascii=False) async for item in api_items(store, thread_id)]
            return [_as_json(thread), *items]
        lines = [_line(thread)]
        async for item in items_of(store, thread_id):
            lines += ["", f"[{item.created_at:%Y-%m-%d %H:%M:%S}] {item.type}", _printable(plain_text(item))]
        return lines

    for line in _with_database(load):
        typer.echo(line)


@threads.command("export")
def export_threads(
    folder: Folder,
    thread_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="All threads by default.")] = None,
    user: UserOption = None,
    tenant: TenantOption = None,
) -> None:
    """Write threads and their files to a folder, which `chatkit-server import FOLDER` reads."""
    _export(folder, user, tenant, thread_ids)


@threads.command("delete")
def delete_threads(thread_ids: Ids, yes: Yes = False) -> None:
    """Delete threads with all that belongs to them."""

    async def delete(engine: AsyncEngine, settings: Settings) -> None:
        store = AllThreadsStore(engine)
        threads = [await store.load_thread(thread_id) for thread_id in thread_ids]
        for thread in threads:
            typer.echo(_line(thread), err=True)
        _confirm(f"Delete {len(threads)} thread(s)?", yes)
        for thread in threads:
            await _delete(engine, thread)

    _with_database(delete)
    typer.echo(f"Deleted {len(thread_ids)} thread(s). {BYTES_LATER}")


@threads.command("search")
def search_threads(
    words: Annotated[str, typer.Argument(metavar="TEXT", help="What a message has, in any case.")],
    user: UserOption = None,
    tenant: TenantOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many threads.")] = 20,
) -> None:
    """Print the newest threads that have a text in a title or message, and where. Reads one thread after the other."""

    async def search(engine: AsyncEngine, settings: Settings) -> None:
        store, count = AllThreadsStore(engine), 0
        async for thread in _all(store, user, tenant, "desc"):
            texts = [thread.thread.title or ""]
            with suppress(NotFound):  # its user has just deleted it
                texts += [plain_text(item) async for item in items_of(store, thread.thread.id)]
            places = [_excerpt(text, words) for text in texts if words.casefold() in text.casefold()]
            if places:
                typer.echo("\n    ".join([_line(thread), *places]))
                count += 1
            if count == limit:
                return

    _with_database(search)


@users.command("export")
def export_user(user: User, folder: Folder, tenant: UsersTenant = "") -> None:
    """Write the threads of a user and their files to a folder."""
    _export(folder, user, tenant, None)


@users.command("delete")
def delete_user(user: User, tenant: UsersTenant = "", yes: Yes = False) -> None:
    """Delete all that is stored of a user: threads, files, client secrets, and what limits and imports remember."""

    async def delete(engine: AsyncEngine, settings: Settings) -> int:
        threads = [thread async for thread in _all(AllThreadsStore(engine), user, tenant)]
        _confirm(f"Delete {len(threads)} thread(s), and all else that is stored of {user}?", yes)
        for thread in threads:
            with suppress(NotFound):
                await _delete(engine, thread)
        await UserDataStore(engine).delete(Owner(tenant, user))
        return len(threads)

    count = _with_database(delete)
    typer.echo(f"Deleted {count} thread(s), and all else that was stored of {user}. {BYTES_LATER}")


def _export(folder: Path, user: str | None, tenant: str | None, thread_ids: list[str] | None) -> None:
    async def export(engine: AsyncEngine, settings: Settings) -> tuple[int, int]:
        store = AllThreadsStore(engine)
        exporter, count = ThreadExporter(store, make_blobs(settings), folder), 0
        if thread_ids:
            for thread_id in thread_ids:
                await exporter.export(await store.load_thread(thread_id))
            return len(thread_ids), exporter.files
        async for thread in _all(store, user, tenant):
            with suppress(NotFound):  # its user has just deleted it
                await exporter.export(thread)
                count += 1
        return count, exporter.files

    threads, files = _with_database(export)
    typer.echo(f"Exported {threads} thread(s) and {files} file(s) to {folder}.")


async def _all(
    store: AllThreadsStore, user: str | None, tenant: str | None, order: Literal["asc", "desc"] = "asc"
) -> AsyncIterator[OwnedThread]:
    """Yield all threads of a user or a tenant, the oldest or the newest first."""
    cursors = Cursors()
    while True:
        page = await store.load_threads(cursors, PAGE, order, user_id=user, tenant=tenant)
        for thread in page.data:
            yield thread
        if not page.has_more:
            return
        cursors = Cursors(page.data[-1].thread.id)


def _excerpt(text: str, words: str) -> str:
    """Return one line of what is around the words."""
    place = max(text.casefold().find(words.casefold()), 0)
    begin, end = max(place - AROUND, 0), place + len(words) + AROUND
    return ("…" if begin else "") + _in_a_line(text[begin:end]) + ("…" if end < len(text) else "")


async def _delete(engine: AsyncEngine, thread: OwnedThread) -> None:
    await SqlStore[Owner](engine).delete_thread(thread.thread.id, thread.owner)


def _confirm(question: str, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True, err=True)


def _line(thread: OwnedThread) -> str:
    tenant, user = thread.owner
    owner = f"{tenant}/{user}" if tenant else user
    title = _in_a_line(thread.thread.title or "-")
    return f"{thread.thread.id}  {thread.thread.created_at:%Y-%m-%d %H:%M}  {owner}  {title}"


def _in_a_line(text: str) -> str:
    return _printable(" ".join(text.split()))


def _printable(text: str) -> str:
    """Return a user's text without what would control the administrator's terminal."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _as_json(thread: OwnedThread) -> str:
    return json.dumps(openai_thread(thread).model_dump(mode="json"), ensure_ascii=False)


def _with_database(work: Callable[[AsyncEngine, Settings], Awaitable[T]]) -> T:
    """Return what the work returns. Exits with a message and code 2 if something does not exist or cannot be used."""

    async def run(settings: Settings) -> T:
        async with database_of(settings) as engine:
            await prepare_schema(engine, settings)
            try:
                return await work(engine, settings)
            except NotFound as error:
                raise SetupError(f"{error}. `chatkit-server threads list` prints what there is.") from error

    with clear_errors():
        settings = Settings()
        configure_logging(settings)
        return asyncio.run(run(settings))
