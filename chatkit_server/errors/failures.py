"""What users see when a model, a tool or the agent fails: `TEXTS` has a text and a retry flag for each code.

`to_turn_failure` maps an exception to its code. A retry is offered only where repeating the same request can help: not
for a wrong key, an unknown model, a message that is too long or a guardrail. The log has the cause: a line of
`model_problem.py` if it is the network's or the provider's, else a traceback. A provider's own text never reaches the
user, because it may contain keys and addresses.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import agents
import openai
from chatkit.errors import CustomStreamError, StreamError

from .http import AnswerInterrupted, InternalError, ServerError, TurnFailed
from .log_format import redacted_traceback
from .mapping import to_server_error
from .model_problem import NO_REQUEST, OUTSIDE, explain_model_error
from .provider_failures import provider_failure
from .retry_after import seconds_to_wait, wait_in_words
from .setup import AgentSetupError

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
    "model_overloaded": ("The model is overloaded or still starting. Please retry in a moment.", True),
    "model_endpoint": (
        "The configured address does not answer like a model's endpoint. Please tell the administrator.",
        False,
    ),
    "model_tools": (
        "The configured model cannot use tools, which this agent needs. Please tell the administrator.",
        False,
    ),
    "answer_cut": ("The connection to the model broke off before the answer was complete. Please retry.", True),
    "length_limit": (
        "The model reached its length limit before it could answer. Please shorten the message or ask for less.",
        True,
    ),
    "model_bad_request": ("The model rejected this request. Please tell the administrator.", False),
    "model_files": (
        "The model cannot read a picture or file of this message. Please send the message without it.",
        False,
    ),
    "context_too_long": (
        "This conversation is too long for the model. Please shorten the message or start a new conversation.",
        False,
    ),
    "content_filter": ("The model's provider blocked this answer under its content rules.", False),
    "model_refusal": ("The model declined to answer this.", False),
    "model_behavior": ("The model gave an answer that could not be used. Please retry.", True),
    "no_answer": ("The model gave no answer. Please retry.", True),
    "guardrail_input": ("This message was stopped by the agent's rules. Please rephrase it.", False),
    "guardrail_output": ("The answer was stopped by the agent's rules.", False),
    "max_turns": ("The agent took too many steps without an answer. Please retry or ask for less at once.", True),
    "tool_timeout": ("One of the agent's tools took too long. Please retry.", True),
    "turn_timeout": ("The answer took too long and was stopped. Please retry or ask for less at once.", True),
    "agent_misconfigured": ("The agent is not set up correctly. Please tell the administrator.", False),
    "agent_error": ("The agent failed while answering. Please retry.", True),
}

NOTICES: dict[str, str] = {
    "length_limit": "This answer is incomplete: it reached the model's length limit. Write “continue” for the rest.",
    "content_filter": "This answer is incomplete: the model's provider stopped it under its content rules.",
}
"""What users read below an answer that is complete for its provider, but not for them, by `turns.error_code`."""


class EmbeddedModelError(openai.APIConnectionError):
    """The embedded model's process could not be started, or died; the text says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message=message, request=NO_REQUEST)


class AnswerCut(openai.APIConnectionError):
    """The stream of an answer ended in the middle."""

    reason = "the answer ended in the middle"

    def __init__(self) -> None:
        super().__init__(message=self.reason, request=NO_REQUEST)


class ModelSilent(Exception):
    """The model sent nothing for longer than the settings allow."""

    reason = "it sent nothing in time"
    advice = "Make sure that it is not too busy, or raise CHATKIT_FIRST_EVENT_SECONDS and CHATKIT_SILENCE_SECONDS."


class ToolSilent(Exception):
    """A tool ran for longer than the settings allow."""


class NoAnswer(Exception):
    """The run completed without any text or tool call."""


class TurnTooLong(Exception):
    """The whole turn took longer than the settings allow."""


class ProviderFailure(Exception):
    """The model's stream ended with an error; `code` and `message` are the provider's."""

    def __init__(self, code: str | None, message: str | None = None) -> None:
        super().__init__(f"the model's stream ended with an error (code {code})")  # the message may quote the user
        self.code = code
        self.message = message


class UnreadableAnswer(Exception):
    """The endpoint sent something in the middle of its answer that is not JSON."""


class LengthReached(Exception):
    """The model reached its length limit without a usable answer, or within a tool call."""


class NotAnEndpoint(Exception):
    """The configured URL answered with status 200, but not like a model's endpoint."""

    def __init__(self, content: str) -> None:
        self.reason = f"it answered with {content}"
        super().__init__(self.reason)


