"""`chatkit-server doctor`: check that everything the settings name exists and works. Changes nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import openai
from agents import Agent
from sqlalchemy import URL

from chatkit_store import SchemaUnknown, StoreError
from chatkit_store.migrations import pending, taken_names

from ..agents.reachable import reachable_agents
from ..errors.database_problem import explain_database_error, missing_folder
from ..errors.failures import to_turn_failure
from ..errors.log_format import codes_of, redacted_message
from ..errors.network import innermost_network_error, network_reason
from ..models.one_shot import ask_once
from ..services import Services
from ..settings import unknown_settings
from .agent_check import AnsweringModel, answering_models, try_agent
from .exposure import exposure_warnings
from .schema import row_security_problem

MODEL_SECONDS = 30.0
QUESTION = ("You are being tested.", "Answer with the word OK.")
ADVICE = {
    "model_auth": "Correct OPENAI_API_KEY.",
    "model_forbidden": "Let the key's account use this model, or choose another.",
    "model_not_found": "Choose an existing model. The path of the URL may be wrong, too; it mostly ends in /v1.",
    "model_quota": "Its quota is used up: check the account.",
    "model_rate_limit": "It gets too many requests: try again in a moment.",
    "model_timeout": "Make sure that it runs there, or correct CHATKIT_BASE_URL.",
    "model_unreachable": "Make sure that it runs there and can be reached from here, or correct CHATKIT_BASE_URL.",
    "model_unavailable": "It has an internal problem: try again in a moment, and check its log.",
    "model_bad_request": "It does not accept such requests: try the other value of CHATKIT_API.",
}
"""What an administrator can do about a failure of the endpoint."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: WARN if it may be intended, WRONG if it cannot work."""

    name: str
    text: str
    mark: Literal["ok", "WARN", "WRONG"] = "ok"


async def examine(services: Services) -> AsyncIterator[Finding]:
    """Yield each finding as it is made, and close the services at the end."""
    try:
        yield Finding("settings", services.settings.environment)
        for warning in unknown_settings():
            yield Finding("settings", warning, "WARN")
        for warning in exposure_warnings(services.settings):
            yield Finding("access", warning, "WARN")
        yield await _database(services)
        async with aclosing(_mcp_servers_and_agent(services)) as findings:
            async for finding in findings:
                yield finding
    finally:
        await services.models.aclose()
        await services.engine.dispose()


async def _database(services: Services) -> Finding:
    kind = services.engine.dialect.name
    if (file := _missing_file(services.engine.url)) is not None:
        if (folder := missing_folder(file)) is not None:
            return Finding("database", f"{file} cannot be created: the folder {folder} does not exist", "WRONG")
        if services.settings.environment == "production":
            return Finding("database", f"{file} does not exist; run `chatkit-server migrate`", "WRONG")
        return Finding("database", f"{file} does not exist yet; the server creates it when it first starts")
    try:
        missing, foreign_tables = await pending(services.engine), await taken_names(services.engine)
        problem = None if missing else await row_security_problem(services.engine, services.settings)
    except SchemaUnknown as error:
        return Finding("database", str(error), "WRONG")
    except StoreError as error:
        return Finding("database", explain_database_error(error, services.engine.url), "WRONG")
    if foreign_tables:
        foreign = ", ".join(foreign_tables)
        return Finding("database", f"{kind}, has tables that chatkit-server did not create ({foreign})", "WRONG")
    if problem is not None:
        return Finding("database", problem, "WRONG")
    if not missing:
        guarded = ", with row-level security" if services.settings.row_security else ""
        return Finding("database", f"{kind}, up to date{guarded}")
    text = f"{kind}, lacks {len(missing)} migration(s)"
    if services.settings.environment == "production":
        return Finding("database", f"{text}: run `chatkit-server migrate`", "WRONG")
    return Finding("database", f"{text}, which the server applies when it starts")


def _missing_file(url: URL) -> str | None:
    """Return the SQLite file if it does not exist; connecting would create it."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return url.database if is_file and not Path(str(url.database)).exists() else None


async def _mcp_servers_and_agent(services: Services) -> AsyncGenerator[Finding]:
    """Check the agent while the MCP servers are connected, because it uses their tools."""
    servers, specs = services.server.mcp, services.settings.mcp_servers
    try:
        await servers.start(patience=servers.timeouts.connect)
        for name, problem in servers.problems().items():
            if problem is None:
                yield Finding(f"mcp {name}", "connected")
            else:
                yield Finding(f"mcp {name}", f"{specs[name].place}: {problem}", "WRONG")
        trial = await try_agent(services.server)
    finally:
        await servers.close()
    if trial.agent is not None:
        yield Finding("agent", _describe_agent(trial.agent, services))
    for problem in trial.problems:
        yield Finding("agent", problem, "WRONG")
    for answering in answering_models(trial.agent, services.models):
        yield await _model(services, answering)


def _describe_agent(agent: Agent[Any], services: Services) -> str:
    source = services.server.agent
    targets = [target.name for target in reachable_agents(agent)[1:]]
    tools = ", ".join(tool.name for tool in agent.tools)
    return "".join(
        [
            agent.name,
            ", the default agent" if source.is_default else f" ({source.name})",
            f"; its tools: {tools}" if tools else "; without tools",
            f"; hands off to {', '.join(targets)}" if targets else "",
        ]
    )


async def _model(services: Services, answering: AnsweringModel) -> Finding:
    info = services.models.info
    name = f"{answering.name} ({info.provider})" if answering.is_at_endpoint else answering.name
    if not answering.is_from_settings:
        name += f", set by the agent {answering.agent},"
    elif not answering.is_at_endpoint:  # the demo, or the embedded model, which is too slow to ask
        return Finding("model", f"{name} ({info.provider}): {info.note}" if info.note else name)
    place = _without_secrets(services.models.base_url) if answering.is_at_endpoint else ""
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            await ask_once(answering.model, answering.name, *QUESTION)
    except TimeoutError:
        return Finding("model", f"{name}{place} did not answer within {MODEL_SECONDS:g} seconds", "WRONG")
    except Exception as error:  # a provider may raise anything
        return Finding("model", f"{name}{place}: {_reason(error, answering)}", "WRONG")
    return Finding("model", f"{name} answers")


def _without_secrets(base_url: str | None) -> str:
    parts = urlsplit(base_url or "")
    return f" at {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _reason(error: Exception, answering: AnsweringModel) -> str:
    """Return code, cause and advice, without the provider's own text, which may contain keys."""
    failure = to_turn_failure(error)
    network = innermost_network_error(error) if isinstance(error, openai.APIConnectionError) else None
    cause = network_reason(network) if network is not None else codes_of(error) or redacted_message(error)
    if answering.is_at_endpoint:
        advice = ADVICE.get(failure.code, str(failure))
    else:
        advice = f"Check how the agent {answering.agent} creates it."
    return f"{failure.code} ({cause}). {advice}"
