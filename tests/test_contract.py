"""Parts of the SDKs that we rely on and that are private, capped, or expected to grow."""

import ast
import inspect
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import agents
import pytest
from agents import RunResultStreaming
from agents.models import chatcmpl_helpers, openai_responses
from chatkit import types as chatkit_types
from chatkit.agents import AgentContext as SdkAgentContext
from chatkit.server import ChatKitServer
from chatkit.store import Store
from chatkit.types import ThreadItemDoneEvent, ThreadMetadata
from pydantic import TypeAdapter

import chatkit_server
import chatkit_store
from chatkit_server import AgentContext, ChatServer
from chatkit_server.events.frames import serialize
from chatkit_server.routes.protocol import OPERATIONS, STREAMING_OPERATIONS
from chatkit_store import SqlStore
from tests.protocol.requirements import REQUIREMENTS
from tests.stage import EXAMPLES, make_item
from tests.support.chatkit import STREAMING

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))


def members(union: Any) -> set[str]:
    """Return the `type` of each member of a chatkit union."""
    inner = get_args(union)[0] if hasattr(union, "__metadata__") else union
    return {member.model_fields["type"].default for member in get_args(inner)}


# The Agents SDK


def test_the_private_names_that_chatkit_imports_from_the_agents_sdk_exist() -> None:
    """T42: chatkit.server cannot be imported without them, and does not cap its dependency."""
    for variable in (openai_responses._HEADERS_OVERRIDE, chatcmpl_helpers.HEADERS_OVERRIDE):
        variable.reset(variable.set({"User-Agent": "test"}))
        assert variable.get() is None


@pytest.mark.parametrize("name", ["openai-chatkit", "openai-agents", "openai"])
def test_both_sdks_and_the_client_are_capped(name: str) -> None:
    (line,) = [
        line for line in PYPROJECT["project"]["dependencies"] if line.partition(">")[0].partition("[")[0] == name
    ]
    assert "<" in line


def test_a_streamed_run_has_the_task_that_we_await() -> None:
    """Without it a cancelled run's model call could outlive its turn (T3)."""
    assert "run_loop_task" in dir(RunResultStreaming) or "run_loop_task" in RunResultStreaming.__dataclass_fields__
    assert callable(RunResultStreaming.cancel)


def test_the_errors_that_failures_maps_are_the_sdks() -> None:
    kinds = {name for name in agents.__all__ if is_error(getattr(agents, name))}
    assert kinds >= {"MaxTurnsExceeded", "ModelBehaviorError", "ModelRefusalError", "UserError", "AgentsException"}


def is_error(value: object) -> bool:
    """Return whether it is an exception class."""
    return inspect.isclass(value) and issubclass(value, Exception)


# chatkit


def test_our_operations_are_chatkits_and_the_tests_know_them_all() -> None:
    streaming, plain = members(chatkit_types.StreamingReq), members(chatkit_types.NonStreamingReq)
    assert len(OPERATIONS) == 16
    assert streaming | plain == set(OPERATIONS)
    assert streaming == set(STREAMING_OPERATIONS) == set(STREAMING)
    assert {requirement.id for requirement in REQUIREMENTS} >= OPERATIONS


def test_the_item_types_are_the_eleven_that_the_tests_know() -> None:
    kinds = members(chatkit_types.ThreadItem)
    assert kinds == set(EXAMPLES)
    assert {requirement.id for requirement in REQUIREMENTS} >= {f"item.{kind}" for kind in kinds}


