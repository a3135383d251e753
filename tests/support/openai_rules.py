"""Reject the histories that OpenAI rejects, so that a broken conversion fails in our tests as well.

In Chat Completions, reject also what the templates of open models reject.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, get_args, get_type_hints

from openai.types.responses import (
    ResponseInputContentParam,
    ResponseInputItemParam,
    ResponseOutputRefusalParam,
    ResponseOutputTextParam,
    response_reasoning_item_param,
)

from tests.support.openai_answers import Failure

PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "reasoning": "rs",
    "web_search_call": "ws",
    "file_search_call": "fs",
}


def _fields(shapes: Iterable[type]) -> dict[str, set[str]]:
    """Map each `type` of an entry to the fields that it may have."""
    fields: dict[str, set[str]] = {}
    for shape in shapes:
        hints = get_type_hints(shape)
        kinds = get_args(hints["type"])
        for kind in [kind for kind in kinds if isinstance(kind, str)]:
            fields.setdefault(kind, set()).update(hints)
    return fields


FIELDS = _fields(
    [
        *get_args(ResponseInputItemParam),
        *get_args(ResponseInputContentParam),
        ResponseOutputTextParam,
        ResponseOutputRefusalParam,
        response_reasoning_item_param.Content,
    ]
)
"""From the client's types, which are generated from OpenAI's specification."""


class SentItems:
    """The items that the endpoint has sent so far: OpenAI remembers which item its reasoning led to."""

    def __init__(self) -> None:
        self._responses: list[Sequence[Mapping[str, Any]]] = []

    def add(self, output: Sequence[Mapping[str, Any]]) -> None:
        """Add the items of one response, in order; the sequence may still grow."""
        self._responses.append(output)

    def contains(self, reasoning: Mapping[str, Any]) -> bool:
        return any(reasoning.get("id") == item["id"] for output in self._responses for item in output)

    def reasoning_before(self, item: Mapping[str, Any]) -> str | None:
        """Return the id of the reasoning item that led to the item, or None."""
        return next((reasoning for reasoning, next_item in self._steps() if next_item == item.get("id")), None)

    def _steps(self) -> Iterator[tuple[str, str]]:
        for output in self._responses:
            for item, following in pairwise(output):
                if item["type"] == "reasoning":
                    yield item["id"], following["id"]


def broken_rule(path: str, body: Mapping[str, Any], sent: SentItems) -> Failure | None:
    """Return OpenAI's error for this body, or None if it is valid."""
    if "model" not in body:
        return Failure(400, "missing_required_parameter", "Missing required parameter: 'model'.", param="model")
    if path.endswith("/responses"):
        return _broken_input(body, sent)
    return _broken_messages(body)


def _broken_input(body: Mapping[str, Any], sent: SentItems) -> Failure | None:
    items = body.get("input")
    if not items:
        return _missing("input")
    if isinstance(items, str):
        return None
    calls = [i["call_id"] for i in items if i.get("type") == "function_call"]
    outputs = [i["call_id"] for i in items if i.get("type") == "function_call_output"]
    for call in calls:
        if call not in outputs:
            return _invalid(f"No tool output found for function call {call}.", "input")
    if not body.get("previous_response_id") and not body.get("conversation"):
        for output in outputs:
            if output not in calls:
                return _invalid(f"No tool call found for function call output with call_id {output}.", "input")
    return _unknown_field(items) or _broken_ids(items) or _broken_reasoning(items, sent)


def _unknown_field(items: Sequence[Mapping[str, Any]]) -> Failure | None:
    for index, item in enumerate(items):
        content = item.get("content") or item.get("output")
        parts = enumerate(content) if isinstance(content, list) else ()
        name = "content" if item.get("content") else "output"
        entries = [(f"input[{index}]", item), *((f"input[{index}].{name}[{n}]", part) for n, part in parts)]
        for where, entry in entries:
            kind = entry.get("type") or ("message" if "role" in entry else "")
            if kind not in FIELDS:
                return _invalid(f"Invalid value: '{kind}'.", f"{where}.type", "invalid_value")
            for field in entry.keys() - FIELDS[kind]:
                return _invalid(f"Unknown parameter: '{where}.{field}'.", f"{where}.{field}", "unknown_parameter")
    return None


def _broken_ids(items: Sequence[Mapping[str, Any]]) -> Failure | None:
    ids = [i["id"] for i in items if i.get("id")]
    for item_id in ids:
        if ids.count(item_id) > 1:
            return _invalid(f"Duplicate item found with id {item_id}. Remove duplicate items and try again.", "input")
    for index, item in enumerate(items):
        prefix = PREFIXES.get(item.get("type", "message"))
        if prefix and item.get("id") and not item["id"].startswith(prefix):
            text = f"Invalid 'input[{index}].id': '{item['id']}'. Expected an ID that begins with '{prefix}'."
            return _invalid(text, f"input[{index}].id")
    return None


def _broken_reasoning(items: Sequence[Mapping[str, Any]], sent: SentItems) -> Failure | None:
    """Reasoning and the item that it led to must be sent together, or both without their ids."""
    ids = {item.get("id") for item in items}
    for index, item in enumerate(items):
        item_id, kind = item.get("id"), item.get("type", "message")
        if (reasoning := sent.reasoning_before(item)) is not None and reasoning not in ids:
            text = (
                f"Item '{item_id}' of type '{kind}' was provided without its required 'reasoning' item: '{reasoning}'."
            )
            return _invalid(text, "input")
        if kind != "reasoning":
            continue
        if not sent.contains(item):
            return Failure(404, None, f"Item with id '{item_id}' not found.", param="input")
        if not any(sent.reasoning_before(following) == item_id for following in items[index + 1 : index + 2]):
            text = f"Item '{item_id}' of type 'reasoning' was provided without its required following item."
            return _invalid(text, "input")
    return None


def _broken_messages(body: Mapping[str, Any]) -> Failure | None:
    messages = body.get("messages")
    if not messages:
        return _missing("messages")
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                return _invalid(f"Invalid parameter: {text}", "messages")
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            break
        else:
            open_calls = [call["id"] for call in message.get("tool_calls") or ()]
    if open_calls:
        text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        text += f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
        return _invalid(text, "messages")
    return _broken_order(messages)


def _broken_order(messages: Sequence[Mapping[str, Any]]) -> Failure | None:
    """Return what stricter endpoints say (see tests/conformance): every history of ours has to be valid there, too."""
    roles = [message["role"] for message in messages]
    if {"system", "developer"} & {*roles[1:]}:
        return _invalid("System message must be at the beginning.", "messages")
    spoken = [role for role in roles if role != "system"]
    allowed = {"user": {"assistant"}, "assistant": {"user", "tool"}, "tool": {"tool", "assistant"}}
    for previous, role in pairwise(["assistant", *spoken]):
        if role not in allowed[previous]:
            return _invalid(f"Unexpected role '{role}' after role '{previous}'", "messages")
    if spoken[-1] == "assistant":
        return _invalid("Expected last role User or Tool for serving but got assistant", "messages")
    for call in (call for message in messages for call in message.get("tool_calls") or ()):
        if not isinstance(_parsed(call["function"]["arguments"]), dict):
            return _invalid("Can only get item pairs from a mapping.", "messages")
    return None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _missing(param: str) -> Failure:
    return Failure(400, "missing_required_parameter", f"Missing required parameter: '{param}'.", param=param)


def _invalid(message: str, param: str, code: str | None = None) -> Failure:
    return Failure(400, code, message, param=param)
