"""A request is retried only while there is time for it."""

import openai
import pytest
from agents import Agent

from chatkit_server import Settings
from chatkit_server.errors.failures import NotAnEndpoint
from chatkit_server.models import open_models
from chatkit_server.models.one_shot import ask_once
from tests.models.running import run
from tests.support.raw_endpoint import DONE, RawEndpoint, as_json, chunk, completion, http, stream

FINE = stream(chunk({"content": "Fine."}), chunk({}, "stop"), DONE)
LIMIT = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "4"},
        {"retry_after": "Sat, 28 Nov 2099 00:00:00 GMT"},
        {"retry_after_ms": "4000"},
        {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "20s"},
    ],
)
async def test_a_wait_beyond_the_deadline_fails_at_once(headers: dict[str, str]) -> None:
    async with RawEndpoint(lambda body: as_json(LIMIT, 429, **headers)) as endpoint:
        settings = Settings(model="m", base_url=endpoint.base_url, first_event_seconds=6, model_retries=2)
        async with open_models(settings) as models:
            with pytest.raises(openai.RateLimitError):
                await run(models, "hi")
        assert len(endpoint.bodies) == 1


async def test_a_short_wait_is_waited_for() -> None:
    replies = [as_json(LIMIT, 429, retry_after_ms="5"), FINE]
    async with RawEndpoint(lambda body: replies.pop(0)) as endpoint:
        async with open_models(Settings(model="m", base_url=endpoint.base_url, model_retries=2)) as models:
            assert (await run(models, "hi")).output == "Fine."


async def test_an_agent_used_as_a_tool_reads_whole_answers_by_the_same_rules() -> None:
    parts = [{"type": "text", "text": "From "}, {"type": "text", "text": "parts."}]
    outer = [
        stream(chunk({"tool_calls": [{"function": {"name": "ask", "arguments": {"input": "x"}}}]}), chunk({}, "stop")),
        FINE,
    ]
    inner = as_json(completion({"content": parts}, "end_turn"))
    async with RawEndpoint(lambda body: outer.pop(0) if body.get("stream") else inner) as endpoint:
        async with open_models(Settings(model="m", base_url=endpoint.base_url)) as models:
            helper = Agent(name="Inner", model=models.provider.get_model(None))
            agent = Agent(name="Outer", tools=[helper.as_tool("ask", "Ask.")])
            assert (await run(models, "hi", agent)).output == "Fine."
        assert endpoint.bodies[-1]["messages"][-1]["content"] == "From parts."


@pytest.mark.parametrize("reply", [http(b"<html>Login</html>", "text/html"), as_json({"object": "list", "data": []})])
async def test_a_title_from_a_page_says_that_it_is_no_endpoint(reply: bytes) -> None:
    async with RawEndpoint(lambda body: reply) as endpoint:
        async with open_models(Settings(model="m", base_url=endpoint.base_url, model_retries=0)) as models:
            with pytest.raises(NotAnEndpoint):
                await ask_once(models.provider.get_model(None), "m", "Name it.", "x")
