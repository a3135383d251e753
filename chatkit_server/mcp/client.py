"""Build the Agents SDK's client for an MCP server from its settings."""

from collections.abc import Callable
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


def make_client(name: str, spec: McpSpec, on_refusal: Callable[[int | None], None]) -> "MCPServer":
    """Return the Agents SDK's client for a server, not connected yet.

    `on_refusal` gets the status of each response that is not a success, which MCP's own SDK drops, else None.
    """
    common = CommonArguments(
        name=name, client_session_timeout_seconds=spec.seconds, require_approval=_approval_policy(spec.approve)
    )
    if spec.command is not None:
        process = mcp.MCPServerStdioParams(command=spec.command, args=spec.args, env=_plain(spec.env))
        if spec.cwd is not None:
            process["cwd"] = spec.cwd
        return mcp.MCPServerStdio(process, **common)
    url, headers, factory = spec.url or "", _plain(spec.headers), _client_factory(spec.transport, on_refusal)
    if spec.transport == "sse":
        return mcp.MCPServerSse({"url": url, "headers": headers, "httpx_client_factory": factory}, **common)
    return mcp.MCPServerStreamableHttp({"url": url, "headers": headers, "httpx_client_factory": factory}, **common)


def _client_factory(transport: str, on_refusal: Callable[[int | None], None]) -> Callable[..., Any]:
    import httpx2  # only with MCP servers, as above

    async def note(response: httpx2.Response) -> None:
        if response.request.method == "POST" or not response.is_success and transport == "sse":
            on_refusal(None if response.is_success else response.status_code)

    def make(
        headers: dict[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = None
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers=headers, timeout=timeout, auth=auth, follow_redirects=False, event_hooks={"response": [note]}
        )

    return make


def _approval_policy(approve: bool | list[str]) -> Any:
    if isinstance(approve, bool):
        return "always" if approve else "never"
    return {"always": {"tool_names": approve}}


def _plain(values: dict[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in values.items()}
