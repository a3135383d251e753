"""Failures of the agent and its model, through the real app and the real OpenAI client, over both APIs."""

import io
import logging
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OutputGuardrail,
    RunContextWrapper,
    function_tool,
)

from chatkit_server.errors.failures import TEXTS
from chatkit_server.errors.model_problem import ADVICE, OUTSIDE
from chatkit_server.startup.logs import log_handler
from tests.serving import Served, serve
from tests.stage import Stage
from tests.support.openai_answers import (
    CONTENT_FILTER,
    CONTEXT_LENGTH,
    INSUFFICIENT_QUOTA,
    INVALID_API_KEY,
    MODEL_NOT_FOUND,
    OVERLOADED,
    RATE_LIMIT,
    SERVER_ERROR,
    Answer,
    Failure,
    ToolCall,
)
from tests.support.openai_server import OpenAIServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "sk-this-is-the-servers-secret-key"
QUESTION = "A question for my eyes only"
ANSWER = "one two three four five six"

FORBIDDEN = Failure(403, "forbidden", "Country, region, or territory not supported")
OTHER_CONTEXT = Failure(400, None, "This model's maximum context length is 4096 tokens, you sent 5000.")
BAD_REQUEST = Failure(400, "invalid_value", "Invalid value: 'x'.")
UNPROCESSABLE = Failure(422, None, "Unprocessable")
CONFLICT = Failure(409, None, "Conflict", headers={"retry-after-ms": "1"})


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Yield the server's log from INFO up, with secrets redacted."""
    stream = io.StringIO()
    handler = log_handler([KEY], stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


@dataclass
class Endpoint:
    """A model endpoint, and an app that calls it over one of the two APIs."""

    upstream: OpenAIServer
    served: Served
    stage: Stage


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["responses", "chat_completions"])
async def api(request: pytest.FixtureRequest) -> str:
    """The API of the endpoint."""
    return str(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint(api: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Endpoint]:
    """Yield one app for all failures without special settings."""
    stage = Stage()
    async with OpenAIServer() as upstream:
        settings = settings_for(upstream, api)
        async with serve(tmp_path_factory.mktemp("failures"), stage.agent, **settings) as served:
            yield Endpoint(upstream, served, stage)


def settings_for(upstream: OpenAIServer, api: str) -> dict[str, Any]:
    """Return settings for the endpoint, without retries."""
    return {
        "model": "gpt-test",
        "base_url": upstream.base_url,
        "api": api,
        "openai_api_key": KEY,
        "model_retries": 0,
        "max_turns": 2,
    }


@dataclass
class Case:
    """A failure, and what the user sees."""

    name: str
    code: str
    answers: tuple[Answer, ...] = ()
    partial: str = ""
    """The partial text that is saved."""
    agent: Callable[[], Agent[Any]] = lambda: Agent(name="Helper")
    settings: dict[str, Any] = field(default_factory=dict)
    apis: tuple[str, ...] = ("responses", "chat_completions")
    cause: str = ""
    """What the log must contain; of a failure of the endpoint, in the line of the failure."""


async def trip(context: RunContextWrapper[Any], agent: Agent[Any], value: Any) -> GuardrailFunctionOutput:
    """A guardrail that trips for the question."""
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=bool(TRIPPING))


TRIPPING: list[bool] = []


@function_tool
async def broken_tool() -> str:
    """A tool that raises; the Agents SDK passes the error to the model."""
    raise ValueError("the tool broke")


@function_tool(failure_error_function=None)
async def fatal_tool() -> str:
    """A tool whose error ends the run."""
    raise ValueError("the tool broke")


def http(name: str, code: str, failure: Failure, **more: Any) -> Case:
    """A rejection by the provider, with a status."""
    return Case(name, code, (Answer(fail=failure),), **more)


def breaks(name: str, code: str, failure: Failure, how: Any, **more: Any) -> Case:
    """A stream that breaks after three tokens."""
    answer = Answer(ANSWER, error_after=3, error=failure, error_as=how)
    return Case(name, code, (answer,), partial="one two three", **more)


def loops() -> Agent[Any]:
    return Agent(name="Looper", tools=[broken_tool])


RESPONSES = {"apis": ("responses",)}
COMPLETIONS = {"apis": ("chat_completions",)}

