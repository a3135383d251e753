"""Agents behind handoffs, and the time limits of their tools."""

from typing import Any

from agents import Agent, FunctionTool, function_tool, handoff

from chatkit_server.agents.prepare import limit_tools
from chatkit_server.agents.reachable import find_agent


@function_tool
async def search() -> str:
    """Searches."""
    return ""


@function_tool
def read() -> str:
    """Reads, in a thread."""
    return ""


@function_tool(timeout=5)
async def write() -> str:
    """Writes, with a limit that its author set."""
    return ""


def team() -> Agent[Any]:
    """Return a triage agent that hands over to billing, which hands over to refunds, which can hand back."""
    refunds = Agent[Any](name="Refunds", tools=[search, read, write])
    billing = Agent[Any](name="Billing", handoffs=[handoff(refunds)])
    triage = Agent[Any](name="Triage", handoffs=[billing])
    refunds.handoffs.append(triage)
    return triage


def test_an_agent_is_found_behind_any_handoff() -> None:
    triage = team()
    for name in ("Triage", "Billing", "Refunds"):
        agent = find_agent(triage, name)
        assert agent is not None
        assert agent.name == name
    assert find_agent(triage, "Sales") is None


def test_all_tools_without_a_limit_that_support_one_get_it() -> None:
    triage = team()
    limits: list[list[float | None]] = []
    for seconds in (240, 30, 30):
        limit_tools(triage, seconds)
        refunds = find_agent(triage, "Refunds")
        assert refunds is not None
        limits.append([tool.timeout_seconds for tool in refunds.tools if isinstance(tool, FunctionTool)])
    assert limits == [[240, None, 5], [30, None, 5], [30, None, 5]]
