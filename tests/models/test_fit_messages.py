"""Requests in a form that strict endpoints accept; tests/conformance shows what each of them refuses."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit_server.models.fit_messages import (
    BEGINNING,
    CONTINUE,
    INPUT_NOTE,
    NO_ANSWER,
    NO_OUTPUT,
    NO_TEXT,
    fit_items,
    fit_messages,
    items_without_old_files,
    object_arguments,
)

Json = dict[str, Any]

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def assistant(content: Any = None, *calls: str) -> Json:
    return {"role": "assistant", "content": content} | ({"tool_calls": [call(name) for name in calls]} if calls else {})


def call(call_id: str, arguments: str = "{}") -> Json:
    return {"id": call_id, "type": "function", "function": {"name": "look", "arguments": arguments}}


def tool(call_id: str, content: Any = "42") -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("messages", "fitted"),
    [
        ([SYSTEM, user("a"), assistant("b"), user("c")], [SYSTEM, user("a"), assistant("b"), user("c")]),
        ([user("a"), user("b")], [user("a\n\nb")]),
        ([user([text("a"), text("b")])], [user("a\nb")]),
        ([user([text("a"), IMAGE]), user("b")], [user([text("a"), IMAGE, text("b")])]),
        ([user("a"), user([IMAGE])], [user([text("a"), IMAGE])]),
        ([user([IMAGE, text(" ")])], [user([IMAGE])]),
        ([user(""), user(" ")], [user(f"{NO_TEXT}\n\n{NO_TEXT}")]),
        ([assistant("Hello"), user("a")], [user(BEGINNING), assistant("Hello"), user("a")]),
        ([SYSTEM, assistant("Hello"), user("a")], [SYSTEM, user(BEGINNING), assistant("Hello"), user("a")]),
        ([user("a"), assistant("b"), assistant("c"), user("d")], [user("a"), assistant("b\n\nc"), user("d")]),
        ([user("a"), assistant(""), user("b")], [user("a\n\nb")]),
        (
            [user("a"), assistant("b"), assistant(None, "1"), tool("1"), assistant("c"), user("d")],
            [user("a"), assistant("b", "1"), tool("1"), assistant("c"), user("d")],
        ),
        (
            [user("a"), assistant("", "1", "2"), tool("1"), tool("2", ""), user("b")],
            [user("a"), assistant(None, "1", "2"), tool("1"), tool("2", NO_OUTPUT), assistant(NO_ANSWER), user("b")],
        ),
        ([user("a"), assistant("b")], [user("a"), assistant("b"), user(CONTINUE)]),
        ([user("a"), assistant(None, "1"), tool("1")], [user("a"), assistant(None, "1"), tool("1")]),
        ([SYSTEM], [SYSTEM, user(CONTINUE)]),
        ([], [user(CONTINUE)]),
        (
            [SYSTEM, {"role": "developer", "content": "Be kind."}, user("a")],
            [{"role": "system", "content": "Be brief.\n\nBe kind."}, user("a")],
        ),
        ([{"role": "system", "content": ""}, user("a")], [user("a")]),
        (
            [SYSTEM, user("a"), assistant("b"), {"role": "developer", "content": "Now."}, user("c")],
            [SYSTEM, user("a"), assistant("b"), user("Now.\n\nc")],
        ),
        ([user("a\0 \ud83d")], [user("a\ufffd \ufffd")]),
        ([{**assistant("b"), "tool_calls": []}, user("a")], [user(BEGINNING), assistant("b"), user("a")]),
    ],
)
def test_messages_are_made_valid(messages: Sequence[Json], fitted: Sequence[Json]) -> None:
    before = json.dumps(messages)
    assert fit_messages(messages) == fitted
    assert fit_messages(fitted) == fitted
    assert json.dumps(messages) == before


steps = st.sampled_from(["system", "developer", "user", "assistant", "call"])
contents = st.one_of(st.text(max_size=3), st.none(), st.just([IMAGE]), st.lists(st.builds(text, st.text(max_size=2))))


@given(st.lists(st.tuples(steps, contents), max_size=12))
def test_any_history_alternates(history: Sequence[tuple[str, Any]]) -> None:
    messages: list[Json] = []
    for number, (role, content) in enumerate(history):
        if role == "call":
            messages += [assistant(content, str(number)), tool(str(number), content)]
        elif not (role in {"system", "developer"} and isinstance(content, list)):
            messages.append({"role": role, "content": content})
    roles = [message["role"] for message in fit_messages(messages)]
    assert "system" not in roles[1:]
    assert "developer" not in roles
    turns = [role for role in roles if role not in {"system"}]
    assert turns[0] == "user"
    assert turns[-1] in {"user", "tool"}
    allowed = {"user": {"assistant"}, "assistant": {"user", "tool"}, "tool": {"assistant"}}
    assert all(following in allowed[role] for role, following in zip(turns, turns[1:], strict=False))


@pytest.mark.parametrize(
    ("arguments", "fitted"),
    [
        ('{"city": "Rome"}', '{"city": "Rome"}'),
        (' {"a":1.0}\n', ' {"a":1.0}\n'),
        ('{"city": "Ro', "{}"),
        ("", "{}"),
        (None, "{}"),
        ("null", "{}"),
        ("[1]", "{}"),
        ('"Rome"', "{}"),
        ('{"a": NaN}', "{}"),
        ('"{\\"city\\": \\"Rome\\"}"', '{"city": "Rome"}'),
        ({"city": "Rome"}, '{"city": "Rome"}'),
        ('{"a": 1}{"b": 2}', "{}"),
    ],
)
def test_arguments_are_an_object(arguments: Any, fitted: str) -> None:
    assert object_arguments(arguments) == fitted
    (message, *_) = fit_messages([user("a"), {**assistant(), "tool_calls": [call("1", arguments)]}, tool("1")])[1:]
    assert message["tool_calls"][0]["function"]["arguments"] == fitted


def test_items_of_the_responses_api_are_made_valid() -> None:
    broken_call = {"type": "function_call", "call_id": "c", "name": "look", "arguments": '{"a'}
    output = {"type": "function_call_output", "call_id": "c", "output": "invalid \ud83d"}
    assert fit_items([user("a"), broken_call, output]) == [
        user("a"),
        {**broken_call, "arguments": "{}"},
        {**output, "output": "invalid \ufffd"},
    ]


def test_files_of_earlier_items_become_notes() -> None:
    picture = {"type": "input_image", "image_url": "https://images.example/1.png"}
    words = {"type": "input_text", "text": "a"}
    output = {"type": "function_call_output", "call_id": "c", "output": [picture]}
    fitted = items_without_old_files([user([words, picture]), output, assistant("b"), user([picture])])
    assert fitted == [user([words, INPUT_NOTE]), {**output, "output": [INPUT_NOTE]}, assistant("b"), user([picture])]
