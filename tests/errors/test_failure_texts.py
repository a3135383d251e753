"""The code, text and retry flag of each kind of exception (`failures.to_turn_failure`)."""

import agents
import openai
import pytest
from agents import UserError
from chatkit.errors import CustomStreamError, StreamError
from chatkit.errors import ErrorCode as StreamErrorCode

from chatkit_server.errors.failures import TEXTS, ProviderFailure, to_turn_failure
from chatkit_server.errors.http import TurnFailed
from chatkit_store import StoreUnavailable


def failed(code: str, *, allow_retry: bool | None = None) -> tuple[str, str, bool]:
    text, retry = TEXTS[code]
    return code, text, retry if allow_retry is None else allow_retry


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CustomStreamError("Buy more tokens.", allow_retry=True), ("custom", "Buy more tokens.", True)),
        (StreamError(StreamErrorCode.STREAM_ERROR, allow_retry=False), failed("agent_error", allow_retry=False)),
        (TurnFailed("mine", "My words.", allow_retry=True), ("mine", "My words.", True)),
        (ProviderFailure("rate_limit_exceeded"), failed("model_rate_limit")),
        (ProviderFailure("something_new"), failed("model_unavailable")),
        (ProviderFailure(None), failed("model_unavailable")),
        (UserError("no such handoff"), failed("agent_misconfigured")),
        (caused(UserError("Error running tool x: oops"), ValueError("oops")), failed("agent_error")),
        (
            caused(UserError("Error running tool x: Buy"), CustomStreamError("Buy more.", allow_retry=False)),
            ("custom", "Buy more.", False),
        ),
        (
            ExceptionGroup("", [ExceptionGroup("", [ProviderFailure("rate_limit_exceeded")])]),
            failed("model_rate_limit"),
        ),
        (openai.OpenAIError("no key"), failed("agent_misconfigured")),
        (agents.ToolTimeoutError("slow", 1.0), failed("tool_timeout")),
        (agents.AgentsException("odd"), failed("agent_error")),
        (ZeroDivisionError(), failed("agent_error")),
        (
            StoreUnavailable("gone"),
            (
                "database_unavailable",
                "The conversation could not be read or saved just now. Please try again in a moment.",
                True,
            ),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_exception_maps_to_its_code_text_and_retry_flag(error: Exception, expected: tuple[str, str, bool]) -> None:
    failure = to_turn_failure(error)
    assert (failure.code, failure.message, failure.allow_retry) == expected


def test_every_text_is_a_whole_sentence_that_names_no_provider() -> None:
    assert [text for text, _ in TEXTS.values() if not text.endswith(".") or "OpenAI" in text] == []


def test_every_public_exception_of_both_sdks_has_a_text() -> None:
    """A new class is handled as its base; none may become an unexplained internal error."""
    kinds = [getattr(module, name) for module in (agents, openai) for name in module.__all__]
    errors = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) > 25
    failures = [to_turn_failure(kind.__new__(kind)) for kind in errors]
    assert {error.code for error in failures} <= set(TEXTS)
