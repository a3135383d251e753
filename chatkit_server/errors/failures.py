"""Failures of the agent and of its model, in words for the person who chats.

A retry is offered only where repeating the same request can help: not for a wrong key, an unknown model, a message
that is too long or a guardrail. The log has the cause; a provider's own text never reaches the user, it can hold
keys and addresses.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import agents
import httpx2
import openai
from chatkit.errors import CustomStreamError, StreamError

from .http import AnswerInterrupted, InternalError, ServerError, TurnFailed, to_server_error
from .log_format import redacted_traceback

logger = logging.getLogger(__name__)

Texts = dict[str, tuple[str, bool]]

TEXTS: Texts = {
    "model_auth": ("The model's provider refused this server's key. Please tell the administrator.", False),
    "model_forbidden": ("This server may not use the configured model. Please tell the administrator.", False),
    "model_not_found": ("The configured model does not exist. Please tell the administrator.", False),
    "model_quota": ("This server's quota with the model's provider is used up. Please tell the administrator.", False),
    "model_rate_limit": ("The model is getting too many requests. Please wait a moment and retry.", True),
    "model_timeout": ("The model did not answer in time. Please retry.", True),
    "model_unreachable": ("The model could not be reached. Please retry in a moment.", True),
    "model_unavailable": ("The model's provider has a problem. Please retry in a moment.", True),
    "model_bad_request": ("The model could not work with this request. Please tell the administrator.", False),
    "model_files": (
        "The model cannot read a picture or file of this conversation. Please start a new one without it.",
        False,
    ),
    "context_too_long": (
        "This conversation is too long for the model. Please shorten the message or start a new conversation.",
        False,
    ),
    "content_filter": ("The model's provider blocked this answer by its content rules.", False),
    "model_refusal": ("The model declined to answer this.", False),
    "model_behavior": ("The model gave an answer that could not be used. Please retry.", True),
    "no_answer": ("The model gave no answer. Please retry.", True),
    "guardrail_input": ("This message was stopped by the agent's rules. Please rephrase it.", False),
    "guardrail_output": ("The answer was stopped by the agent's rules.", False),
    "max_turns": ("The agent took too many steps without an answer. Please retry or ask for less at once.", True),
    "tool_timeout": ("One of the agent's tools took too long. Please retry.", True),
    "turn_timeout": ("The answer took too long and was ended. Please retry or ask for less at once.", True),
    "agent_misconfigured": ("The agent is not set up correctly. Please tell the administrator.", False),
    "agent_error": ("The agent failed while it answered. Please retry.", True),
}

# Codes that providers put in an error's body or in a `response.failed` event, where the HTTP status does not tell.
PROVIDER_CODES: dict[str, str] = {
    "invalid_api_key": "model_auth",
    "insufficient_quota": "model_quota",
    "billing_hard_limit_reached": "model_quota",
    "rate_limit_exceeded": "model_rate_limit",
    "model_not_found": "model_not_found",
    "context_length_exceeded": "context_too_long",
    "string_above_max_length": "context_too_long",
    "exceed_context_size_error": "context_too_long",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "moderation_blocked": "content_filter",
    "server_error": "model_unavailable",
}


class EmbeddedModelError(openai.APIConnectionError):
    """The embedded model's process could not be started or went away; the text says why."""

    def __init__(self, message: str) -> None:
        # openai's class wants the request it failed on; there is none yet, so it gets the address it would have had.
        super().__init__(message=message, request=httpx2.Request("POST", "http://embedded.invalid/v1/chat/completions"))


class ModelSilent(Exception):
    """The model said nothing for longer than the settings allow."""


class ToolSilent(Exception):
    """A tool ran for longer than the settings allow."""


class NoAnswer(Exception):
    """The run ended well, and neither said nor did anything."""


class TurnTooLong(Exception):
    """The whole turn took longer than the settings allow."""


class ProviderFailure(Exception):
    """The model's stream ended with an error event; `code` is the provider's own."""

    def __init__(self, code: str | None) -> None:
        super().__init__(f"the model's stream ended with an error (code {code})")
        self.code = code


def to_turn_failure(error: Exception) -> ServerError:
    """What the user is told of a failure inside a turn. Logs the cause once, under the request id."""
    told = _raised_by_tool(error) or error
    match told:
        case ServerError():
            return to_server_error(told)
        case CustomStreamError():
            return TurnFailed("custom", told.message, allow_retry=told.allow_retry)
        case StreamError():
            return _failed("agent_error", allow_retry=told.allow_retry)
        case EmbeddedModelError():  # its text is ours, and says what to do
            logger.warning("turn failed with embedded_model\n%s", redacted_traceback(error))
            return TurnFailed("embedded_model", told.message, allow_retry=True)
    code = _code(told)
    if code is None:
        return to_server_error(told)
    logger.warning("turn failed with %s\n%s", code, redacted_traceback(error))
    if (words := tripwire_message(told)) is not None:
        return TurnFailed(code, words, allow_retry=TEXTS[code][1])
    return _failed(code)