CASES = [
    http("wrong key", "model_auth", INVALID_API_KEY, cause="401"),
    http("forbidden", "model_forbidden", FORBIDDEN, cause="403"),
    http("rate limit", "model_rate_limit", RATE_LIMIT, cause="429"),
    http("quota", "model_quota", INSUFFICIENT_QUOTA, cause="429"),
    http("no such model", "model_not_found", MODEL_NOT_FOUND, cause="404"),
    http("context too long", "context_too_long", CONTEXT_LENGTH, cause="400"),
    http("context too long, in words only", "context_too_long", OTHER_CONTEXT, cause="400"),
    http("bad request", "model_bad_request", BAD_REQUEST, cause="400"),
    http("unprocessable", "model_bad_request", UNPROCESSABLE, cause="422"),
    http("content filter", "content_filter", CONTENT_FILTER, cause="400"),
    http("server error", "model_unavailable", SERVER_ERROR, cause="500"),
    http("overloaded", "model_overloaded", OVERLOADED, cause="503"),
    http("conflict", "model_unavailable", CONFLICT, cause="409"),
    Case(
        "timeout",
        "model_timeout",
        (Answer("late", delay=5),),
        settings={"model_timeout": 0.3},
        cause="no answer in time",
    ),
    Case(
        "silent model",
        "model_timeout",
        (Answer("late", delay=5),),
        settings={"first_event_seconds": 0.3},
        cause="it sent nothing in time",
    ),
    Case(
        "silence amid the answer",
        "model_timeout",
        (Answer(ANSWER, hang_after=3),),
        partial="one two three",
        settings={"model_timeout": 0.3},
        cause="no answer in time",
    ),
    Case("refused connection", "model_unreachable", settings={"base_url": ""}, cause="Connection refused"),
    breaks("dropped connection", "answer_cut", SERVER_ERROR, "drop", cause="the answer ended in the middle"),
    breaks("error event", "model_unavailable", SERVER_ERROR, "error", cause="code=server_error"),
    breaks("error event, as OpenAI also sends it", "model_unavailable", SERVER_ERROR, "nested_error", **RESPONSES),
    breaks("response.failed", "model_unavailable", SERVER_ERROR, "failed", cause="server_error", **RESPONSES),
    breaks("rate limit amid the answer", "model_rate_limit", RATE_LIMIT, "failed", **RESPONSES),
    breaks("rate limit as an error event", "model_rate_limit", RATE_LIMIT, "error"),
    breaks("context too long amid the answer", "context_too_long", CONTEXT_LENGTH, "error"),
    Case(
        "input guardrail",
        "guardrail_input",
        (Answer(ANSWER),),
        agent=lambda: Agent(name="Guarded", input_guardrails=[InputGuardrail(guardrail_function=trip)]),
        cause="InputGuardrailTripwireTriggered",
    ),
    Case(
        "output guardrail",
        "guardrail_output",
        (Answer(ANSWER),),
        agent=lambda: Agent(name="Guarded", output_guardrails=[OutputGuardrail(guardrail_function=trip)]),
        cause="OutputGuardrailTripwireTriggered",
    ),
    Case(
        "too many steps",
        "max_turns",
        (Answer(tool_calls=[ToolCall("broken_tool")]),) * 2,
        agent=loops,
        cause="MaxTurnsExceeded",
    ),
    Case(
        "a tool that ends the run",
        "agent_error",
        (Answer(tool_calls=[ToolCall("fatal_tool")]),),
        agent=lambda: Agent(name="Helper", tools=[fatal_tool]),
        cause="the tool broke",
    ),
    Case(
        "an answer that does not fit its type",
        "model_behavior",
        (Answer('{"response":["no number"]}'),),
        agent=lambda: Agent(name="Helper", output_type=list[int]),
        cause="ModelBehaviorError",
    ),
]


@asynccontextmanager
async def playing(folder: Path, endpoint: Endpoint, case: Case, api: str) -> AsyncIterator[Served]:
    """Yield the app for the case."""
    endpoint.stage.playing = case.agent()
    if not case.settings:
        yield endpoint.served
        return
    settings = settings_for(endpoint.upstream, api) | case.settings
    if not settings["base_url"]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            settings["base_url"] = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    async with serve(folder, case.agent(), **settings) as served:
        yield served


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_a_failure_has_a_clear_text_and_retry_works(
    tmp_path: Path, endpoint: Endpoint, log: io.StringIO, case: Case, api: str
) -> None:
    if api not in case.apis:
        return  # Chat Completions has no such event
    upstream = endpoint.upstream
    upstream.script(*case.answers)
    text, allow_retry = TEXTS[case.code]
    TRIPPING[:] = [True]
    async with playing(tmp_path, endpoint, case, api) as served, served.tab() as tab:
        reply = await tab.create(QUESTION)
        thread_id, request_id = reply.thread_id, reply.headers["x-request-id"]
        assert reply.types[:3] == ["thread.created", "thread.item.done", "stream_options"]
        assert reply.events[1]["item"]["content"] == [{"type": "input_text", "text": QUESTION}]
        assert reply.events[-1] == {
            "type": "error",
            "code": "custom",
            "message": f"{text} (request {request_id})",
            "allow_retry": allow_retry,
        }
        partial = [("assistant", case.partial)] if case.partial else []
        assert tab.pictures[thread_id].texts() == [("user", QUESTION), *partial]
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
        (turn,) = await served.rows(
            "SELECT status, error_code, user_item_id FROM turns WHERE thread_id = :id", id=thread_id
        )
        assert turn == {"status": "failed", "error_code": case.code, "user_item_id": reply.user_item["id"]}
        check_log(log.getvalue(), request_id, case)

        TRIPPING.clear()
        if not case.settings.get("base_url", "elsewhere"):
            return  # nothing will ever listen on that port
        upstream.release()
        upstream.script(Answer("It works now."))
        again = await tab.retry(thread_id, reply.user_item["id"])
        assert again.text == "It works now."
        assert (await tab.reload(thread_id)).texts() == [("user", QUESTION), ("assistant", "It works now.")]


