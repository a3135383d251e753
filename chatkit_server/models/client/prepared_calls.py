"""Make all of a request to the Responses API but its input once for an agent, and not for each of its answers.

The Agents SDK (0.24) converts the tools, merges the settings and lists thirty options for each call, and the openai
client makes JSON of the same instructions and tools again and again. `PreparedCalls` asks the SDK once for the options
of a call without input, and keeps the JSON of the body around the input.

Builds on private names of `OpenAIResponsesModel`, those in `PRIVATE_NAMES`. Without them nothing is prepared, and
tests/models/test_text_calls.py fails.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from agents import FunctionTool, ModelSettings, OpenAIResponsesModel, Tool
from pydantic_core import to_json

from chatkit_store import clean_text

from .direct_calls import RAW_RESPONSE, DirectAnswer, EarlyOutcome
from .packed_items import list_json
from .plain_body import with_plain_body
from .wire_items import FittedItems, PlainList

if TYPE_CHECKING:
    from .requests import FastResponses

PRIVATE_NAMES = (
    "_build_response_create_kwargs",
    "_fetch_response",
    "_merge_headers",
    "_remove_openai_responses_api_incompatible_fields",
)
HAS_MODEL_PARTS = all(hasattr(OpenAIResponsesModel, name) for name in PRIVATE_NAMES)
MAX_PREPARED = 64


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call of one model, apart from its input."""

    headers: Mapping[str, str]
    options: Mapping[str, Any]
    """Those of the request that its URL, headers and timeouts depend on."""
    head: bytes
    """The body up to the input."""
    tail: bytes
    """The body after the input."""


class PreparedCalls:
    """The prepared calls of one model."""

    def __init__(self, model: Any, responses: "FastResponses") -> None:
        """`model` is an `OpenAIResponsesModel` that sends its requests through `responses`."""
        self._model = model
        self._responses = responses
        self._calls: dict[tuple[str | None, int], tuple[ModelSettings, list[Any], PreparedCall | None]] = {}
        """The calls, None where one cannot be prepared, each with the settings and with what its tools consisted of."""

    async def ask(
        self, instructions: str | None, input: FittedItems, settings: ModelSettings, tools: Sequence[Tool]
    ) -> DirectAnswer | EarlyOutcome | None:
        """Send the request; return its answer, its other outcome, or None if it has to go the stock way."""
        call = self._find(instructions, settings, tools)
        if call is None or call.headers != self._model._merge_headers(settings):
            return None
        items = self._model._remove_openai_responses_api_incompatible_fields(input)
        if type(items) is not FittedItems:
            return None
        direct = self._responses.direct
        return await direct.send(direct.key(call.options), list_json(PlainList(items), call.head, call.tail))

    def _find(self, instructions: str | None, settings: ModelSettings, tools: Sequence[Tool]) -> PreparedCall | None:
        """Return the prepared call. An author may change a tool between two turns, so all of it is compared."""
        key, values = (instructions, len(tools)), _values(tools)
        last = self._calls.get(key)
        if last is not None and last[0] is settings and last[1] == values:
            return last[2]
        try:
            call = self._prepare(instructions, settings, tools)
        except Exception:  # the stock way raises it, too
            return None
        if len(self._calls) >= MAX_PREPARED:
            self._calls.clear()
        self._calls[key] = settings, deepcopy(values), call
        return call

    def _prepare(self, instructions: str | None, settings: ModelSettings, tools: Sequence[Tool]) -> PreparedCall | None:
        """Return the call, or None if its body is not plain JSON."""
        options = self._model._build_response_create_kwargs(
            system_instructions=None if instructions is None else clean_text(instructions),
            input=FittedItems(),
            model_settings=settings,
            tools=list(tools),
            output_schema=None,
            handoffs=[],
            stream=True,
        )
        headers = options["extra_headers"]
        options["extra_headers"] = {**headers, RAW_RESPONSE: "stream"}
        options = with_plain_body(options, lists=("input", "tools"))
        body = options["extra_body"]
        is_plain = self._responses.direct.can_be_direct(options) and type(body.get("input")) is PlainList
        if not is_plain or "stream" in body:
            return None
        names = list(body)
        position = names.index("input")
        head = [to_json({"stream": True})[:-1], *(_entry(name, body[name]) for name in names[:position]), b'"input":']
        tail = [_entry(name, body[name]) for name in names[position + 1 :]]
        return PreparedCall(headers, options, b",".join(head), b"".join(b"," + entry for entry in tail) + b"}")


def _entry(name: str, value: Any) -> bytes:
    return to_json(name) + b":" + to_json(value)


def _values(tools: Sequence[Tool]) -> list[Any]:
    """Return what tools consist of, without their functions."""
    return [value for tool in tools for value in _fields_of_tool(tool) if not callable(value)]


_fields_of_tool = attrgetter(*(field.name for field in fields(FunctionTool) if not field.name.startswith("_")))
