"""CHATKIT_SERVER and `create_app(server=...)`: classes, instances, functions, and mistakes."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatkit_server import ChatServer, create_app
from chatkit_server.adopted import AdoptedServer, load_server
from chatkit_server.errors.setup import SetupError
from tests.adopted.play_server import PlayServer
from tests.serving import make_settings

MODULE = """
import functools
from chatkit.server import ChatKitServer
from tests.adopted.play_server import PlayServer
from chatkit_server import ChatServer

instance = PlayServer()
number = 5

def of_query(query):
    return {}

def function():
    return PlayServer()

@functools.lru_cache
def cached():
    return PlayServer()

class Factory:
    @classmethod
    def create(cls):
        return PlayServer()

async def waiting():
    return PlayServer()

def own(parts):
    return ChatServer(parts)

def with_argument(desk):
    return PlayServer()

def with_arguments(desk, size):
    return PlayServer()

def broken():
    raise RuntimeError("no database")

class WithArguments(PlayServer):
    def __init__(self, state, *, size):
        super().__init__()

filled = functools.partial(WithArguments, "open", size=2)

class WithoutStore(PlayServer):
    def __init__(self):
        pass

class WithOtherStore(PlayServer):
    def __init__(self):
        super().__init__()
        self.store = {}

class Abstract(ChatKitServer):
    pass

class Other:
    pass

def context(request):
    return request
"""


@pytest.fixture
def _module(tmp_path: Path) -> Iterator[None]:
    """Put the module `their_server` into the working directory."""
    (tmp_path / "their_server.py").write_text(MODULE, encoding="utf-8")
    yield
    sys.modules.pop("their_server", None)
    sys.path.remove(str(tmp_path))


@pytest.mark.usefixtures("_module")
@pytest.mark.parametrize("spec", ["instance", "function", "cached", "filled", "Factory.create", "PlayServer"])
def test_a_class_an_instance_and_a_function_are_adopted(tmp_path: Path, spec: str) -> None:
    settings = make_settings(tmp_path, server=f"their_server:{spec}", server_context="their_server:context")
    server = create_app(settings).state.services.server
    assert isinstance(server, AdoptedServer)
    assert isinstance(server.author, PlayServer)


@pytest.mark.usefixtures("_module")
@pytest.mark.parametrize("spec", ["own", "ChatServer"])
def test_a_server_of_ours_may_be_named_too(tmp_path: Path, spec: str) -> None:
    settings = make_settings(tmp_path, server=f"their_server:{spec}")
    assert type(create_app(settings).state.services.server) is ChatServer


@pytest.mark.usefixtures("_module")
@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("their_server:missing", "cannot be imported: AttributeError"),
        ("no_module:x", "cannot be imported: ModuleNotFoundError"),
        ("their_server:number", "is of type int, not a class of a ChatKitServer"),
        ("their_server:broken", "cannot be made: RuntimeError: no database"),
        ("their_server:WithArguments", r"needs the arguments state, size\. Name an instance"),
        ("their_server:WithoutStore", "has no `store` of chatkit's: its constructor must call"),
        ("their_server:WithOtherStore", "has no `store` of chatkit's: its constructor must call"),
        ("their_server:Abstract", "needs the arguments store"),
        ("their_server:Other", "is the class Other, not a class of a ChatKitServer"),
        ("their_server:waiting", "is async"),
        ("their_server:with_arguments", "needs the arguments desk, size"),
    ],
)
def test_mistakes_are_explained(spec: str, reason: str) -> None:
    with pytest.raises(SetupError, match=f"CHATKIT_SERVER={spec} {reason}"):
        load_server(spec)


@pytest.mark.usefixtures("_module")
def test_what_a_function_with_an_argument_returns_must_be_ours(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="with_argument has returned an object of type PlayServer, not a ChatServer"):
        create_app(make_settings(tmp_path, server="their_server:with_argument"))


def test_create_app_takes_a_function_that_returns_one(tmp_path: Path) -> None:
    make = functools.lru_cache(PlayServer)
    server = create_app(make_settings(tmp_path), server=make).state.services.server
    assert isinstance(server, AdoptedServer)
    assert server.author is make()


@pytest.mark.usefixtures("_module")
def test_a_context_function_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="CHATKIT_SERVER_CONTEXT=their_server:function must take the request"):
        load_server("their_server:instance", "their_server:function")
    with pytest.raises(SetupError, match="CHATKIT_SERVER_CONTEXT=their_server:of_query has the parameter"):
        create_app(make_settings(tmp_path, server_context="their_server:of_query"))


def test_an_agent_beside_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="PlayServer runs its own agents: remove CHATKIT_AGENT"):
        create_app(make_settings(tmp_path, agent="tests.stage:Stage"), server=PlayServer)


def test_the_same_instance_may_be_served_again(tmp_path: Path) -> None:
    instance: Any = PlayServer()
    for name in ("one", "two"):
        create_app(make_settings(tmp_path / name), server=instance)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda server: functools.partial(functools.partial(server), "sales"),
        lambda server: lambda *parts: server("sales", *parts),
        lambda server: lambda parts: server("sales", parts),
    ],
    ids=["partial", "any arguments", "one argument"],
)
def test_what_makes_a_chat_server_gets_its_parts(tmp_path: Path, wrap: Any) -> None:
    class OwnServer(ChatServer):
        def __init__(self, desk: str, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.desk = desk

    assert create_app(make_settings(tmp_path), server=wrap(OwnServer)).state.services.server.desk == "sales"