def check_log(lines: str, request_id: str, case: Case) -> None:
    """The cause and the request's id are in the log; the key and the conversation are not.

    A failure of the endpoint has one line, which names it and says what to do.
    """
    of_request = [line for line in lines.splitlines() if f"[{request_id}]" in line and " INFO " not in line]
    failed = [line for line in of_request if ": turn failed" in line]
    assert len(failed) == 1, "a failure is logged once"
    assert case.code in failed[0]
    assert case.cause in lines
    if case.code in ADVICE:
        place = r"http://127\.0\.0\.1:\d+/v1/(responses|chat/completions)"
        line = rf"turn failed with {case.code}: {place} \((.*)\)\. (.*)"
        match = re.search(line, failed[0])
        assert match is not None, failed[0]
        assert case.cause in match[2]
        assert match[3].startswith(ADVICE[case.code].partition("{")[0]) or case.name == "silent model"
    has_traceback = lines.partition(failed[0])[2].startswith("\nTraceback")
    assert has_traceback == (case.code not in OUTSIDE)
    assert case.code not in OUTSIDE or of_request == failed
    assert KEY not in lines
    assert QUESTION not in lines
    assert ANSWER not in lines


async def test_the_model_gets_the_error_of_a_tool_and_answers(tmp_path: Path, endpoint: Endpoint, api: str) -> None:
    endpoint.upstream.script(Answer(tool_calls=[ToolCall("broken_tool")]), Answer("The tool does not work."))
    async with playing(tmp_path, endpoint, Case("", "", agent=loops), api) as served, served.tab() as tab:
        reply = await tab.create(QUESTION)
    assert (reply.error, reply.text) == (None, "The tool does not work.")
    body = endpoint.upstream.requests[-1].body
    output = body["input"][-1]["output"] if api == "responses" else body["messages"][-1]["content"]
    assert "error" in output


async def test_a_refusal_is_an_answer(tmp_path: Path, endpoint: Endpoint, api: str) -> None:
    refusal = "I cannot help with that."
    endpoint.upstream.script(Answer(refusal=refusal))
    async with playing(tmp_path, endpoint, Case("", ""), api) as served, served.tab() as tab:
        reply = await tab.create(QUESTION)
        assert (reply.error, reply.text) == (None, refusal)
        deltas = [event["update"].get("delta", "") for event in reply.of_type("thread.item.updated")]
        assert "".join(deltas) == refusal
        assert any(deltas), "it is streamed, not only done"
        assert (await tab.reload(reply.thread_id)).items == tab.pictures[reply.thread_id].items


async def test_an_answer_that_reaches_its_length_limit_is_kept(tmp_path: Path, endpoint: Endpoint, api: str) -> None:
    endpoint.upstream.script(Answer(ANSWER, incomplete="max_output_tokens"))
    async with playing(tmp_path, endpoint, Case("", ""), api) as served, served.tab() as tab:
        reply = await tab.create(QUESTION)
        assert tab.pictures[reply.thread_id].texts() == [("user", QUESTION), ("assistant", ANSWER)]
        assert (await tab.reload(reply.thread_id)).items == tab.pictures[reply.thread_id].items


async def test_a_failed_request_is_retried_as_often_as_the_settings_say(
    tmp_path: Path, endpoint: Endpoint, api: str
) -> None:
    before = len(endpoint.upstream.requests)
    endpoint.upstream.script(Answer(fail=SERVER_ERROR), Answer(fail=RATE_LIMIT), Answer("At last."))
    case = Case("", "", settings={"model_retries": 2})
    async with playing(tmp_path, endpoint, case, api) as served, served.tab() as tab:
        assert (await tab.create(QUESTION)).text == "At last."
    assert len(endpoint.upstream.requests) - before == 3


async def test_an_agents_function_that_returns_no_agent_is_the_administrators_problem(
    tmp_path: Path, log: io.StringIO
) -> None:
    is_broken = False

    def agent() -> Any:
        return None if is_broken else Agent(name="Assistant")

    async with serve(tmp_path, agent) as served, served.tab() as tab:
        is_broken = True
        reply = await tab.create(QUESTION)
    assert reply.events[-1]["message"].startswith(TEXTS["agent_misconfigured"][0])
    assert reply.events[-1]["allow_retry"] is False
    assert "not an agents.Agent" in log.getvalue()


async def test_an_agents_function_that_raises_keeps_the_users_message(tmp_path: Path, log: io.StringIO) -> None:
    def agent() -> Agent[Any]:
        raise LookupError("no agent today")

    async with serve(tmp_path, agent) as served, served.tab() as tab:
        reply = await tab.create(QUESTION)
        assert reply.types == ["thread.created", "thread.item.done", "stream_options", "error"]
        assert reply.events[-1]["message"].startswith(TEXTS["agent_error"][0])
        assert (await tab.reload(reply.thread_id)).texts() == [("user", QUESTION)]
    assert "no agent today" in log.getvalue()
    assert QUESTION not in log.getvalue()