def failure_from_code(code: str) -> ServerError:
    """The failure that a turn's `error_code` stands for, for who asks later; a text of the agent's own is not kept."""
    known = {kind.code: kind for kind in _all_kinds(ServerError) if kind is not TurnFailed}
    if code in known:
        return known[code]()
    text, allow_retry = TEXTS.get(code, TEXTS["agent_error"])
    return TurnFailed(code, text, allow_retry=allow_retry)


def _all_kinds(kind: type[ServerError]) -> Iterator[type[ServerError]]:
    yield kind
    for special in kind.__subclasses__():
        yield from _all_kinds(special)


def failure_of_ended_turn(status: str, code: str | None) -> ServerError | None:
    """What a reader is told of a turn that has ended elsewhere, from its row; None where it ended well or was stopped.

    `interrupted`: its worker died or was shut down.
    """
    match status:
        case "interrupted":
            return AnswerInterrupted()
        case "failed":
            return failure_from_code(code or InternalError.code)
    return None


def tripwire_message(error: BaseException) -> str | None:
    """The author's words for this error, None where there are none, or where it is no guardrail's."""
    # A guardrail of an agent has its output in a result (agents 0.24), one of a tool has it on the error itself.
    source: Any = getattr(error, "guardrail_result", error)
    info = getattr(getattr(source, "output", None), "output_info", None)
    message = info.get("message") if isinstance(info, Mapping) else getattr(info, "message", None)
    return message.strip() or None if isinstance(message, str) else None


def _raised_by_tool(error: Exception) -> Exception | None:
    """What a tool raised: the SDK wraps it into the class that it has for a wrong set-up (agents 0.24)."""
    cause = error.__cause__ if isinstance(error, agents.UserError) else None
    return cause if isinstance(cause, Exception) else None


def _failed(code: str, *, allow_retry: bool | None = None) -> TurnFailed:
    text, retry = TEXTS[code]
    return TurnFailed(code, text, allow_retry=retry if allow_retry is None else allow_retry)


def _code(error: Exception) -> str | None:
    for kind, code in _KINDS:
        if isinstance(error, kind):
            return code(error)
    return "agent_error" if not _is_ours(error) else None


def _is_ours(error: Exception) -> bool:
    """Store and protocol errors have a text of their own in `errors.http.to_server_error`."""
    return type(error).__module__.split(".")[0] in {"chatkit_store", "chatkit", "pydantic", "pydantic_core"}


def _always(code: str) -> Callable[[Exception], str]:
    return lambda _: code


def _by_provider_code(default: str) -> Callable[[Exception], str]:
    def code(error: Exception) -> str:
        for value in (getattr(error, "code", None), getattr(error, "type", None)):
            if isinstance(value, str) and value in PROVIDER_CODES:
                return PROVIDER_CODES[value]
        if "context" in (text := str(getattr(error, "message", "")).lower()) and (
            "length" in text or "size" in text or "window" in text
        ):
            return "context_too_long"  # llama.cpp, vLLM and gateways have no common code for it
        if default == "model_bad_request" and _ABOUT_FILES.search(text):
            return "model_files"  # local servers have no code for it, OpenAI has a dozen
        return default

    return code


_ABOUT_FILES = re.compile(r"image(?!_generation)|multimodal|vision|input_file|\bpdf\b|\bfiles?\b")

# The first match counts: subclasses stand before their bases.
_KINDS: list[tuple[type[Exception], Callable[[Exception], str]]] = [
    (openai.AuthenticationError, _always("model_auth")),
    (openai.PermissionDeniedError, _always("model_forbidden")),
    (openai.RateLimitError, _by_provider_code("model_rate_limit")),
    (openai.NotFoundError, _by_provider_code("model_not_found")),
    (openai.BadRequestError, _by_provider_code("model_bad_request")),
    (openai.UnprocessableEntityError, _by_provider_code("model_bad_request")),
    (openai.APITimeoutError, _always("model_timeout")),
    (openai.APIConnectionError, _always("model_unreachable")),
    (openai.ContentFilterFinishReasonError, _always("content_filter")),
    (openai.APIError, _by_provider_code("model_unavailable")),
    (openai.OpenAIError, _always("agent_misconfigured")),
    (ModelSilent, _always("model_timeout")),
    (ToolSilent, _always("tool_timeout")),
    (NoAnswer, _always("no_answer")),
    (TurnTooLong, _always("turn_timeout")),
    (ProviderFailure, _by_provider_code("model_unavailable")),
    (agents.MaxTurnsExceeded, _always("max_turns")),
    (agents.ModelTimeoutError, _always("model_timeout")),
    (agents.ModelRefusalError, _always("model_refusal")),
    (agents.ModelBehaviorError, _always("model_behavior")),
    (agents.ToolTimeoutError, _always("tool_timeout")),
    (agents.InputGuardrailTripwireTriggered, _always("guardrail_input")),
    (agents.OutputGuardrailTripwireTriggered, _always("guardrail_output")),
    (agents.ToolInputGuardrailTripwireTriggered, _always("guardrail_input")),
    (agents.ToolOutputGuardrailTripwireTriggered, _always("guardrail_output")),
    (agents.UserError, _always("agent_misconfigured")),
    (agents.AgentsException, _always("agent_error")),
]
