"""Whether the MCP servers can be reached, the agent can be loaded and its models answer."""

from collections.abc import AsyncGenerator
from typing import Any

from agents import Agent

from ...adopted import AdoptedServer
from ...agents.loading import AgentSource
from ...agents.reachable import reachable_agents
from ...services import Services
from ..agent_check import answering_models, try_agents
from .adopted_findings import examine_adopted
from .finding import Finding
from .mcp_findings import examine_mcp
from .model_findings import examine_model, examine_named_models
from .workflow_findings import examine_workflow


async def examine_agent(services: Services) -> AsyncGenerator[Finding]:
    """Yield what is to be said of the MCP servers, the agent and its models.

    The agent is loaded while the servers are connected, because it uses their tools.
    """
    servers = services.server.mcp
    try:
        await servers.start(patience=servers.timeouts.connect)
        for finding in examine_mcp(servers, services.settings.mcp_servers):
            yield finding
        trials = await try_agents(services.server)
    finally:
        await servers.close()
    if isinstance(services.server, AdoptedServer):
        for finding in examine_adopted(services.server, services.settings):
            yield finding
    for trial in trials if not isinstance(services.server, AdoptedServer) else ():
        name = f"agent {trial.workflow_id}" if services.server.agents.is_mapping else "agent"
        source = services.server.agents.find(trial.workflow_id)
        if source.workflow is not None:
            for finding in examine_workflow(name, source.workflow):
                yield finding
        elif trial.agent is not None:
            yield Finding(name, _describe_agent(trial.agent, source))
            if trial.context is not None and trial.context.maker:
                yield Finding(name, f"its context is {trial.context}")
        for problem in trial.problems:
            yield Finding(name, problem, "WRONG")
    answering = answering_models(trials, services.models)
    for model in answering:
        yield await examine_model(services, model)
    async for finding in examine_named_models(services, [model.name for model in answering]):
        yield finding


def _describe_agent(agent: Agent[Any], source: AgentSource) -> str:
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
