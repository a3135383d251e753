"""Connect to MCP servers and give their tools to the agent."""

from .servers import McpServers
from .spec import McpSpec

__all__ = ["McpServers", "McpSpec"]