def test_the_events_and_updates_are_those_that_a_turn_and_fold_handle() -> None:
    assert members(chatkit_types.ThreadStreamEvent) == {
        "thread.created",
        "thread.updated",
        "thread.item.added",
        "thread.item.updated",
        "thread.item.done",
        "thread.item.removed",
        "thread.item.replaced",
        "stream_options",
        "progress_update",
        "client_effect",
        "error",
        "notice",
    }
    assert members(chatkit_types.ThreadItemUpdate) == {
        "assistant_message.content_part.added",
        "assistant_message.content_part.text_delta",
        "assistant_message.content_part.annotation_added",
        "assistant_message.content_part.done",
        "widget.streaming_text.value_delta",
        "widget.component.updated",
        "widget.root.updated",
        "workflow.task.added",
        "workflow.task.updated",
        "generated_image.updated",
    }
    assert members(chatkit_types.ThreadStatus) == {"active", "locked", "closed"}


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_our_frames_equal_those_of_chatkits_server(kind: str, stock: ChatKitServer[Any]) -> None:
    thread = ThreadMetadata(id="thr_1", created_at="2026-11-23T00:00:00Z")
    event = ThreadItemDoneEvent(item=make_item(kind, thread, "x_1"))
    assert serialize(event) == stock._serialize(event)


@pytest.fixture
def stock() -> ChatKitServer[Any]:
    """chatkit's server; its serialization does not need a store."""
    return ChatServer.__new__(ChatServer)


def test_a_request_of_the_widget_is_valid_for_chatkit() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(chatkit_types.ChatKitReq)
    content = [{"type": "input_text", "text": "hi"}]
    message = {"content": content, "quoted_text": "", "attachments": [], "inference_options": {}}
    request = adapter.validate_json(json.dumps({"type": "threads.create", "params": {"input": message}}))
    assert request.model_dump(exclude_defaults=True)["params"] == {
        "input": {"content": [{"text": "hi"}], "quoted_text": "", "attachments": [], "inference_options": {}}
    }


def test_the_store_has_every_method_of_chatkits() -> None:
    assert SqlStore.__abstractmethods__ == frozenset()
    assert len(Store.__abstractmethods__) == 12


def test_our_context_has_every_helper_that_chatkits_has_with_the_same_arguments() -> None:
    """Agents written for the SDK's samples run unchanged."""
    for name, method in inspect.getmembers(SdkAgentContext, inspect.isfunction):
        if name.startswith("_") or name in vars(SdkAgentContext.__mro__[1]):
            continue
        own, chatkit = inspect.signature(getattr(AgentContext, name)), inspect.signature(method)
        assert list(own.parameters) == list(chatkit.parameters), name
    assert SdkAgentContext.model_fields.keys() == AgentContext.model_fields.keys()


def test_our_server_has_every_method_of_chatkits() -> None:
    public = {name for name, _ in inspect.getmembers(ChatKitServer, inspect.isfunction) if not name.startswith("_")}
    assert public <= set(dir(ChatServer))
    assert public == {
        "action",
        "add_feedback",
        "get_stream_options",
        "handle_stream_cancelled",
        "process",
        "respond",
        "sync_action",
        "transcribe",
    }


# Our packages


@pytest.mark.parametrize("package", [chatkit_server, chatkit_store], ids=lambda package: package.__name__)
def test_the_public_names_of_a_package_are_those_it_lists(package: ModuleType) -> None:
    assert set(package.__all__) == set(public_names(package))
    assert [name for name in package.__all__ if not hasattr(package, name)] == []


def public_names(package: ModuleType) -> Iterator[str]:
    """Yield the names that the package imports from its own modules."""
    for node in ast.walk(ast.parse(inspect.getsource(package))):  # some are only imported when they are used
        if isinstance(node, ast.ImportFrom) and (node.level or str(node.module).startswith(package.__name__)):
            yield from (alias.asname or alias.name for alias in node.names)


def test_the_main_names_can_be_imported() -> None:
    assert set(chatkit_server.__all__) >= {"create_app", "Settings", "ChatServer", "RequestContext"}
    assert set(chatkit_store.__all__) >= {"SqlStore", "open_engine", "create_schema"}


def test_the_store_never_imports_the_server() -> None:
    folder = Path(chatkit_store.__file__).parent
    assert [path.name for path in folder.glob("*.py") if "chatkit_server" in imports_of(path)] == []


def imports_of(path: Path) -> set[str]:
    """Return the top-level packages that a file imports."""
    packages: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            packages.add(node.module.partition(".")[0])
    return packages
