"""OpenAI and compatible endpoints, over real HTTP against a fake endpoint."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any, Literal

import openai
import pytest
from agents import Agent, ModelSettings, Runner, function_tool
from openai.types.shared import Reasoning

from chatkit_server import Settings
from chatkit_server.models import Models, open_models
from chatkit_server.models.client.openai_client import make_client
from tests.models.running import Run, run, run_config
from tests.support.openai_answers import INVALID_API_KEY, RATE_LIMIT, Answer, ToolCall
from tests.support.openai_server import OpenAIServer

Api = Literal["responses", "chat_completions"]
both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


def connected(server: OpenAIServer, api: Api | None = None, **values: Any) -> Models:
    return open_models(Settings(base_url=server.base_url, model="gpt-test", api=api, **values))


@function_tool
def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


@both_apis
async def test_an_answer_streams_token_by_token(upstream: OpenAIServer, api: Api) -> None:
    upstream.script(Answer("The quick brown fox.", rate=500))
    async with connected(upstream, api) as models:
        result = await run(models, "hi")
    assert result.text == result.output == "The quick brown fox."
    assert result.types.count("response.output_text.delta") == 1
    assert sum(event.type == "response.output_text.delta" for event in result.events) >= 4
    assert result.tokens > 0


@both_apis
async def test_a_tool_is_called_and_its_result_is_sent_back(upstream: OpenAIServer, api: Api) -> None:
    upstream.script(Answer(tool_calls=[ToolCall("double", {"number": 21})]), Answer("It is 42."))
    async with connected(upstream, api) as models:
        result = await run(models, "double 21", Agent(name="Test", tools=[double]))
    assert result.output == "It is 42."
    assert "42" in str(upstream.requests[1].body)


async def test_a_compatible_endpoint_is_called_over_chat_completions_by_default(upstream: OpenAIServer) -> None:
    async with connected(upstream) as models:
        await run(models, "hi")
    request = upstream.requests[0]
    assert (request.path, request.body["model"]) == ("/v1/chat/completions", "gpt-test")
    assert request.body["stream_options"] == {"include_usage": True}


@both_apis
async def test_the_sdks_settings_for_its_default_model_are_not_sent_to_another(
    upstream: OpenAIServer, api: Api
) -> None:
    """An agent without a model has the settings for gpt-5.6-luna, which other endpoints may answer with status 400."""
    async with connected(upstream, api) as models:
        await run(models, "hi")
        await run(models, "hi", Agent(name="Test", model_settings=ModelSettings(reasoning=Reasoning(effort="high"))))
    default, explicit = (request.body for request in upstream.requests)
    assert not {"reasoning", "reasoning_effort", "verbosity"} & default.keys()
    assert "verbosity" not in str(default)
    assert "high" in str(explicit)


async def test_a_model_named_by_an_agent_is_used(upstream: OpenAIServer) -> None:
    async with connected(upstream) as models:
        await run(models, "hi", Agent(name="Test", model="gpt-other"))
        await Runner.run(Agent(name="Test"), "hi", run_config=run_config(models))
    assert [request.body["model"] for request in upstream.requests] == ["gpt-other", "gpt-test"]


async def test_a_server_without_keys_gets_a_placeholder(upstream: OpenAIServer) -> None:
    async with connected(upstream) as models:
        await run(models, "hi")
    assert upstream.requests[0].headers["Authorization"] == "Bearer no-key"


async def test_the_key_is_sent_to_the_endpoint_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with OpenAIServer(api_key="sk-secret") as upstream:
        upstream.script(Answer("Yes."))
        async with connected(upstream, openai_api_key="sk-secret") as models:
            assert (await run(models, "hi")).output == "Yes."
    assert "sk-secret" not in caplog.text


@both_apis
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(fail=INVALID_API_KEY), openai.AuthenticationError),
        (Answer(fail=RATE_LIMIT), openai.RateLimitError),
        (Answer("one two three", error_after=2, error_as="nested_error"), openai.APIError),
    ],
)
async def test_the_endpoints_errors_are_raised(
    upstream: OpenAIServer, api: Api, answer: Answer, error: type[openai.APIError]
) -> None:
    upstream.script(answer)
    async with connected(upstream, api, model_retries=0) as models:
        with pytest.raises(error):
            await run(models, "hi")


async def test_a_failed_request_is_retried_as_often_as_configured(upstream: OpenAIServer) -> None:
    upstream.script(Answer(fail=RATE_LIMIT), Answer(fail=RATE_LIMIT), Answer("At last."))
    async with connected(upstream, model_retries=2) as models:
        assert (await run(models, "hi")).output == "At last."


async def test_a_refused_connection_is_a_connection_error_not_a_timeout() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        async with open_models(Settings(base_url=url, model="gpt-test", model_retries=0)) as models:
            with pytest.raises(openai.APIConnectionError) as caught:
                await run(models, "hi")
    assert not isinstance(caught.value, openai.APITimeoutError)


@both_apis
async def test_a_connection_that_breaks_in_mid_stream_is_a_connection_error(upstream: OpenAIServer, api: Api) -> None:
    upstream.script(Answer("one two three", rate=200, error_after=2, error_as="drop"))
    partial = Run()
    async with connected(upstream, api, model_retries=0) as models:
        with pytest.raises(openai.APIConnectionError) as caught:
            await run(models, "hi", into=partial)
    assert not isinstance(caught.value, openai.APITimeoutError)
    assert partial.text == "one two"


@both_apis
async def test_too_long_a_silence_is_a_timeout(upstream: OpenAIServer, api: Api) -> None:
    upstream.script(Answer("one two three", hang_after=2))
    async with connected(upstream, api, model_timeout=0.2, model_retries=0) as models:
        with pytest.raises(openai.APITimeoutError):
            await run(models, "hi")


@both_apis
async def test_cancelling_a_run_closes_the_connection_to_the_model(upstream: OpenAIServer, api: Api) -> None:
    """An abandoned answer must not be generated, and billed, to its end (T3)."""
    upstream.script(Answer("one two three four", hang_after=2))
    async with connected(upstream, api) as models:
        result = Runner.run_streamed(Agent(name="Test"), "hi", run_config=run_config(models))
        reading = asyncio.create_task(_read(result.stream_events()))
        request = await upstream.wait_for_request()
        await request.wait_hanging()
        result.cancel()
        await request.wait_closed()
        assert request.client_gone
        async with asyncio.timeout(1.0):
            await reading


async def _read(events: AsyncIterator[Any]) -> None:
    async for _ in events:
        pass


async def test_hundreds_of_answers_stream_at_the_same_time(upstream: OpenAIServer) -> None:
    upstream.default = Answer("one two", hang_after=1)
    async with connected(upstream) as models:
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            runs = [group.create_task(run(models, "hi")) for _ in range(250)]
            for number in range(1, 251):
                await (await upstream.wait_for_request(number, within=60)).wait_hanging(within=60)
            upstream.release()
    assert {task.result().output for task in runs} == {"one two"}


async def test_a_child_is_reached_without_a_proxy(upstream: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = make_client(base_url=upstream.base_url, api_key="x", timeout=5, max_retries=0, is_our_child=True)
    async with client:
        assert [model.id async for model in client.models.list()] == ["gpt-test"]
