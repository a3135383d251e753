"""Send back what an endpoint attached to its tool calls: thoughts and signatures, under the names that it uses.

Kimi and GLM require the thoughts of a tool call (`reasoning_content`) in the next request of the turn, DeepSeek in all
later ones. Gemini requires a signature with each call, OpenRouter its `reasoning_details`, and gateways to Claude the
`thinking_blocks`. Endpoints that do not emit such a field often reject it. So only what a model itself emitted goes
back to it, with its tool calls. The Agents SDK (0.24) decides by the model's name instead, and drops some fields.

`EmittedFields` collects the fields of one response and puts them into `provider_data` of its function calls, which the
Agents SDK and the turn's transcript keep. `returned_fields` finds them in the next input.
"""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseCompletedEvent, ResponseFunctionToolCall, ResponseOutputItemDoneEvent

Json = dict[str, Any]

KEY = "returned_fields"
"""The key in `provider_data`."""
MESSAGE_FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
CALL_FIELDS = ("extra_content", "provider_specific_fields")
MAX_CHARACTERS = 100_000
"""Longer fields are cut, if they are text, or left out."""

_FIELDS = frozenset({*MESSAGE_FIELDS, "tool_calls"})
_TEXTS = ("text", "summary", "data", "thinking")
"""The fields of a block that arrive in pieces."""


class EmittedFields:
    """The fields of one response."""

    def __init__(self, origin: str) -> None:
        """`origin` identifies the model and its endpoint."""
        self._origin = origin
        self._texts: dict[str, list[str]] = {}
        self._blocks: dict[str, list[Json]] = {}
        self._calls: list[tuple[int, str | None, Json]] = []
        self._attached = 0

    def add(self, message: Json) -> None:
        """Add the fields of a part of the message, or of the whole message."""
        for name in MESSAGE_FIELDS:
            value = message.get(name)
            if isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
            elif isinstance(value, list) and value:
                blocks = self._blocks.setdefault(name, [])
                for block in value:
                    if isinstance(block, dict):
                        _add_block(blocks, block)
        for position, call in enumerate(message.get("tool_calls") or ()):
            self._add_call(position, call)

    def prepare(self, event: TResponseStreamEvent) -> None:
        """Attach the fields to the function calls of an event."""
        if isinstance(event, ResponseOutputItemDoneEvent) and isinstance(event.item, ResponseFunctionToolCall):
            self.attach_to([event.item], self._attached)
            self._attached += 1
        elif isinstance(event, ResponseCompletedEvent):
            self.attach_to(event.response.output)

    def attach_to(self, output: Iterable[object], first: int = 0) -> None:
        """Put the fields into `provider_data` of the function calls, which begin with the response's call `first`."""
        calls = (item for item in output if isinstance(item, ResponseFunctionToolCall))
        for number, call in enumerate(calls, first):
            fields = dict(self._calls[number][2]) if number < len(self._calls) else {}
            message = self._message_fields() if number == 0 else {}
            if fields or message:
                data = {"origin": self._origin, "message": message, "call": fields}
                call.provider_data = {**(getattr(call, "provider_data", None) or {}), KEY: data}  # type: ignore[attr-defined]  # an extra field, as the SDK sets it

    def _add_call(self, position: int, call: Json) -> None:
        """Add a part of a call. Some endpoints leave out the index, or give all calls the same one."""
        index, call_id = call.get("index"), call.get("id") or None
        index = position if index is None else index
        current = next((entry for entry in reversed(self._calls) if entry[0] == index), None)
        if current is None or (call_id and current[1] and call_id != current[1]):
            current = (index, call_id, {})
            self._calls.append(current)
        current[2].update({name: call[name] for name in CALL_FIELDS if call.get(name)})

    def _message_fields(self) -> Json:
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        return {**{name: text for name, text in texts.items() if text}, **self._blocks}


def _add_block(blocks: list[Json], block: Json) -> None:
    """Add a block of thoughts, or continue the last one: a signature ends a block."""
    last = blocks[-1] if blocks else None
    keys = ("type", "index", "id")
    if last is None or last.get("signature") or any(_differ(last.get(key), block.get(key)) for key in keys):
        blocks.append(dict(block))
        return
    for name, value in block.items():
        if name in _TEXTS and isinstance(value, str) and isinstance(last.get(name), str):
            last[name] += value
        elif value is not None:
            last[name] = value


def _differ(first: Any, second: Any) -> bool:
    return first is not None and second is not None and first != second


emitted_fields: ContextVar[EmittedFields | None] = ContextVar("emitted_fields", default=None)
"""The fields of the response that the current task reads."""


def record_fields(chunk: Any) -> None:
    """Record the fields in a chunk of a streamed response, or in a whole one; plain text has none."""
    try:
        choice = chunk["choices"][0]
        message = choice["delta"] if "delta" in choice else choice["message"]
        if not _FIELDS.isdisjoint(message) and (fields := emitted_fields.get()) is not None:
            fields.add(message)
    except (AttributeError, LookupError, TypeError):  # not the documented shape
        return


Returned = Mapping[str, Json]
"""For each call id, the fields of its message (`message`) and of the call itself (`call`)."""

fields_to_return: ContextVar[Returned] = ContextVar("fields_to_return", default=MappingProxyType({}))
"""The fields for the next request of the current task."""


def returned_fields(items: Any, origin: str) -> Returned:
    """Return the fields in the input `items` that the model and endpoint `origin` emitted."""
    if isinstance(items, str):
        return {}
    calls = (item for item in items if isinstance(item, dict) and item.get("type") == "function_call")
    data = {call["call_id"]: (call.get("provider_data") or {}).get(KEY) for call in calls}
    return {call_id: fields for call_id, fields in data.items() if fields and fields.get("origin") == origin}


def add_returned_fields(messages: Iterable[Json], returned: Returned) -> None:
    """Add the fields to the messages with their calls."""
    for message in messages:
        for call in message.get("tool_calls") or ():
            if (fields := returned.get(call["id"])) is not None:
                message.update(fields["message"])
                call.update(fields["call"])


def bounded(provider_data: Json) -> Json:
    """Return `provider_data` with fields of a limited size, for the transcript."""
    if (fields := provider_data.get(KEY)) is None:
        return {}
    message = {name: _bounded(value) for name, value in fields["message"].items()}
    call = {name: _bounded(value) for name, value in fields["call"].items()}
    return {KEY: {**fields, "message": _present(message), "call": _present(call)}}


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_CHARACTERS]
    return value if len(str(value)) <= MAX_CHARACTERS else None


def _present(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
