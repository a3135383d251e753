"""Load the agent once for a test user, to report problems before the first message.

`doctor` always does so. At startup, agents from functions are skipped: their code expects to run for requests only.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from agents import Agent, Model
from chatkit.types import ThreadMetadata

from ..adopted import AdoptedServer
from ..adopted.author_agents import agents_of
from ..agents.reachable import reachable_agents
from ..context import RequestContext, SessionTerms
from ..errors.author_code import AuthorCodeError
from ..errors.log_format import redacted_message
from ..errors.setup import AgentSetupError
from ..models import Models
from ..run.server import ChatServer
from .context_check import GivenContext, declared_context, misfits

T = TypeVar("T")

AGENT_SECONDS = 10.0
TEST_USER = RequestContext(user_id="nobody", request_id="trial")
TRIED = f" when it was called for the test user “{TEST_USER.user_id}”"


@dataclass(frozen=True, slots=True)
class Trial:
    """The loaded agent of a workflow id, or None, and all problems found."""

    workflow_id: str
    agent: Agent[Any] | None
    problems: list[str] = field(default_factory=list)
    agents: Sequence[Agent[Any]] = ()
    """The agents of an exported workflow, which has none that starts."""
    context: GivenContext | None = None
    """What the agent's runs get as their context."""


@dataclass(frozen=True, slots=True)
class AnsweringModel:
    """A model, and the agent that it answers for."""

    name: str
    model: Model
    agent: str
    is_from_settings: bool
    """Whether it comes from the settings and not from the agent."""
    is_at_endpoint: bool
    """Whether it is called at the endpoint of the settings."""


async def try_agents(server: ChatServer) -> list[Trial]:
    """Load each agent as for a message; of an adopted server, take those beside its class. Never raises."""
    if isinstance(server, AdoptedServer):
        return [Trial("", agent) for agent in agents_of(server.author)] or [Trial("", None)]
    return [await _try(server, id, makes_context=True) for id in server.agents.ids]


async def try_at_start(server: ChatServer) -> list[Trial]:
    """Like `try_agents`, but return an empty trial for agents made by a function or by a server subclass."""
    if isinstance(server, AdoptedServer):
        return await try_agents(server)
    is_own = type(server).configured_agent is not ChatServer.configured_agent
    sources = {id: server.agents.find(id) for id in server.agents.ids}
    skipped = {id for id, source in sources.items() if source.workflow is None and (is_own or source.is_function)}
    return [Trial(id, None) if id in skipped else await _try(server, id) for id in server.agents.ids]


async def _try(server: ChatServer, workflow_id: str, *, makes_context: bool = False) -> Trial:
    source = server.agents.find(workflow_id)
    if source.workflow is not None:  # its agents run when a message asks for it
        return Trial(workflow_id, None, agents=source.workflow.agents)
    name = source.name
    terms = SessionTerms(id="trial", workflow_id=workflow_id, requests_per_minute=None)
    context = replace(TEST_USER, session=terms) if server.agents.is_mapping else TEST_USER
    agent, problem = await _call(lambda: server.configured_agent(context), name, "agent")
    if agent is None:
        return Trial(workflow_id, None, [problem])
    given = declared_context(server, source)
    if makes_context and given.maker:
        thread = ThreadMetadata(id="thr_trial", created_at=datetime.now(UTC))
        turn, problem = await _call(lambda: server.open_context(thread, context), given.maker, "context")
        if turn is None:
            return Trial(workflow_id, agent, [*_missing_tools(server, agent), problem], context=given)
        given = GivenContext(type(turn.run_context), given.maker)
    return Trial(workflow_id, agent, [*_missing_tools(server, agent), *misfits(agent, given)], context=given)


async def _call(function: Callable[[], Awaitable[T]], name: str, what: str) -> tuple[T | None, str]:
    """Return what the author's function returns, or None and why it failed."""
    try:
        async with asyncio.timeout(AGENT_SECONDS):
            return await function(), ""
    except AgentSetupError as error:
        return None, str(error)
    except TimeoutError:
        return None, f"{name} returned no {what} within {AGENT_SECONDS:g} seconds{TRIED}."
    except Exception as error:  # a user's function may raise anything
        return None, f"{name} raised {redacted_message(error)}{_location(error)}{TRIED}."


def answering_models(trials: Sequence[Trial], models: Models) -> list[AnsweringModel]:
    """Return the models of the agents and their handoffs, each once; without an agent, that of the settings."""
    answering: dict[str, AnsweringModel] = {}
    for trial in trials:
        for agent in trial.agents or [trial.agent or Agent(name="nobody")]:
            for reachable in reachable_agents(agent):
                model = _model_of(reachable, models)
                answering.setdefault(model.name, model)
    return list(answering.values())


def _model_of(agent: Agent[Any], models: Models) -> AnsweringModel:
    configured, name = agent.model, models.name_for(agent)
    if isinstance(configured, Model):
        return AnsweringModel(name, configured, agent.name, is_from_settings=False, is_at_endpoint=False)
    has_endpoint = models.base_url is not None  # without one, every name means the demo or the embedded model
    model = models.provider.get_model(configured)
    return AnsweringModel(
        name, model, agent.name, is_from_settings=not (configured and has_endpoint), is_at_endpoint=has_endpoint
    )


def _missing_tools(server: ChatServer, agent: Agent[Any]) -> list[str]:
    """Return a problem for each tool of CHATKIT_TOOLS that no agent has; none if an MCP server may have it."""
    agents = reachable_agents(agent)
    if any(reachable.mcp_servers for reachable in agents) or any(server.mcp.problems().values()):
        return []
    names = {tool.name for reachable in agents for tool in reachable.tools}
    return [
        f"CHATKIT_TOOLS offers {choice.name}, but the agent {agent.name} has no such tool; "
        f"it has {', '.join(sorted(names)) or 'none'}. Messages that ask for it are answered without it."
        for choice in server.choices.tools
        if choice.name not in names
    ]


def _location(error: BaseException) -> str:
    """Return the file and line that raised the error, or what it stands for."""
    source = error.__cause__ if isinstance(error, AuthorCodeError) and error.__cause__ is not None else error
    frames = traceback.extract_tb(source.__traceback__)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
