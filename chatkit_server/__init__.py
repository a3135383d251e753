"""A server for self-hosted ChatKit chats. Only the names listed here are public."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent_context import AgentContext
    from .app import create_app
    from .auth.login import User
    from .composer.mentions import Entity
    from .context import RequestContext
    from .conversion.tool_display import ToolDisplay, shown_as
    from .errors.http import NotAuthenticated
    from .interactions.actions import Actions, on_action
    from .interactions.client_tools import client_tool
    from .interactions.questions import ask_user
    from .routes.server_app import lifespan_of
    from .run.server import ChatServer
    from .run.stream import stream_agent_response
    from .settings import Settings
    from .version import __version__

__all__ = [
    "Actions",
    "AgentContext",
    "ChatServer",
    "Entity",
    "NotAuthenticated",
    "RequestContext",
    "Settings",
    "ToolDisplay",
    "User",
    "__version__",
    "ask_user",
    "client_tool",
    "create_app",
    "lifespan_of",
    "on_action",
    "shown_as",
    "stream_agent_response",
]

_HOMES = {
    "Actions": ".interactions.actions",
    "AgentContext": ".agent_context",
    "ChatServer": ".run.server",
    "Entity": ".composer.mentions",
    "NotAuthenticated": ".errors.http",
    "RequestContext": ".context",
    "Settings": ".settings",
    "ToolDisplay": ".conversion.tool_display",
    "User": ".auth.login",
    "__version__": ".version",
    "ask_user": ".interactions.questions",
    "client_tool": ".interactions.client_tools",
    "create_app": ".app",
    "lifespan_of": ".routes.server_app",
    "on_action": ".interactions.actions",
    "shown_as": ".conversion.tool_display",
    "stream_agent_response": ".run.stream",
}
"""The module of each name. They take seconds to import, and a worker must first answer that it is alive."""

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(_HOMES[name], __name__), name)
        return value
