"""Build the Agents SDK's client for an MCP server from its settings."""

from typing import TYPE_CHECKING, Any, TypedDict

from agents import mcp  # imports its servers, and with them MCP's own SDK, only when they are used
from pydantic import SecretStr

from .spec import McpSpec

if TYPE_CHECKING:
    from agents.mcp import MCPServer


class CommonArguments(TypedDict):
    """The arguments that all of the Agents SDK's clients take."""

    name: str
    client_session_timeout_seconds: float
    require_approval: Any


def make_client(name: str, spec: McpSpec) -> "MCPServer":
    """Return the Agents SDK's client for a server, not connected yet."""
    common = CommonArguments(
        name=name, client_session_timeout_seconds=spec.seconds, require_approval=_approval_policy(spec.approve)
    )
    if spec.command is not None:
        process = mcp.MCPServerStdioParams(command=spec.command, args=spec.args, env=_plain(spec.env))
        if spec.cwd is not None:
            process["cwd"] = spec.cwd
        return mcp.MCPServerStdio(process, **common)
    url, headers = spec.url or "", _plain(spec.headers)
    if spec.transport == "sse":
        return mcp.MCPServerSse({"url": url, "headers": headers}, **common)
    return mcp.MCPServerStreamableHttp({"url": url, "headers": headers}, **common)


def _approval_policy(approve: bool | list[str]) -> Any:
    if isinstance(approve, bool):
        return "always" if approve else "never"
    return {"always": {"tool_names": approve}}


def _plain(values: dict[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in values.items()}
