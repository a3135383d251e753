"""Whether the MCP servers are connected and have the tools that the settings name."""

from collections.abc import Iterator, Mapping

from ...mcp import McpServers
from ...mcp.spec import McpSpec
from .finding import Finding


def examine_mcp(servers: McpServers, specs: Mapping[str, McpSpec]) -> Iterator[Finding]:
    """Yield what is to be said of each server, after the attempt to connect."""
    missing_tools = servers.missing_tools()
    for name, problem in servers.problems().items():
        if problem is not None:
            text = f"{specs[name].place}: {problem.reason}. {problem.advice}".rstrip()
            yield Finding(f"mcp {name}", text, "WRONG")
            continue
        yield Finding(f"mcp {name}", "connected")
        if missing := missing_tools[name]:
            tools = ", ".join(missing)
            text = f"It has no tool {tools}, which CHATKIT_MCP_SERVERS names. Correct its tools or approve."
            yield Finding(f"mcp {name}", text, "WRONG")
