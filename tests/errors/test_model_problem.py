"""The line that the log has for a failure of a model's endpoint (`errors/model_problem.py`)."""

import logging

import httpx2
import openai
import pytest
from agents import UserError

from chatkit_server.errors.failures import TEXTS, NotAnEndpoint, to_turn_failure
from chatkit_server.errors.model_problem import ADVICE, place_of
from tests.support.openai_answers import SERVER_ERROR, Failure

URL = "https://user:pass-word@models.example:8443/v1/responses?key=in-the-query#fragment"
PLACE = "https://models.example:8443/v1/responses"


def refused(failure: Failure) -> openai.APIStatusError:
    """Return the openai client's error for a response."""
    response = httpx2.Response(failure.status, request=httpx2.Request("POST", URL))
    return openai.APIStatusError(failure.message, response=response, body=failure.error())


def raised(error: Exception) -> Exception:
    """Return the error with a traceback."""
    try:
        raise error
    except Exception as caught:
        return caught


def test_the_place_of_an_endpoint_has_no_secrets() -> None:
    assert place_of(URL) == place_of(httpx2.URL(URL)) == PLACE
    assert place_of("http://[::1]:8000/v1") == "http://[::1]:8000/v1"
    assert place_of(None) == "the model's endpoint"


def test_the_line_has_no_words_of_the_provider(caplog: pytest.LogCaptureFixture) -> None:
    to_turn_failure(raised(refused(SERVER_ERROR)), last_url="http://elsewhere/v1")
    assert caplog.messages == [
        f"turn failed with model_unavailable: {PLACE} (status_code=500 code=server_error type=server_error). "
        "It has an internal problem: try again in a moment, and check its log."
    ]


def test_an_error_without_a_request_names_where_the_last_one_went(caplog: pytest.LogCaptureFixture) -> None:
    to_turn_failure(NotAnEndpoint("an HTML page"), last_url=URL)
    assert caplog.messages == [
        f"turn failed with model_endpoint: {PLACE} (it answered with an HTML page). No model's endpoint is at this "
        "path: correct its URL (CHATKIT_BASE_URL or OPENAI_BASE_URL); it mostly ends in /v1."
    ]


def test_debug_logs_the_traceback_as_well(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "chatkit_server"):
        to_turn_failure(raised(refused(SERVER_ERROR)))
    line, traceback = caplog.records
    assert (line.levelname, traceback.levelname) == ("WARNING", "DEBUG")
    assert "Traceback" not in line.getMessage()
    assert "in raised" in traceback.getMessage()


def test_a_failed_connection_of_a_tool_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    error = UserError("Error running tool x")
    error.__cause__ = raised(openai.APIConnectionError(request=httpx2.Request("POST", URL)))
    failure = to_turn_failure(error)
    assert failure.code == "model_unreachable"
    assert caplog.messages[0].startswith("turn failed with model_unreachable\nTraceback")
    assert "in raised" in caplog.text


def test_a_group_of_the_author_is_explained_by_its_first_error(caplog: pytest.LogCaptureFixture) -> None:
    to_turn_failure(ExceptionGroup("", [refused(SERVER_ERROR)]))
    assert caplog.messages[0].startswith(f"turn failed with model_unavailable: {PLACE} (status_code=500 ")


def test_all_advice_is_for_a_code_and_ends_its_sentence() -> None:
    assert ADVICE.keys() <= TEXTS.keys()
    assert [advice for advice in ADVICE.values() if not advice.endswith(".")] == []
