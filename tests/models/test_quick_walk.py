"""Our walk over the input of a model call, against that of the Agents SDK which it replaces."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import agents.items
import agents.models.openai_chatcompletions
import agents.models.openai_responses
import pytest
from agents.run_internal.items import deduplicate_input_items_preferring_latest, prepare_model_input_items
from hypothesis import given
from hypothesis import strategies as st

from chatkit_server.models.client import quick_walk as module
from chatkit_server.models.client.quick_walk import quick_walk, replace_walks, replaced_walks, stock_walk
from chatkit_server.models.client.wire_items import FittedItems, is_fitted, is_message, is_wire_form
from chatkit_server.models.fit_messages import fit_items

pytestmark = pytest.mark.no_cover

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()


def containers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists, mappings = st.lists(values, max_size=4), st.dictionaries(st.text(), values, max_size=4)
    lazy = lists.map(lambda entries: (entry for entry in entries)) | mappings.map(MappingProxyType)
    return lists | mappings | lists.map(tuple) | lazy


@given(st.data())
def test_it_returns_what_the_stock_walk_returns(data: st.DataObject) -> None:
    assert stock_walk is not None
    value = data.draw(st.recursive(SCALARS, lambda values: containers(values.filter(is_repeatable)), max_leaves=12))
    if is_repeatable(value):
        expected, copy = stock_walk(value), quick_walk(value)
        assert copy == expected
        assert types_of(copy) == types_of(expected)
        assert not isinstance(value, list | dict) or copy is not value


def is_repeatable(value: Any) -> bool:
    """Return whether two walks see the same: a generator is used up by the first."""
    return not hasattr(value, "__next__")


def types_of(value: Any) -> Any:
    if isinstance(value, Mapping):
        return type(value), [types_of(entry) for entry in value.values()]
    return (type(value), [types_of(entry) for entry in value]) if isinstance(value, list) else type(value)


def test_generators_become_lists() -> None:
    assert quick_walk({"content": (text for text in ["a", "b"])}) == {"content": ["a", "b"]}


def test_the_sdk_has_the_walks_that_are_replaced() -> None:
    """Without them the server works as well, but each turn of a long thread takes 10 ms more."""
    assert replaced_walks == [agents.items, agents.models.openai_responses, agents.models.openai_chatcompletions]
    assert agents.items.ItemHelpers.input_to_new_input_list(items := FittedItems([{"role": "user"}])) is items


def test_a_walk_that_is_not_the_one_we_know_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.items, module.NAME, str)
    monkeypatch.delattr(agents.models.openai_responses, module.NAME)
    assert replace_walks() == []
    assert getattr(agents.items, module.NAME) is str


MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "message", "role": "user", "content": "half \ud83d"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"},
        {"type": "message", "role": "user", "content": {1: "a"}},
        {"type": "message", "role": "user", "content": b"bytes"},
    ],
)
def test_items_that_a_request_would_change_are_not_fitted(item: dict[str, Any]) -> None:
    assert is_fitted([MESSAGE])
    assert not is_fitted([MESSAGE, item])


def test_fitted_items_are_in_wire_form_and_stay_as_they_are() -> None:
    items = FittedItems([MESSAGE])
    assert is_wire_form(items)
    assert fit_items(items) == items


ODD: list[dict[str, Any]] = [
    {"id": "msg_1", **MESSAGE},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"role": "user", "content": "Hi", "created_by": "me"},
]


def test_the_runner_leaves_messages_as_they_are_however_often_they_occur() -> None:
    """So the run of a plain answer does not ask it (`PlannedCall.stream`)."""
    messages: list[Any] = [MESSAGE, {"role": "assistant", "content": "Hi", "phase": "final_answer"}, MESSAGE]
    assert all(map(is_message, messages))
    assert deduplicate_input_items_preferring_latest(prepare_model_input_items(messages)) == messages
    assert not any(map(is_message, ODD))
