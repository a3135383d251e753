"""Requests that skip the client's transformation reach the endpoint as the stock client sends them."""

from typing import Any

import openai
import pytest
from agents import Agent, Runner, function_tool
from agents.items import TResponseInputItem
from openai.resources.responses import AsyncResponses

from chatkit_server.models import open_models
from chatkit_server.models.client.requests import _is_wire_form
from chatkit_server.settings import Settings
from tests.models.running import run_config
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer

HISTORY: list[TResponseInputItem] = [
    {"role": "user", "content": "What is 2*3?"},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Easy."}]},
    {"type": "function_call", "call_id": "call_1", "name": "times", "arguments": '{"a": 2, "b": 3}', "id": "fc_1"},
    {"type": "function_call_output", "call_id": "call_1", "output": "6"},
    {
        "type": "message",
        "role": "assistant",
        "id": "msg_1",
        "status": "completed",
        "content": [{"type": "output_text", "text": "It is 6.", "annotations": []}],
    },
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "And 3*3? é \u2028"},
            {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AAAA"},
        ],
    },
]


@function_tool
def times(a: int, b: int | None = None) -> int:
    """Multiplies.

    Args:
        a: A number.
        b: Another one.
    """
    return a * (b or 1)


async def _body(monkeypatch: pytest.MonkeyPatch, *, stock: bool) -> Any:
    if stock:
        monkeypatch.setattr("chatkit_server.models.client.events.FastResponses", AsyncResponses)
    async with OpenAIServer(Answer("9"), rules=False) as upstream:
        settings = Settings(base_url=upstream.base_url, model="gpt-test", api="responses", model_retries=0)
        async with open_models(settings) as models:
            agent = Agent(name="A", instructions="Count.", tools=[times])
            result = Runner.run_streamed(agent, list(HISTORY), run_config=run_config(models))
            async for _ in result.stream_events():
                pass
            assert result.final_output == "9"
        (request,) = upstream.requests
        return request.body


async def test_the_endpoint_gets_the_same_body_as_from_the_stock_client(monkeypatch: pytest.MonkeyPatch) -> None:
    body = await _body(monkeypatch, stock=False)
    assert body == await _body(monkeypatch, stock=True)
    assert len(body["input"]) == len(HISTORY)
    assert body["tools"][0]["name"] == "times"


@pytest.mark.parametrize(
    "value",
    [
        "a text",
        [{"type": "web_search"}],
        [{"type": "function", "parameters": openai.omit}],
        [{"type": "message", "role": "user", "content": b"bytes"}],
        [{"type": "message", "role": "user", "content": iter("x")}],
        openai.omit,
    ],
)
def test_anything_but_plain_json_takes_the_stock_path(value: object) -> None:
    assert not _is_wire_form(value)
