"""The agent that answers: the default one, or the user's own by import path."""

from chatkit_server.agents.default import default_agent
from chatkit_server.agents.errors import AgentSetupError
from chatkit_server.agents.loading import AgentLike, AgentSource, load_agent

__all__ = ["AgentLike", "AgentSetupError", "AgentSource", "default_agent", "load_agent"]