def to_turn_failure(error: Exception, *, subject: str = "turn", last_url: object = None) -> ServerError:
    """Return the error that the user sees for a failure inside a turn. Logs the cause, once.

    `subject` is what has failed, for the log; `last_url` is where its last request to a model went.
    """
    first = _first(error)
    source = _raised_by_tool(first) or first
    match source:
        case ServerError():
            return to_server_error(source)
        case CustomStreamError():
            return TurnFailed("custom", source.message, allow_retry=source.allow_retry, is_authors_text=True)
        case StreamError():
            return _failure("agent_error", allow_retry=source.allow_retry)
        case EmbeddedModelError():  # its text is written for users and says what to do
            logger.warning("%s failed with embedded_model\n%s", subject, redacted_traceback(error))
            return TurnFailed("embedded_model", source.message, allow_retry=True)
    code = _code(source)
    if code is None:
        return to_server_error(source)
    # A tool's failure has its traceback, also if the tool could not reach an endpoint of a model.
    explanation = explain_model_error(source, code, last_url) if source is first else None
    _log(f"{subject} failed with {explanation or code}", error, is_outside=explanation is not None and code in OUTSIDE)
    if (message := tripwire_message(source)) is not None:
        return TurnFailed(code, message, allow_retry=TEXTS[code][1], is_authors_text=True)
    if code == "model_rate_limit" and (wait := wait_in_words(seconds_to_wait(source))):
        return TurnFailed(code, f"The model is getting too many requests. Please retry in {wait}.", allow_retry=True)
    return _failure(code)


def _log(line: str, error: Exception, *, is_outside: bool) -> None:
    """Log a failure: in one line if it is the network's or the provider's, else with its traceback."""
    if not is_outside:
        logger.warning("%s\n%s", line, redacted_traceback(error))
        return
    logger.warning("%s", line)
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("the traceback of this failure:\n%s", redacted_traceback(error))


def failure_from_code(code: str) -> ServerError:
    """Return the error for a turn's saved `error_code`. Texts that the agent itself raised are not saved."""
    classes = {subclass.code: subclass for subclass in _subclasses(ServerError) if subclass is not TurnFailed}
    if code in classes:
        return classes[code]()
    text, allow_retry = TEXTS.get(code, TEXTS["agent_error"])
    return TurnFailed(code, text, allow_retry=allow_retry)


def _subclasses(base: type[ServerError]) -> Iterator[type[ServerError]]:
    yield base
    for subclass in base.__subclasses__():
        yield from _subclasses(subclass)


def failure_of_ended_turn(status: str, code: str | None) -> ServerError | None:
    """Return the error of an ended turn from its row's `status` and `error_code`.

    None if it completed or was stopped. A turn is `interrupted` when its worker died or shut down.
    """
    match status:
        case "interrupted":
            return AnswerInterrupted()
        case "failed":
            return failure_from_code(code or InternalError.code)
    return None


def tripwire_message(error: BaseException) -> str | None:
    """Return the message that a guardrail's author set for this error, or None."""
    # An agent's guardrail has its output in a result (agents 0.24), a tool's guardrail on the error itself.
    source: Any = getattr(error, "guardrail_result", error)
    info = getattr(getattr(source, "output", None), "output_info", None)
    message = info.get("message") if isinstance(info, Mapping) else getattr(info, "message", None)
    return message.strip() or None if isinstance(message, str) else None


def _first(error: Exception) -> Exception:
    """Return the first exception of a group, as an `asyncio.TaskGroup` of the author raises it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _raised_by_tool(error: Exception) -> Exception | None:
    """Return the exception that a tool raised, or None: the SDK wraps it in `UserError` (agents 0.24)."""
    cause = error.__cause__ if isinstance(error, agents.UserError) else None
    return cause if isinstance(cause, Exception) else None


def _failure(code: str, *, allow_retry: bool | None = None) -> TurnFailed:
    text, retry = TEXTS[code]
    return TurnFailed(code, text, allow_retry=retry if allow_retry is None else allow_retry)


def _code(error: Exception) -> str | None:
    for error_type, code_of in _CODES:
        if isinstance(error, error_type):
            return code_of(error)
    return None if _has_own_text(error) else "agent_error"


def _has_own_text(error: Exception) -> bool:
    """Return whether it is a store or protocol error, which `to_server_error` handles."""
    return type(error).__module__.split(".")[0] in {"chatkit_store", "chatkit", "pydantic", "pydantic_core"}


def _always(code: str) -> Callable[[Exception], str]:
    return lambda _: code


def _by_provider(default: str) -> Callable[[Exception], str]:
    return lambda error: provider_failure(error, default)


# The first match wins, so subclasses come before their bases.
_CODES: list[tuple[type[Exception], Callable[[Exception], str]]] = [
    (openai.AuthenticationError, _by_provider("model_auth")),
    (openai.PermissionDeniedError, _by_provider("model_forbidden")),
    (openai.RateLimitError, _by_provider("model_rate_limit")),
    (openai.NotFoundError, _by_provider("model_not_found")),
    (openai.BadRequestError, _by_provider("model_bad_request")),
    (openai.UnprocessableEntityError, _by_provider("model_bad_request")),
    (AnswerCut, _always("answer_cut")),
    (openai.APITimeoutError, _always("model_timeout")),
    (openai.APIConnectionError, _always("model_unreachable")),
    (openai.ContentFilterFinishReasonError, _always("content_filter")),
    (openai.APIError, _by_provider("model_unavailable")),
    (openai.OpenAIError, _always("agent_misconfigured")),
    (ModelSilent, _always("model_timeout")),
    (ToolSilent, _always("tool_timeout")),
    (NoAnswer, _always("no_answer")),
    (UnreadableAnswer, _always("model_behavior")),
    (LengthReached, _always("length_limit")),
    (NotAnEndpoint, _always("model_endpoint")),
    (TurnTooLong, _always("turn_timeout")),
    (ProviderFailure, _by_provider("model_unavailable")),
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
    (AgentSetupError, _always("agent_misconfigured")),
    (agents.AgentsException, _always("agent_error")),
]
