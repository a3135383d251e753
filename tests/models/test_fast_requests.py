"""Requests that skip the client's transformation reach the endpoint as the stock client sends them."""

import json
from typing import Any, Literal

import httpx2
import openai
import pytest
from agents import Agent, ModelSettings, Runner, function_tool
from agents.items import TResponseInputItem
from openai._models import FinalRequestOptions
from openai.resources.chat import AsyncCompletions
from openai.resources.responses import AsyncResponses
from openai.types.shared import Reasoning

from chatkit_server.models import open_models
from chatkit_server.models.client.direct_calls import DirectAnswer
from chatkit_server.models.client.openai_client import make_client
from chatkit_server.models.client.prepared_requests import PreparedRequests, forget_request
from chatkit_server.models.client.requests import FastCompletions
from chatkit_server.models.client.wire_items import PlainList, is_wire_form
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


SETTINGS = {
    "none": ModelSettings(),
    "many": ModelSettings(
        temperature=0.5,
        top_p=1.0,
        max_tokens=100,
        tool_choice="required",
        parallel_tool_calls=False,
        truncation="auto",
        store=False,
        metadata={"a": "b"},
        response_include=["file_search_call.results"],
        extra_headers={"x-a": "b"},
        extra_args={"safety_identifier": "u"},
    ),
    "reasoning": ModelSettings(reasoning=Reasoning(effort="low", summary="auto"), verbosity="low"),
    "named tool": ModelSettings(tool_choice="times"),
    "extra body": ModelSettings(extra_body={"top_k": 3, "model": "other"}, extra_query={"a": "b"}),
}
VARYING = ("content-length", "host")


async def _requests(
    monkeypatch: pytest.MonkeyPatch, api: Literal["responses", "chat_completions"], settings: ModelSettings, stock: bool
) -> list[Any]:
    """Return body and headers of two equal requests."""
    if stock:
        monkeypatch.setattr("chatkit_server.models.client.requests.FastResponses", AsyncResponses)
        monkeypatch.setattr(FastCompletions, "_create", lambda self, options: AsyncCompletions.create(self, **options))
        monkeypatch.setattr("chatkit_server.models.client.prepared_requests._plain_body", lambda options: None)
    async with OpenAIServer(Answer("9"), rules=False) as upstream:
        own = Settings(base_url=upstream.base_url, model="gpt-test", api=api, model_retries=0)
        async with open_models(own) as models:
            agent = Agent(name="A", instructions="Count.", tools=[times], model_settings=settings)
            for _ in range(2):
                result = Runner.run_streamed(agent, list(HISTORY), run_config=run_config(models))
                async for _event in result.stream_events():
                    pass
                assert result.final_output == "9"
    return [
        (request.body, {name.lower(): text for name, text in request.headers.items() if name.lower() not in VARYING})
        for request in upstream.requests
    ]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_the_endpoint_gets_the_same_requests_as_from_the_stock_client(
    api: Literal["responses", "chat_completions"], settings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = await _requests(monkeypatch, api, SETTINGS[settings], stock=False)
    assert requests == await _requests(monkeypatch, api, SETTINGS[settings], stock=True)
    body, _ = requests[1]
    assert len(body["input" if api == "responses" else "messages"]) >= len(HISTORY) - 1
    assert len(body["tools"]) == 1


async def test_the_stock_code_builds_only_the_first_of_equal_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    stock = openai.AsyncOpenAI._build_request

    def build(self: Any, *args: Any, **options: Any) -> Any:
        built.append(self)
        return stock(self, *args, **options)

    monkeypatch.setattr(openai.AsyncOpenAI, "_build_request", build)
    for api in ("responses", "chat_completions"):
        built.clear()
        assert len(await _requests(monkeypatch, api, ModelSettings(), stock=False)) == 2
        assert len(built) == 1


async def test_a_cookie_of_the_endpoint_comes_back_and_another_key_is_sent() -> None:
    client = make_client(base_url="http://127.0.0.1:9/v1", api_key="first", timeout=1, max_retries=0)
    assert isinstance(client, PreparedRequests)

    def build(retries: int = 0) -> httpx2.Request:
        options = FinalRequestOptions.construct(
            method="post", url="/responses", json_data={"stream": True}, extra_json={"model": "m"}
        )
        return client._build_request(options, retries_taken=retries)

    assert "cookie" not in build().headers
    client._client.cookies.set("a", "b", domain="127.0.0.1")
    assert build().headers["cookie"] == "a=b"
    assert build(1).headers["x-stainless-retry-count"] == "1"
    client.api_key = "second"
    assert [build().headers["authorization"] for _ in range(2)] == ["Bearer second"] * 2
    assert json.loads(build().content) == {"stream": True, "model": "m"}
    await client.close()


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_a_streamed_answer_keeps_neither_the_body_nor_the_headers_of_its_request(
    api: Literal["responses", "chat_completions"], monkeypatch: pytest.MonkeyPatch
) -> None:
    lists: list[PlainList] = []
    requests: list[httpx2.Request] = []

    def forget(answer: Any, body: Any) -> None:
        lists.extend(value for value in body.values() if isinstance(value, PlainList))
        forget_request(answer, body)
        if not isinstance(answer, DirectAnswer):  # it has no request
            response = getattr(answer, "http_response", None) or answer.response
            requests.append(response.request)

    monkeypatch.setattr("chatkit_server.models.client.requests.forget_request", forget)
    ((body, _), _) = await _requests(monkeypatch, api, ModelSettings(), stock=False)
    assert len(body["tools"]) == 1  # the endpoint had it
    assert len(lists) == 4
    assert not any(lists)
    assert [len(request.headers) for request in requests] == [0]


@pytest.mark.parametrize(
    "value",
    [
        "a text",
        [{"type": "web_search"}],
        [{"type": "function", "parameters": openai.omit}],
        [{"type": "message", "role": "user", "content": b"bytes"}],
        [{"type": "message", "role": "user", "content": iter("x")}],
        [{"type": "message", "role": "user", "content": float("nan")}],
        openai.omit,
    ],
)
def test_anything_but_plain_json_takes_the_stock_path(value: object) -> None:
    assert not is_wire_form(value)
