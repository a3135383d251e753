"""The openai client calls our private hook, and the events built there equal the stock ones.

If a test here fails after an update of openai, adapt `models/client/events.py` before updating.
"""

import copy
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

from chatkit_server import Settings
from chatkit_server.models import open_models
from chatkit_server.models.client import events
from chatkit_server.models.client.events import (
    EVENT_CLASSES,
    ITEM_CLASSES,
    TOOL_CLASSES,
    FastEventsClient,
    with_known_classes,
)
from tests.models.running import run
from tests.models.samples import make_sample
from tests.support.openai_answers import Answer, Reasoning, ToolCall
from tests.support.openai_server import OpenAIServer

STOCK = openai.AsyncOpenAI(api_key="x", http_client=openai.DefaultAioHttpClient())
FAST = FastEventsClient(api_key="x", http_client=openai.DefaultAioHttpClient())
RESPONSE = httpx2.Response(200)
CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "gpt-test",
    "system_fingerprint": None,
    "obfuscation": "aX",
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "content": "Grüße",
                "reasoning_content": "an extra field",
                "tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "{"}}],
            },
            "logprobs": None,
            "finish_reason": None,
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.1},
}


def both(data: Any, cast_to: Any) -> tuple[BaseModel, BaseModel]:
    """Return what the fast client and the stock client build from `data`."""
    fast, stock = (
        client._process_response_data(data=copy.deepcopy(data), cast_to=cast_to, response=RESPONSE)
        for client in (FAST, STOCK)
    )
    return fast, stock


def assert_equal(data: Any, cast_to: Any) -> None:
    fast, stock = both(data, cast_to)
    assert type(fast) is type(stock)
    assert fast.model_dump(warnings=False) == stock.model_dump(warnings=False)
    # Unchecked construction (stock for chunks) does not count extra fields as set. No dump depends on that.
    fields = type(fast).model_fields.keys()
    assert fast.model_fields_set & fields == stock.model_fields_set & fields
    assert fast.to_json(warnings=False) == stock.to_json(warnings=False)  # type: ignore[attr-defined]  # defined by openai's BaseModel


def test_every_event_type_has_its_class() -> None:
    assert len(EVENT_CLASSES) == 59
    assert EVENT_CLASSES["response.output_text.delta"].__name__ == "ResponseTextDeltaEvent"


@pytest.mark.parametrize("kind", sorted(EVENT_CLASSES))
def test_a_full_event_equals_the_stock_one(kind: str) -> None:
    sample = make_sample(EVENT_CLASSES[kind]) | {"obfuscation": "an extra field"}
    assert sample["type"] == kind
    assert_equal(sample, ResponseStreamEvent)


@pytest.mark.parametrize("kind", sorted(EVENT_CLASSES))
def test_an_event_with_a_field_left_out_equals_the_stock_one(kind: str) -> None:
    sample = make_sample(EVENT_CLASSES[kind])
    for name in sample.keys() - {"type"}:
        assert_equal({key: value for key, value in sample.items() if key != name}, ResponseStreamEvent)


@pytest.mark.parametrize("kind", sorted(ITEM_CLASSES))
def test_an_item_is_built_from_its_class_and_equals_the_stock_one(kind: str) -> None:
    item = make_sample(ITEM_CLASSES[kind]) | {"extra": 1}
    event = make_sample(EVENT_CLASSES["response.output_item.done"]) | {"item": item}
    assert type(with_known_classes(event)["item"]) is ITEM_CLASSES[kind]
    assert_equal(event, ResponseStreamEvent)
    for name in item.keys() - {"type"}:
        assert_equal(event | {"item": {key: value for key, value in item.items() if key != name}}, ResponseStreamEvent)


@pytest.mark.parametrize("kind", sorted(TOOL_CLASSES))
def test_a_response_is_built_from_the_classes_of_its_parts_and_equals_the_stock_one(kind: str) -> None:
    event = make_sample(EVENT_CLASSES["response.completed"])
    event["response"] |= {
        "tools": [make_sample(TOOL_CLASSES[kind]) | {"extra": 1}, {"type": "from_the_future"}],
        "output": [make_sample(ITEM_CLASSES["message"]), make_sample(ITEM_CLASSES["function_call"])],
    }
    parts = with_known_classes(event)["response"]
    assert [type(part) for part in parts["tools"]] == [TOOL_CLASSES[kind], dict]
    assert [type(part) for part in parts["output"]] == [ITEM_CLASSES["message"], ITEM_CLASSES["function_call"]]
    assert_equal(event, ResponseStreamEvent)
    event["response"]["tools"].pop()
    assert_equal(event, ResponseStreamEvent)


@pytest.mark.parametrize(
    "change", [{"output": None}, {"tools": {}}, {"output": ["x"]}, {"tools": None}, {"output": []}]
)
def test_a_response_with_odd_parts_equals_the_stock_one(change: dict[str, Any]) -> None:
    event = make_sample(EVENT_CLASSES["response.created"])
    assert_equal(event | {"response": event["response"] | change}, ResponseStreamEvent)


def test_a_whole_response_equals_the_stock_one() -> None:
    response = make_sample(EVENT_CLASSES["response.completed"])["response"]
    response |= {"output": [make_sample(ITEM_CLASSES["message"])], "tools": [make_sample(TOOL_CLASSES["function"])]}
    parts = with_known_classes(response)
    assert type(parts["output"][0]) is ITEM_CLASSES["message"]
    assert type(parts["tools"][0]) is TOOL_CLASSES["function"]
    assert events._event_class(response, Response) is Response
    assert_equal(response, Response)
    for name in response:
        assert_equal({key: value for key, value in response.items() if key != name}, Response)


@pytest.mark.parametrize("data", [{"type": "response.from_the_future", "delta": "x"}, {"no": "type"}, {"type": None}])
def test_an_unknown_event_takes_the_stock_path(data: dict[str, Any]) -> None:
    assert_equal(data, ResponseStreamEvent)


@pytest.mark.parametrize(
    "change", [{}, {"choices": []}, {"id": None}, {"usage": None}, {"created": None}, {"choices": None}, {"x": 1}]
)
def test_a_chunk_equals_the_stock_one(change: dict[str, Any]) -> None:
    assert_equal(CHUNK | change, ChatCompletionChunk)


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_the_installed_client_calls_the_hook_for_each_event(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    original = events._event_class

    def spy(data: object, cast_to: object) -> type[BaseModel] | None:
        event_class = original(data, cast_to)
        if event_class:
            built.append(event_class.__name__)
        return event_class

    monkeypatch.setattr(events, "_event_class", spy)
    async with OpenAIServer() as server:
        server.script(Answer("one two three", reasoning=Reasoning(["hm"]), tool_calls=[ToolCall("x")]))
        async with open_models(Settings(base_url=server.base_url, model="gpt-test", api=api)) as models:
            with pytest.raises(Exception, match="Tool x not found"):
                await run(models, "hi")
    delta = "ResponseTextDeltaEvent" if api == "responses" else "ChatCompletionChunk"
    assert built.count(delta) >= 3
    if api == "responses":
        assert built[0] == "ResponseCreatedEvent"
        assert built[-1] == "ResponseCompletedEvent"
