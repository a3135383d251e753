"""MCP servers whose tools the agent gets: who they are, their connections, and what the agent sees of them."""

from .servers import McpServers
from .spec import McpSpec

__all__ = ["McpServers", "McpSpec"]
