"""Learn from an endpoint's refusal which fields it does not accept, and leave them out from then on.

Endpoints differ in the fields that they accept, and no list of them stays true. A gateway may even emit a field that
the model behind it rejects (LiteLLM's `reasoning_content` of Mistral models).
"""

import logging
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import openai

from ..errors.provider_failures import provider_failure
from .fit_messages import without_old_files, without_system
from .returned_fields import CALL_FIELDS, MESSAGE_FIELDS

Json = dict[str, Any]

logger = logging.getLogger(__name__)

OPTIONS = ("parallel_tool_calls", "stream_options", "store", "reasoning_effort", "verbosity", "prompt_cache_retention")
"""Fields of a request that can be left out."""
STRICT = "strict"
"""A field of tools that can be left out."""
DROPPABLE = (*MESSAGE_FIELDS, *CALL_FIELDS, *OPTIONS, STRICT)

_REFUSED = re.compile(
    r"not (?:supported|permitted|allowed|accepted|recogni[sz]ed|a valid)|unsupported|unknown|unrecogni[sz]ed|unexpected"
    r"|extra_forbidden|extra fields|extra inputs|does not (?:support|accept|allow)|doesn.t support|invalid|disallowed"
)
_REASONING_REQUIRED = re.compile(r"must be passed back|is missing|missing field|is required|must (?:be|have|contain)")
_NULL_REFUSED = re.compile(r"null|<nil>|none is not|none not allowed|must be a string|expected a string|nonetype")

_TOOLS_REQUIRED = re.compile(r"toolconfig|tools= ?param|`?tools`? (?:must be|is required|are required)")
_SYSTEM_REFUSED = re.compile(
    r"system (?:role|messages?|prompts?|instructions?) (?:is |are )?(?:not|un)|developer instruction is not"
)
_FILES_REFUSED = re.compile(
    r"unknown variant .?image_url|image_url is only supported|(?:image|vision|pdf) inputs? (?:is|are) not supported"
    r"|support (?:images?|vision|multi-?modal|pdfs?|files?)|not a multi-?modal|at most 0 (?:image|file)"
)
"""The model reads no pictures or files at all; a single one that is broken gets other words."""

FILLER = " "
"""For messages without thoughts. Kimi treats an empty text as missing."""


@dataclass
class _Limits:
    """What one model's endpoint does not accept."""

    refused: set[str] = field(default_factory=set)
    requires_reasoning: bool = False
    refuses_null: bool = False
    requires_tools: bool = False
    refuses_system: bool = False
    refuses_files: bool = False


class LearnedLimits:
    """What the models of one endpoint have refused since the server started."""

    def __init__(self) -> None:
        self._limits: dict[str, _Limits] = defaultdict(_Limits)

    def apply(self, options: Json) -> None:
        """Change the options of `chat.completions.create` to what the model accepts."""
        limits = self._limits.get(str(options.get("model")))
        if limits is None:
            return
        for name in limits.refused:
            options.pop(name, None)
        if limits.refuses_system:
            options["messages"] = without_system(options["messages"])
        if limits.refuses_files:
            options["messages"] = without_old_files(options["messages"])
        for message in options["messages"]:
            _drop(message, limits.refused)
            for call in message.get("tool_calls") or ():
                _drop(call, limits.refused)
            if limits.requires_reasoning and message["role"] == "assistant" and not message.get("reasoning_content"):
                message["reasoning_content"] = FILLER
            if limits.refuses_null and message.get("content") is None:
                message["content"] = ""
        if limits.requires_tools and not options.get("tools"):
            options["tools"] = [_declaration(name) for name in _called(options)]
        if STRICT in limits.refused and isinstance(tools := options.get("tools"), list):
            options["tools"] = [_without_strict(tool) for tool in tools]

    def learn(self, error: openai.APIStatusError, options: Json) -> bool:
        """Return whether the error names something that can be changed, and remember it, except for a broken file."""
        text = f"{error.message} {error.body}".lower()
        limits = self._limits[str(options.get("model"))]
        before = replace(limits, refused=set(limits.refused))
        if provider_failure(error, "") == "model_files":
            limits.refuses_files |= _says(text, _FILES_REFUSED, options["messages"])
            messages, options["messages"] = options["messages"], without_old_files(options["messages"])
            return bool(messages != options["messages"])
        if error.status_code in (400, 422):
            _learn(limits, text, options)
        if limits == before:
            return False
        logger.warning("the model %s refused a request; it is repeated with these limits: %s", options["model"], limits)
        return True


def _learn(limits: _Limits, text: str, options: Json) -> None:
    """Change the limits by the first cause that the text names."""
    refused = {name for name in DROPPABLE if re.search(rf"\b{name}\b", text) and _is_sent(name, options)}
    messages = options["messages"]
    if "reasoning_content" in text and _REASONING_REQUIRED.search(text) and not limits.requires_reasoning:
        limits.requires_reasoning = True
        limits.refused.discard("reasoning_content")
    elif _TOOLS_REQUIRED.search(text) and not options.get("tools") and _called(options):
        limits.requires_tools = True
    elif messages[0]["role"] == "system" and _says(text, _SYSTEM_REFUSED, messages):
        limits.refuses_system = True
    elif _REFUSED.search(text) and refused:
        limits.refused |= refused
        limits.requires_reasoning &= "reasoning_content" not in refused
    elif "content" in text and _NULL_REFUSED.search(text):
        limits.refuses_null |= any(message.get("content") is None for message in messages)


def _says(text: str, pattern: re.Pattern[str], messages: list[Json]) -> bool:
    """Return whether an error says this in words of its own.

    Some endpoints quote the conversation in it (vLLM), and one user's words must not change the requests of others.
    """
    quotable = str(messages).lower()
    return any(match.group() not in quotable for match in pattern.finditer(text))


def _is_sent(name: str, options: Json) -> bool:
    """Return whether the request has the field."""
    if name in OPTIONS:
        return options.get(name, openai.omit) is not openai.omit
    if name == STRICT:
        return bool(options.get("tools"))
    calls = (call for message in options["messages"] for call in message.get("tool_calls") or ())
    return any(name in entry for entry in (calls if name in CALL_FIELDS else options["messages"]))


def _called(options: Json) -> list[str]:
    """Return the names of the tools that earlier messages call."""
    calls = (call for message in options["messages"] for call in message.get("tool_calls") or ())
    return list(dict.fromkeys(call["function"]["name"] for call in calls))


def _declaration(name: str) -> Json:
    """Return a tool for the endpoint only: Bedrock requires the tools of earlier calls, even of another agent."""
    parameters = {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": name, "description": "Not available.", "parameters": parameters}}


def _drop(entry: Json, names: set[str]) -> None:
    for name in names & entry.keys():
        del entry[name]


def _without_strict(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        return tool
    return {**tool, "function": {name: value for name, value in function.items() if name != STRICT}}
