"""Tell the tool calls of a streamed answer apart, and give each an index and an id of its own.

OpenAI numbers parallel calls by `index`, and sends the id and the name with a call's first piece only. Others leave the
index out, give every call the same one, repeat the id or the name with each piece, or send no id at all.
"""

import json
from typing import Any
from uuid import uuid4

from pydantic_core import from_json

Json = dict[str, Any]


class _Call:
    """One call, as far as it has arrived."""

    def __init__(self, index: int, wire_index: int | None, wire_id: str | None, name: str | None) -> None:
        self.index = index
        self.wire_index = wire_index
        self.wire_id = wire_id
        self.name = name
        self.pieces: list[str] = []

    @property
    def is_complete(self) -> bool:
        """Return whether its arguments are a whole JSON object."""
        if not self.pieces or not self.pieces[-1].rstrip().endswith("}"):  # parsing for each piece would be quadratic
            return False
        try:
            return isinstance(from_json("".join(self.pieces), cache_strings="keys"), dict)
        except ValueError:
            return False


class ToolCallDeltas:
    """The tool calls of one answer."""

    def __init__(self, used_ids: set[str]) -> None:
        """`used_ids` are ids that no new call may have."""
        self._used_ids = used_ids
        self._calls: list[_Call] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def are_complete(self) -> bool:
        """Return whether no call was cut."""
        return all(call.is_complete for call in self._calls)

    def read(self, entries: Any) -> list[Json]:
        """Return the entries of one chunk in OpenAI's form."""
        earlier = len(self._calls)
        entries = entries if isinstance(entries, list) else [entries]
        deltas = [self._read(entry, earlier) for entry in entries if isinstance(entry, dict)]
        return [delta for delta in deltas if delta is not None]

    def _read(self, entry: Json, earlier: int) -> Json | None:
        function = entry.get("function")
        function = function if isinstance(function, dict) else entry
        wire_id, name = _wire_id(entry.get("id")), function.get("name") or None
        wire_index, arguments = (
            _wire_index(entry.get("index")),
            _text(function.get("arguments", function.get("parameters"))),
        )
        call = self._current(wire_index)
        if call is not None and _repeats(call, wire_id, name, arguments):
            return None
        is_new = call is None or _starts(call, wire_id, name, arguments, wire_index is None and call.index >= earlier)
        if is_new:
            call = _Call(len(self._calls), wire_index, wire_id, name)
            self._calls.append(call)
        assert call is not None
        function_delta = {"name": name if is_new or not call.name else None, "arguments": arguments}
        call.pieces.append(arguments)
        call.name, call.wire_id = call.name or name, call.wire_id or wire_id
        rest = {key: value for key, value in entry.items() if key not in ("name", "arguments", "parameters")}
        new_id = self._unique(wire_id) if is_new else None
        kind = entry.get("type") if entry.get("type") == "custom" else "function"
        return {**rest, "index": call.index, "id": new_id, "type": kind, "function": function_delta}

    def _current(self, wire_index: int | None) -> _Call | None:
        """Return the call that a piece with this index may continue."""
        for call in reversed(self._calls):
            if wire_index is None or call.wire_index == wire_index:
                return call
        return None

    def _unique(self, wire_id: str | None) -> str:
        call_id = wire_id if wire_id and wire_id not in self._used_ids else f"call_{uuid4().hex}"
        self._used_ids.add(call_id)
        return call_id


def _starts(call: _Call, wire_id: str | None, name: str | None, arguments: str, is_beside: bool) -> bool:
    """Return whether a piece starts a new call instead of continuing `call`.

    `is_beside`: both came in the same chunk, without an index.
    """
    if name is None:
        return False
    if wire_id and call.wire_id and wire_id != call.wire_id:
        return True
    if is_beside or (arguments.strip() and call.is_complete):
        return True
    return call.name is not None and name != call.name and not any(call.pieces)


def _repeats(call: _Call, wire_id: str | None, name: str | None, arguments: str) -> bool:
    """Return whether a piece repeats the whole call, as some gateways send at the end."""
    is_same = wire_id is not None and wire_id == call.wire_id and name == call.name
    return is_same and bool(arguments) and arguments == "".join(call.pieces) and call.is_complete


def _wire_id(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" else None


def _wire_index(value: Any) -> int | None:
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return value if type(value) is int else None


def _text(arguments: Any) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
