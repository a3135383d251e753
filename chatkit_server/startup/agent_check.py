"""The agent, loaded once for nobody, so that what is wrong shows before any message: by `doctor`, and at the start
where that runs no code of the user's, who may count on being called for requests only."""

import asyncio
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents import Agent, Model

from ..agents.prepare import reachable_agents
from ..context import RequestContext
from ..errors.log_format import redacted_message
from ..errors.setup import AgentSetupError
from ..models import Models
from ..run.server import ChatServer

SECONDS = 10.0
NOBODY = RequestContext(user_id="nobody", request_id="trial")
TRIED = f" when it was tried for the user “{NOBODY.user_id}”"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it: the agent, or why there is none; and what else is wrong."""

    agent: Agent[Any] | None
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AnsweringModel:
    """A model that answers, and for which agent."""

    name: str
    model: Model
    agent: str
    is_of_settings: bool
    """Whether the settings say which, and not the agent itself."""
    is_at_endpoint: bool
    """Whether it is asked at the endpoint of the settings."""


async def try_agent(server: ChatServer) -> Trial:
    """Loads the agent as for a message. Never raises."""
    try:
        async with asyncio.timeout(SECONDS):
            agent = await server.configured_agent(NOBODY)
    except AgentSetupError as error:
        return Trial(None, [str(error)])
    except TimeoutError:
        return Trial(None, [f"{server.agent.name} returned no agent within {SECONDS:g} seconds{TRIED}."])
    except Exception as error:  # the function is a user's, and may raise anything
        return Trial(None, [f"{server.agent.name} raised {redacted_message(error)}{_place(error)}{TRIED}."])
    return Trial(agent, list(_missing_tools(server, agent)))


async def try_at_start(server: ChatServer) -> Trial:
    """As `try_agent`. Of an agent that a function makes, or a server of the user's own, nothing is known."""
    if server.agent.is_function or type(server).configured_agent is not ChatServer.configured_agent:
        return Trial(None)
    return await try_agent(server)


def answering_models(agent: Agent[Any] | None, models: Models) -> list[AnsweringModel]:
    """The models of `agent` and of those that it can hand over to, each once; the settings' one for no agent."""
    found: dict[str, AnsweringModel] = {}
    for one in reachable_agents(agent or Agent(name="nobody")):
        answering = _model_of(one, models)
        found.setdefault(answering.name, answering)
    return list(found.values())


def _model_of(agent: Agent[Any], models: Models) -> AnsweringModel:
    own, name = agent.model, models.name_for(agent)
    if isinstance(own, Model):
        return AnsweringModel(name, own, agent.name, is_of_settings=False, is_at_endpoint=False)
    has_endpoint = models.base_url is not None  # without one, each name is the demo's or the embedded model's
    model = models.provider.get_model(own)
    return AnsweringModel(
        name, model, agent.name, is_of_settings=not (own and has_endpoint), is_at_endpoint=has_endpoint
    )


def _missing_tools(server: ChatServer, agent: Agent[Any]) -> list[str]:
    """What CHATKIT_TOOLS offers and nobody has, as far as that can be known: a server that is away may have it."""
    agents = reachable_agents(agent)
    if any(one.mcp_servers for one in agents) or any(server.mcp.problems().values()):
        return []
    known = {tool.name for one in agents for tool in one.tools}
    return [
        f"CHATKIT_TOOLS offers {choice.name}, but the agent {agent.name} has no such tool; "
        f"it has {', '.join(sorted(known)) or 'none'}. A message that asks for it is answered without."
        for choice in server.choices.tools
        if choice.name not in known
    ]


def _place(error: BaseException) -> str:
    """Where the user's code raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
