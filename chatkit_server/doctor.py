"""`chatkit-server doctor`: whether what the settings name is there and works. Changes nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from store import SchemaUnknown, StoreError
from store.migrations import pending

from .database_problem import database_problem, missing_folder
from .failures import explain
from .mcp.connection import CONNECT_SECONDS
from .models.asking import ask
from .services import Services

MODEL_SECONDS = 30.0
QUESTION = ("You are being tested.", "Answer with the word OK.")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and what was found; `is_well` where nothing has to be done."""

    name: str
    text: str
    is_well: bool = True


async def examine(services: Services) -> AsyncIterator[Finding]:
    """One finding after another, as they come; the parts are closed at the end."""
    try:
        yield Finding("settings", f"{services.settings.environment}; the agent is {services.server.agent.name}")
        yield await _database(services)
        yield await _model(services)
        async with aclosing(_mcp_servers(services)) as findings:
            async for finding in findings:
                yield finding
    finally:
        await services.models.aclose()
        await services.engine.dispose()


async def _database(services: Services) -> Finding:
    kind = services.engine.dialect.name
    if (file := _missing_file(services.engine.url)) is not None:
        if (folder := missing_folder(file)) is not None:
            return Finding("database", f"{file} cannot be made: there is no folder {folder}", is_well=False)
        return Finding("database", f"{file} does not exist yet; the server makes it at its first start")
    try:
        missing = await pending(services.engine)
    except SchemaUnknown as error:
        return Finding("database", str(error), is_well=False)
    except StoreError as error:
        return Finding("database", database_problem(error, services.engine.url), is_well=False)
    if not missing:
        return Finding("database", f"{kind}, up to date")
    text = f"{kind}, lacks {len(missing)} migration(s)"
    if services.settings.environment == "production":
        return Finding("database", f"{text}: run `chatkit-server migrate`", is_well=False)
    return Finding("database", f"{text}, which the server applies when it starts")


def _missing_file(url: URL) -> str | None:
    """The SQLite file that is not there; a connection would make it."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return url.database if is_file and not Path(str(url.database)).exists() else None


async def _model(services: Services) -> Finding:
    info, models = services.models.info, services.models
    name = f"{info.name} ({info.provider})"
    if models.base_url is None:
        return Finding("model", f"{name}: {info.note}" if info.note else name)
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            await ask(models.provider.get_model(None), info.name, *QUESTION)
    except TimeoutError:
        return Finding("model", f"{name} did not answer within {MODEL_SECONDS:g} seconds", is_well=False)
    except Exception as error:  # whatever a provider does
        told = explain(error, "doctor")
        return Finding("model", f"{name}: {told.code}. {told.message}", is_well=False)
    return Finding("model", f"{name} answers")


async def _mcp_servers(services: Services) -> AsyncGenerator[Finding]:
    servers = services.server.mcp
    try:
        await servers.start(patience=CONNECT_SECONDS)
        for name, problem in servers.problems().items():
            yield Finding(f"mcp {name}", problem or "connected", is_well=problem is None)
    finally:
        await servers.close()
