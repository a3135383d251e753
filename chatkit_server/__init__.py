"""A server for self-hosted ChatKit chats. Only the names listed here are public."""

from .agent_context import AgentContext
from .app import __version__, create_app
from .composer.mentions import Entity
from .context import RequestContext
from .conversion.tool_display import ToolDisplay, shown_as
from .interactions.actions import Actions, on_action
from .interactions.client_tools import client_tool
from .interactions.questions import ask_user
from .run.server import ChatServer
from .run.stream import stream_agent_response
from .settings import Settings

__all__ = [
    "Actions",
    "AgentContext",
    "ChatServer",
    "Entity",
    "RequestContext",
    "Settings",
    "ToolDisplay",
    "__version__",
    "ask_user",
    "client_tool",
    "create_app",
    "on_action",
    "shown_as",
    "stream_agent_response",
]
