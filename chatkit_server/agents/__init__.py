"""The agent that answers: the default one, or the user's own by import path."""

from .choosing import require_tool
from .default import default_agent
from .errors import AgentSetupError
from .failing import note_failure
from .guarding import guarded_as
from .loading import AgentLike, AgentSource, load_agent
from .reachable import find_agent, reachable_agents
from .timeouts import limit_tools

__all__ = [
    "AgentLike",
    "AgentSetupError",
    "AgentSource",
    "default_agent",
    "find_agent",
    "guarded_as",
    "limit_tools",
    "load_agent",
    "note_failure",
    "reachable_agents",
    "require_tool",
]
