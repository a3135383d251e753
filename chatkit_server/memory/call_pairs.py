"""Pair tool calls with their outputs: providers reject a call without an output and an output without a call, and in
Chat Completions the outputs must follow the message with the calls."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from chatkit.types import ClientToolCallItem

from .transcript import CALLS, OUTPUTS, trim_output

INTERRUPTED = "The call was interrupted before it returned. It is unknown whether it took effect."

_PAIRED = CALLS | OUTPUTS

InputItem = Any
"""An input item of the Responses API, a dict; typing it as the API's union of 40 typed dicts would not help."""


def client_tool_output(call: ClientToolCallItem) -> str:
    """Return the page's answer to a client tool call for the model, without base64."""
    return trim_output(json.dumps(call.output, ensure_ascii=False))


def pair_calls(items: Sequence[InputItem], *, is_unique: bool = False) -> list[InputItem]:
    """Return the history with the output of each call right after it.

    A call without an output gets one that says so; an output without a call is dropped. The output may come much later
    in `items`, for example after an approval.

    Calls get new ids unless the provider's are known to be unique (`is_unique`): some servers number the calls of each
    request from 0, and the Agents SDK (0.24) drops one of two calls with the same id.
    """
    if not any(item.get("type") in _PAIRED for item in items):
        return list(items)
    return list(_paired(items, _outputs_by_call(items), _CallIds(items, is_unique)))


class _CallIds:
    """Replaces ids that are used twice, or that a later turn may use again."""

    def __init__(self, items: Sequence[InputItem], is_unique: bool) -> None:
        self._is_unique = is_unique
        self._calls_by_id = Counter(item["call_id"] for item in items if item.get("type") in CALLS)
        self._used: Counter[str] = Counter()

    def assign(self, call: InputItem, output: InputItem) -> tuple[InputItem, InputItem]:
        """Return the call and its output with their id for the model. It is the same in every turn."""
        call_id = call["call_id"]
        if self._is_unique and self._calls_by_id[call_id] == 1:
            return call, output
        same_for_all = {name: value for name, value in call.items() if name != "provider_data"}
        content = json.dumps([same_for_all, output], sort_keys=True, default=str)
        self._used[content] += 1
        call_id = sha256(f"{content} {self._used[content]}".encode()).hexdigest()[:9]  # Mistral requires 9 characters
        return {**call, "call_id": call_id}, {**output, "call_id": call_id}


def _outputs_by_call(items: Sequence[InputItem]) -> dict[int, InputItem]:
    """Map the index of each call to its output: the first later one with the same id."""
    open_calls: dict[str, int] = {}
    outputs: dict[int, InputItem] = {}
    for index, item in enumerate(items):
        kind = item.get("type")
        if kind in CALLS:
            open_calls[item["call_id"]] = index
        elif kind in OUTPUTS and item["call_id"] in open_calls:
            outputs[open_calls.pop(item["call_id"])] = item
    return outputs


def _paired(items: Sequence[InputItem], outputs: dict[int, InputItem], call_ids: _CallIds) -> Iterator[InputItem]:
    pending: list[InputItem] = []  # outputs of the parallel calls that were just yielded
    for index, item in enumerate(items):
        kind = item.get("type")
        if kind in CALLS:
            call, output = call_ids.assign(item, outputs.get(index) or _interrupted(item))
            pending.append(output)
            yield call
            continue
        yield from pending
        pending = []
        if kind not in OUTPUTS:
            yield item
    yield from pending


def _interrupted(call: InputItem) -> InputItem:
    return {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": INTERRUPTED}
