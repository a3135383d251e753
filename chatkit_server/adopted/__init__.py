"""Servers that were written for chatkit's own `ChatKitServer`, run unchanged."""

from .adopted_server import AdoptedServer
from .author_context import ContextMaker
from .server_loading import ServerChoice, is_adopted, load_agents_for, load_server

__all__ = ["AdoptedServer", "ContextMaker", "ServerChoice", "is_adopted", "load_agents_for", "load_server"]
