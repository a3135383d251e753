"""Texts of users and the model never reach the log, whatever fails; class, codes and request id do."""

import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, function_tool
from pydantic import BaseModel
from sqlalchemy import text

from chatkit_server.startup.logs import FORMAT, WIRES, log_handler
from tests.serving import serve
from tests.stage import Stage
from tests.support.logs import messages_of, request_id_of
from tests.support.openai_answers import CONTENT_FILTER, SERVER_ERROR, Answer, ToolCall
from tests.support.openai_server import OpenAIServer

SECRET = "SECRET words of mine"
ANSWER = "SECRET words of the model"


class Log:
    """The lines of our own loggers at DEBUG, unredacted, and the lines of all loggers as the server prints them."""

    def __init__(self, caplog: pytest.LogCaptureFixture, printed: io.StringIO) -> None:
        self._caplog = caplog
        self._printed = printed

    def check(self, request_id: str, *expected: str) -> None:
        """Check that no text leaked, and that the line of the failed request is followed by `expected`."""
        plain = logging.Formatter(FORMAT)
        own_lines = "\n".join(
            plain.format(record)
            for record in self._caplog.records
            if record.name.startswith(("chatkit_server", "chatkit_store"))
        )
        for lines in (own_lines, self._printed.getvalue()):
            assert "SECRET" not in lines
            after = lines[lines.index(f"[{request_id}]") :]
            assert [word for word in expected if word not in after] == []
            assert 'File "' in after
            assert ", line " in after


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    """Yield the log from DEBUG up, as `configure_logging` sets it up."""
    printed = io.StringIO()
    handler = log_handler([], printed)
    for wire in WIRES:
        caplog.set_level(logging.WARNING, logger=wire)
    for own in ("chatkit_server", "chatkit_store", ""):  # the last one is the level of what is captured
        caplog.set_level(logging.DEBUG, logger=own)
    logging.getLogger().addHandler(handler)
    yield Log(caplog, printed)
    logging.getLogger().removeHandler(handler)


FORBID = {
    "sqlite": [
        "CREATE TRIGGER nope BEFORE INSERT ON thread_items WHEN NEW.text LIKE '%SECRET%' "
        "BEGIN SELECT RAISE(ABORT, 'nope'); END"
    ],
    "postgresql": ["ALTER TABLE thread_items ADD CONSTRAINT nope CHECK (text NOT LIKE '%SECRET%')"],
}
FOUND = {
    "sqlite": ("StoreError", "sqlalchemy.exc.IntegrityError", "SQLITE_CONSTRAINT_TRIGGER"),
    "postgresql": ("StoreError", "CheckViolationError", "sqlstate=23514", "constraint_name=nope"),
}


@pytest.mark.parametrize("who", ["user", "model"])
async def test_database_that_refuses_a_text(database_url: str, tmp_path: Path, log: Log, who: str) -> None:
    stage, database = Stage(), database_url.partition(":")[0]
    async with serve(tmp_path, stage.agent, database_url=database_url) as served, served.tab() as tab:
        stage.play("fine")
        thread_id = (await tab.create("fine")).thread_id
        async with served.services.engine.begin() as connection:
            for statement in FORBID[database]:
                await connection.execute(text(statement))
        stage.play(ANSWER)
        reply = await tab.send(thread_id, SECRET if who == "user" else "fine")
        assert reply.error is not None
        assert reply.error["message"].startswith("The conversation could not be read or saved just now.")
    log.check(reply.headers["x-request-id"], *FOUND[database])


def settings_for(upstream: OpenAIServer, api: str) -> dict[str, Any]:
    return {
        "model": "gpt-test",
        "base_url": upstream.base_url,
        "api": api,
        "openai_api_key": "sk-test",
        "model_retries": 0,
    }


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_provider_that_quotes_the_prompt(tmp_path: Path, log: Log, api: str) -> None:
    refused = replace(CONTENT_FILTER, message=f"Blocked: {SECRET}", headers={"x-request-id": "req_of_provider"})
    async with OpenAIServer() as upstream:
        upstream.script(Answer(fail=refused))
        async with serve(tmp_path, **settings_for(upstream, api)) as served, served.tab() as tab:
            reply = await tab.create(SECRET)
    codes = ("status_code=400", "code=content_policy_violation", "request_id=req_of_provider")
    log.check(reply.headers["x-request-id"], "content_filter", "openai.BadRequestError", *codes)


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_provider_that_quotes_the_prompt_amid_the_answer(tmp_path: Path, log: Log, api: str) -> None:
    broken = replace(SERVER_ERROR, message=f"Failed at: {SECRET}")
    async with OpenAIServer() as upstream:
        upstream.script(Answer(ANSWER, error_after=2, error=broken, error_as="error"))
        async with serve(tmp_path, **settings_for(upstream, api)) as served, served.tab() as tab:
            reply = await tab.create(SECRET)
    log.check(reply.headers["x-request-id"], "model_unavailable", "server_error")


class Person(BaseModel):
    """Data that a tool validates."""

    age: int


@function_tool(failure_error_function=None)
async def takes_an_age(age: int) -> str:
    """A tool that only takes numbers."""
    return str(age)


@function_tool(failure_error_function=None)
async def reads_a_person() -> str:
    """A tool that reads invalid data."""
    return str(Person.model_validate({"age": SECRET}))


BAD = {
    "invalid arguments": (takes_an_age, {"age": SECRET}, "ModelBehaviorError"),
    "arguments that are not JSON": (takes_an_age, f'{{"{SECRET}', "ModelBehaviorError"),
    "invalid data": (reads_a_person, {}, "pydantic_core._pydantic_core.ValidationError"),
}


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
async def test_agent_that_fails_on_what_the_model_wrote(tmp_path: Path, log: Log, api: str, case: Any) -> None:
    tool, arguments, kind = case
    async with OpenAIServer() as upstream:
        upstream.script(Answer(tool_calls=[ToolCall(tool.name, arguments)]), Answer("fine"))
        agent: Callable[[], Agent[Any]] = lambda: Agent(name="Helper", tools=[tool])  # noqa: E731 - one line of a test
        async with serve(tmp_path, agent, **settings_for(upstream, api)) as served, served.tab() as tab:
            reply = await tab.create(SECRET)
    assert reply.error is not None
    log.check(reply.headers["x-request-id"], kind)


@function_tool
async def logs_a_line() -> str:
    """A tool that logs."""
    logging.getLogger("chatkit_server.tool").warning("called")
    return "logged"


async def test_a_turn_logs_under_the_id_of_its_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chatkit_server")
    async with OpenAIServer() as upstream:
        agent: Callable[[], Agent[Any]] = lambda: Agent(name="Helper", tools=[logs_a_line])  # noqa: E731 - as above
        async with serve(tmp_path, agent, **settings_for(upstream, "responses")) as served, served.tab() as tab:
            for _ in range(2):  # over the same connection
                upstream.script(Answer(tool_calls=[ToolCall("logs_a_line")]), Answer("fine"))
                reply = await tab.create("Log a line")
                assert messages_of(caplog, reply.headers["x-request-id"]) == ["called"]
    started = [record for record in caplog.records if record.getMessage().startswith("answers come from")]
    assert [request_id_of(record) for record in started] == ["-"]
