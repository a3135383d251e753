"""Tool calls and their outputs: no request may have one without the other, and in Chat Completions the outputs stand
right behind the calls of their message."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from chatkit.types import ClientToolCallItem

from .transcript import CALLS, OUTPUTS, trimmed_output

INTERRUPTED = "The call was interrupted before it answered. Whether it took effect is not known."

InputItem = Any
"""An input item of the Responses API, a dict; the API's own union of 40 typed dicts helps nobody here."""


def client_tool_output(call: ClientToolCallItem) -> str:
    """What the page answered, as the model reads it: the bytes of a picture of the page would cost it all else."""
    return trimmed_output(json.dumps(call.output, ensure_ascii=False))


def pair_calls(items: Sequence[InputItem], *, is_unique: bool = False) -> list[InputItem]:
    """The same history with every call's output right behind it.

    A call that was never answered gets an output that says so; an output whose call is not there goes. The output may
    come much later, as that of a call which somebody had to approve.

    Some servers count the ids of calls anew for each request, so calls get ids of ours unless the provider's are known
    to be unique: the Agents SDK takes equal ids for one call, and drops half of it (agents 0.24).
    """
    return list(_paired(items, _answers(items), _Names(items, is_unique)))


class _Names:
    """Ids for calls that are not alone with theirs, or will not be."""

    def __init__(self, items: Sequence[InputItem], is_unique: bool) -> None:
        self._is_unique = is_unique
        self._count = Counter(item["call_id"] for item in items if item.get("type") in CALLS)
        self._given: Counter[str] = Counter()

    def name(self, call: InputItem, output: InputItem) -> tuple[InputItem, InputItem]:
        """The call and its output, as they shall go to the model. The same ones get the same id each time."""
        call_id = call["call_id"]
        if self._is_unique and self._count[call_id] == 1:
            return call, output
        content = json.dumps([call, output], sort_keys=True, default=str)
        self._given[content] += 1
        call_id = sha256(f"{content} {self._given[content]}".encode()).hexdigest()[:9]  # Mistral takes no other length
        return {**call, "call_id": call_id}, {**output, "call_id": call_id}


def _answers(items: Sequence[InputItem]) -> dict[int, InputItem]:
    """The index of each call that was answered → its output: the first one behind it with its id."""
    waiting: dict[str, int] = {}
    answers: dict[int, InputItem] = {}
    for at, item in enumerate(items):
        kind = item.get("type")
        if kind in CALLS:
            waiting[item["call_id"]] = at
        elif kind in OUTPUTS and item["call_id"] in waiting:
            answers[waiting.pop(item["call_id"])] = item
    return answers


def _paired(items: Sequence[InputItem], answers: dict[int, InputItem], names: _Names) -> Iterator[InputItem]:
    outputs: list[InputItem] = []  # of the calls that were just given
    for at, item in enumerate(items):
        kind = item.get("type")
        if kind in CALLS:
            call, output = names.name(item, answers.get(at) or _interrupted(item))
            outputs.append(output)
            yield call
            continue
        yield from outputs
        outputs = []
        if kind not in OUTPUTS:
            yield item
    yield from outputs


def _interrupted(call: InputItem) -> InputItem:
    return {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": INTERRUPTED}
