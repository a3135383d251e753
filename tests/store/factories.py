"""Make complete objects with defaults; a test passes only the fields it is about."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    HiddenContextItem,
    InferenceOptions,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot

from chatkit_store import ApiKey, ChatSession, NewTurn, new_id

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass(frozen=True)
class User:
    """A context that only has a user, who may belong to a tenant."""

    user_id: str
    tenant: str = ""


ALICE = User("alice")
BOB = User("bob")


def make_thread(**fields: Any) -> ThreadMetadata:
    """Return an unsaved thread."""
    return ThreadMetadata(**({"id": new_id("thr"), "created_at": NOON} | fields))


def user_message(text: str = "Hello", **fields: Any) -> UserMessageItem:
    """Return a user's message."""
    content = [UserMessageTextContent(text=text)]
    return UserMessageItem(**_common("msg") | {"content": content, "inference_options": InferenceOptions()} | fields)


def assistant_message(text: str = "Hi there", **fields: Any) -> AssistantMessageItem:
    """Return an assistant's message."""
    return AssistantMessageItem(**_common("msg") | {"content": [AssistantMessageContent(text=text)]} | fields)


def hidden_item(content: Any = "a secret", **fields: Any) -> HiddenContextItem:
    """Return a hidden item, which only the model reads."""
    return HiddenContextItem(**_common("msg") | {"content": content} | fields)


def tool_call(**fields: Any) -> ClientToolCallItem:
    """Return a pending call of a client tool."""
    call = {"call_id": "call_1", "name": "find", "arguments": {"what": "tea", "limit": 2}}
    return ClientToolCallItem(**_common("tc") | call | fields)


def widget_with(*actions: str, **fields: Any) -> WidgetItem:
    """Return a card with a button for each action type."""
    buttons = [{"type": "Button", "label": type, "onClickAction": {"type": type}} for type in actions]
    widget = DynamicWidgetRoot.model_validate({"type": "Card", "children": buttons})
    return WidgetItem(**_common("msg") | {"widget": widget} | fields)


def make_turn(thread_id: str, **fields: Any) -> NewTurn:
    """Return a turn that has not started."""
    common = {"id": new_id("turn"), "thread_id": thread_id, "kind": "threads.add_user_message", "request_id": "req_1"}
    return NewTurn(**common | fields)


def text_of(item: ThreadItem) -> str:
    """Return the text of a message or a hidden item."""
    if isinstance(item, HiddenContextItem):
        return str(item.content)
    assert isinstance(item, UserMessageItem | AssistantMessageItem)
    return "".join(part.text for part in item.content)


def _common(prefix: str) -> dict[str, Any]:
    return {"id": new_id(prefix), "thread_id": "thr_", "created_at": NOON}


def make_session(*, seconds: float = 600, **fields: Any) -> ChatSession:
    """Return an unsaved chat session of Alice that is valid for `seconds` and renewable for an hour."""
    id, moment = new_id("cksess"), datetime.now(UTC)
    defaults: dict[str, Any] = {
        "id": id,
        "session_id": id,
        "secret_hash": f"hash of {id}",
        "tenant": "",
        "user_id": ALICE.user_id,
        "user_name": None,
        "is_anonymous": False,
        "workflow": '{"id":"wf_1"}',
        "configuration": "{}",
        "requests_per_minute": 10,
        "created_at": moment,
        "expires_at": moment + timedelta(seconds=seconds),
        "renewable_until": moment + timedelta(hours=1),
    }
    return ChatSession(**defaults | fields)


def make_key(**fields: Any) -> ApiKey:
    """Return an unsaved API key."""
    id = new_id("key")
    defaults: dict[str, Any] = {
        "id": id,
        "name": "backend",
        "key_hash": f"hash of {id}",
        "hint": "ck_abc",
        "is_admin": False,
        "created_at": datetime.now(UTC),
    }
    return ApiKey(**defaults | fields)
