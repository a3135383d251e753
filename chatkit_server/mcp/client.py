"""Build the Agents SDK's client for an MCP server from its settings."""

from typing import Any, TypedDict

from agents.mcp import MCPServer, MCPServerSse, MCPServerStdio, MCPServerStdioParams, MCPServerStreamableHttp
from pydantic import SecretStr

from .spec import McpSpec


class CommonArguments(TypedDict):
    """The arguments that all of the Agents SDK's clients take."""

    name: str
    client_session_timeout_seconds: float
    require_approval: Any


def make_client(name: str, spec: McpSpec) -> MCPServer:
    """Return the Agents SDK's client for a server, not connected yet."""
    common = CommonArguments(
        name=name, client_session_timeout_seconds=spec.seconds, require_approval=_approval_policy(spec.approve)
    )
    if spec.command is not None:
        process = MCPServerStdioParams(command=spec.command, args=spec.args, env=_plain(spec.env))
        if spec.cwd is not None:
            process["cwd"] = spec.cwd
        return MCPServerStdio(process, **common)
    url, headers = spec.url or "", _plain(spec.headers)
    if spec.transport == "sse":
        return MCPServerSse({"url": url, "headers": headers}, **common)
    return MCPServerStreamableHttp({"url": url, "headers": headers}, **common)


def _approval_policy(approve: bool | list[str]) -> Any:
    if isinstance(approve, bool):
        return "always" if approve else "never"
    return {"always": {"tool_names": approve}}


def _plain(values: dict[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in values.items()}
