"""Agents behind handoffs, and the limit that their tools get."""

from typing import Any

from agents import Agent, FunctionTool, function_tool, handoff

from chatkit_server.agents.prepare import find_agent, limit_tools


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
    """Writes, with a limit of its author's."""
    return ""


def team() -> Agent[Any]:
    """A triage that reaches billing, and refunds behind it, which can hand back."""
    refunds = Agent[Any](name="Refunds", tools=[search, read, write])
    billing = Agent[Any](name="Billing", handoffs=[handoff(refunds)])
    triage = Agent[Any](name="Triage", handoffs=[billing])
    refunds.handoffs.append(triage)
    return triage


def test_an_agent_is_found_behind_any_handoff() -> None:
    triage = team()
    for name in ("Triage", "Billing", "Refunds"):
        found = find_agent(triage, name)
        assert found is not None
        assert found.name == name
    assert find_agent(triage, "Sales") is None


def test_tools_of_all_agents_get_a_limit_where_they_have_none_and_can_have_one() -> None:
    triage = team()
    limits: list[list[float | None]] = []
    for seconds in (240, 30, 30):
        limit_tools(triage, seconds)
        refunds = find_agent(triage, "Refunds")
        assert refunds is not None
        limits.append([tool.timeout_seconds for tool in refunds.tools if isinstance(tool, FunctionTool)])
    assert limits == [[240, None, 5], [30, None, 5], [30, None, 5]]
