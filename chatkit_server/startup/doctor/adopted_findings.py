"""What an adopted `ChatKitServer` does itself, and what it gets from this server instead."""

import inspect
from collections.abc import Iterator
from typing import Any

from agents import Agent
from agents.models._openai_shared import get_default_openai_client
from chatkit.server import ChatKitServer
from chatkit.store import Store

from ...adopted import AdoptedServer
from ...adopted.author_agents import agents_of
from ...adopted.author_store import original_class
from ...settings import Settings
from .finding import Finding

ASKED = ("action", "sync_action", "transcribe", "add_feedback", "get_stream_options", "handle_stream_cancelled")
"""Methods that an author may write besides `respond`."""


def examine_adopted(server: AdoptedServer, settings: Settings) -> Iterator[Finding]:
    """Yield what is to be said of the author's class, its store, its files and its models."""
    author = server.author
    written = [name for name in ("respond", *ASKED) if _has(author, name)]
    yield Finding("server", f"{type(author).__module__}.{server.author_name}; it has {', '.join(written)}")
    if unused := _unused(author):
        yield Finding("server", f"its {', '.join(unused)} is not called: this server does that work", "WARN")
    store = original_class(author.store).__name__
    yield Finding("server", f"its store {store} reads and writes this server's database")
    if own := _own_methods(original_class(author.store)):
        text = f"{store} has methods of its own ({', '.join(own)}): what they keep in its fields is not in the database"
        yield Finding("server", text, "WARN")
    if server.strays:
        yield Finding("server", f"what {store} held before stays in memory, unseen: {server.strays}", "WARN")
    yield _of_files(server, settings)
    yield Finding("server", f"its context is {server.context_name}")
    if agents := agents_of(author):
        yield Finding("server", f"its agents: {', '.join(map(_describe, agents))}")
    if get_default_openai_client() is not None:
        text = "its code calls set_default_openai_client, so its agents do not use the endpoint of the settings"
        yield Finding("server", text, "WARN")


def _own_methods(store: type[Store[Any]]) -> list[str]:
    """Return the public methods of the author's store that chatkit does not know."""
    classes = [kind for kind in store.__mro__ if issubclass(kind, Store) and kind is not Store]
    names = {name for kind in classes for name, member in vars(kind).items() if inspect.isfunction(member)}
    return sorted(name for name in names if not name.startswith("_") and not hasattr(Store, name))


def _of_files(server: AdoptedServer, settings: Settings) -> Finding:
    own = server.author.attachment_store
    if own is None:
        return Finding("server", "it has no attachment store, so users cannot send files")
    if not settings.attachments:
        return Finding("server", f"its {type(own).__name__} is not used: CHATKIT_ATTACHMENTS is off", "WARN")
    if not server.offers_attachments:
        text = f"its {type(own).__name__} has no create_attachment: files can only be uploaded to routes of its own"
        return Finding("server", text, "WARN")
    return Finding("server", f"its {type(own).__name__} takes the files; the routes for their bytes are its own")


def _describe(agent: Agent[Any]) -> str:
    model = agent.model if isinstance(agent.model, str | None) else type(agent.model).__name__
    return f"{agent.name} ({model or 'the model of the settings'})"


def _has(author: ChatKitServer[Any], method: str) -> bool:
    return getattr(type(author), method) is not getattr(ChatKitServer, method)


def _unused(author: ChatKitServer[Any]) -> list[str]:
    """Return the author's versions of methods with which chatkit's `process` does its work."""
    chatkits = {name for name, member in vars(ChatKitServer).items() if inspect.isfunction(member)}
    return sorted(name for name in chatkits - {"__init__", "respond", *ASKED} if _has(author, name))
