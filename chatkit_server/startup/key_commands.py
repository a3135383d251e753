"""`chatkit-server keys` and `token`: API keys for a backend, and a client secret for trying things with curl."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import ApiKey, ApiKeyStore, ChatSessionStore, Owner, new_id

from ..agents.workflows import ONLY
from ..auth.api_keys import HINT_LENGTH, PREFIX
from ..auth.login import is_identifier
from ..auth.random_secrets import random_secret, stored_hash
from ..auth.session_issuer import NewSession, SessionIssuer
from ..auth.session_terms import EVERYTHING, Workflow
from ..errors.setup import SetupError
from ..settings import Settings
from .command_errors import clear_errors, database_of
from .logs import configure_logging
from .schema import prepare_schema

T = TypeVar("T")

keys = typer.Typer(help="API keys, with which a backend makes chat sessions.", no_args_is_help=True)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for, for the list.")] = "",
    admin: Annotated[bool, typer.Option("--admin", help="Not only for sessions: the key of an administrator.")] = False,
) -> None:
    """Make a key and print it, once: the database keeps only its hash."""
    key = random_secret(PREFIX)
    row = ApiKey(
        id=new_id("key"),
        name=name,
        key_hash=stored_hash(key),
        hint=key[:HINT_LENGTH],
        is_admin=admin,
        created_at=datetime.now(UTC),
    )
    _with_database(lambda engine, settings: ApiKeyStore(engine).create(row))
    typer.echo(f"Made {row.id}. The key is printed only now:", err=True)
    typer.echo(key)


@keys.command("list")
def list_keys() -> None:
    """Print the keys that were made, newest first, without the keys themselves."""

    async def load(engine: AsyncEngine, settings: Settings) -> Sequence[ApiKey]:
        return await ApiKeyStore(engine).list()

    for key in _with_database(load):
        kind = "admin" if key.is_admin else "sessions"
        state = "valid" if key.revoked_at is None else f"revoked {key.revoked_at:%Y-%m-%d}"
        typer.echo(f"{key.id}  {key.hint}…  {kind:<8}  {key.created_at:%Y-%m-%d}  {state:<18}  {key.name}".rstrip())


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id, as in `keys list`.")],
) -> None:
    """Revoke a key at once. Sessions that were made with it stay valid until they expire."""
    if not _with_database(lambda engine, settings: ApiKeyStore(engine).revoke(key_id)):
        typer.echo(f"chatkit-server: there is no valid key {key_id}.", err=True)
        raise typer.Exit(1)
    typer.echo(f"Revoked {key_id}.")


def token(
    user: Annotated[str, typer.Option(help="The user's id.")],
    tenant: Annotated[str, typer.Option(help="The user's tenant.")] = "",
    workflow: Annotated[str | None, typer.Option(help="The workflow id, where CHATKIT_AGENT has several.")] = None,
    seconds: Annotated[int | None, typer.Option(min=1, help="How long it is valid (CHATKIT_SESSION_SECONDS).")] = None,
) -> None:
    """Print a client secret of a user, to try things with curl.

    curl -H "Authorization: Bearer $(chatkit-server token --user ada)" ...
    """

    async def make(engine: AsyncEngine, settings: Settings) -> str:
        for option, value in (("--user", user), ("--tenant", tenant or "x")):
            if not is_identifier(value):
                raise SetupError(f"{option} cannot name anybody: the server would refuse its client secret.")
        new = NewSession(
            owner=Owner(tenant, user),
            workflow=Workflow(id=_workflow_id(workflow, settings)),
            configuration=EVERYTHING,
            requests_per_minute=None,
            seconds=seconds,
        )
        return (await _issuer(engine, settings).create(new)).secret

    typer.echo(_with_database(make))


def _workflow_id(wanted: str | None, settings: Settings) -> str:
    ids = list(settings.agent) if isinstance(settings.agent, dict) else []
    if wanted is not None and ids and wanted not in ids:
        raise SetupError(f"CHATKIT_AGENT has no workflow {wanted}; it has {', '.join(ids)}.")
    return wanted or next(iter(ids), ONLY)


def _issuer(engine: AsyncEngine, settings: Settings) -> SessionIssuer:
    issuer = SessionIssuer(ChatSessionStore(engine), settings)
    if not issuer.is_enabled:
        raise SetupError(
            f"The server takes no client secrets: CHATKIT_AUTH is {','.join(settings.auth)}. Add `session` to it."
        )
    return issuer


def _with_database(work: Callable[[AsyncEngine, Settings], Awaitable[T]]) -> T:
    """Return what the work returns. Exits with a message and code 2 if the settings or the database are wrong."""

    async def run(settings: Settings) -> T:
        async with database_of(settings) as engine:
            await prepare_schema(engine, settings)
            return await work(engine, settings)

    with clear_errors():
        settings = Settings()
        configure_logging(settings)
        return asyncio.run(run(settings))
