"""User content is redacted in the tracebacks of the log (`redacted_traceback`), also in lines of other loggers."""

import io
import logging
import sqlite3

import agents
import httpx2
import openai
import pytest
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import exc

from chatkit_server.errors.failures import EmbeddedModelError
from chatkit_server.errors.log_format import redacted_traceback
from chatkit_server.startup.logs import log_handler
from chatkit_store import StoreError

REQUEST = httpx2.Request("POST", "https://api.example/v1/responses")
RESPONSE = httpx2.Response(400, request=REQUEST, headers={"x-request-id": "req_1"})


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(int).validate_python("SECRET")
    return raised.value


def raised(error: Exception, cause: BaseException | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (openai.BadRequestError("SECRET", response=RESPONSE, body={"code": "bad"}), "status_code=400 code=bad"),
        (openai.BadRequestError("SECRET", response=RESPONSE, body=None), "request_id=req_1"),
        (openai.BadRequestError("SECRET", response=RESPONSE, body={"code": "my SECRET"}), "status_code=400"),
        (openai.APIError("SECRET", REQUEST, body=None), "openai.APIError: (message withheld)"),
        (agents.ModelBehaviorError("SECRET"), "agents.exceptions.ModelBehaviorError"),
        (agents.ModelRefusalError("SECRET"), "agents.exceptions.ModelRefusalError"),
        (exc.IntegrityError("INSERT", {"text": "SECRET"}, Exception("SECRET")), "sqlalchemy.exc.IntegrityError"),
        (sqlite3.IntegrityError("SECRET"), "sqlite3.IntegrityError: (message withheld)"),
        (invalid(), "pydantic_core._pydantic_core.ValidationError: (message withheld) type=int_parsing"),
    ],
)
def test_a_quoting_exception_is_logged_without_its_message(error: Exception, expected: str) -> None:
    wrapped = raised(agents.UserError(f"Error running tool: {error}"), error)
    grouped = raised(ExceptionGroup("some: SECRET", [error, ValueError("other")]))
    for related in (raised(error), wrapped, grouped, raised(RuntimeError(f"again: {error}"), wrapped)):
        log = redacted_traceback(related)
        assert expected in log
        assert "SECRET" not in log
        assert f'File "{__file__}", line ' in log


def test_our_exceptions_keep_their_message_around_a_quoting_one() -> None:
    log = redacted_traceback(raised(StoreError("refused: 23514"), sqlite3.Error("SECRET")))
    assert "chatkit_store.errors.StoreError: refused: 23514" in log
    assert "SECRET" not in log


def test_an_unexpected_exception_is_logged_in_full() -> None:
    try:
        try:
            raise LookupError("no agent today")
        except LookupError:
            raise ZeroDivisionError("second error")  # noqa: B904 - on purpose
    except ZeroDivisionError as error:
        log = redacted_traceback(error)
    assert "builtins.LookupError: no agent today" in log
    assert "builtins.ZeroDivisionError: second error" in log
    assert log.index("no agent today") < log.index("During handling") < log.index("second error")
    assert 'raise LookupError("no agent today")' in log


def test_the_embedded_models_message_is_logged() -> None:
    assert "The process went away." in redacted_traceback(EmbeddedModelError("The process went away."))


def test_circular_causes_and_a_failing_str_are_handled() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    first, second = Mute(), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    log = redacted_traceback(first)
    assert "(no message)" in log
    assert log.count("second") == 1


def test_the_log_redacts_exceptions_of_any_logger() -> None:
    stream = io.StringIO()
    logger = logging.Logger("uvicorn.error")
    plain = logging.StreamHandler(io.StringIO())
    for handler in (plain, log_handler(["key"], stream)):  # the first caches its own traceback in the record
        logger.addHandler(handler)
    logger.error("Exception in ASGI application: key", exc_info=raised(RuntimeError("SECRET"), invalid()))
    assert "Exception in ASGI application: ***" in stream.getvalue()
    assert "ValidationError: (message withheld) type=int_parsing" in stream.getvalue()
    assert "SECRET" not in stream.getvalue()
