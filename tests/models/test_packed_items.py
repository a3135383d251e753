"""Parts of an input that stay JSON: the endpoint gets the same request as for the items."""

import json
from typing import Any

import agents._debug
import agents.items
import openai
import pytest
from agents import ModelSettings, ModelTracing
from pydantic_core import PydanticSerializationError, to_json

from chatkit_server.models import Models, endpoint, open_models
from chatkit_server.models.client.openai_client import make_client
from chatkit_server.models.client.packed_items import PackedItems, body_json, unpacked
from chatkit_server.models.client.wire_items import FittedItems, PlainList
from chatkit_server.models.endpoint import EndpointProvider
from chatkit_server.settings import Settings
from tests.support.openai_answers import SERVER_ERROR, Answer, Failure
from tests.support.openai_server import OpenAIServer

OLD = [{"role": "user", "content": "Hi é \u2028"}, {"role": "assistant", "content": 'Hello "you"'}]
CALL = [
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "1"},
]
NEW = {"role": "user", "content": "And now?"}
PICTURE = {
    "role": "user",
    "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA"}],
}
ITEMS = [*OLD, *CALL, *OLD, *OLD, NEW]


def packed(items: list[Any]) -> dict[str, Any]:
    return PackedItems([to_json(item) + b"," for item in items]).stand_in()


def an_input(*items: Any) -> FittedItems:
    return FittedItems(items, is_packed=True)


PACKED = an_input(packed(OLD), *CALL, packed(OLD), packed(OLD), NEW)


def test_the_body_has_the_same_bytes() -> None:
    body = {"model": "m", "stream": True, "metadata": {"a": "b"}, "tools": PlainList([{"type": "function"}])}
    expected = to_json({**body, "input": ITEMS})
    assert body_json({**body, "input": PlainList(PACKED)}) == expected
    assert body_json({**body, "input": PlainList(FittedItems(ITEMS))}) == expected


def test_items_are_unpacked_in_their_places() -> None:
    items = unpacked(PACKED)
    assert items == ITEMS
    assert type(items) is FittedItems
    assert not items.is_packed
    assert unpacked(items) is items
    plain = list(ITEMS)
    assert unpacked(plain) is plain


def test_a_stand_in_is_never_sent_by_mistake() -> None:
    with pytest.raises(PydanticSerializationError):
        to_json([packed(OLD)])
    with pytest.raises(TypeError):
        json.dumps([packed(OLD)])


async def call(models: Models, items: list[Any]) -> None:
    model = models.provider.get_model(None)
    events = model.stream_response(
        "Count.", items, ModelSettings(), [], None, [], ModelTracing.DISABLED,
        previous_response_id=None, conversation_id=None, prompt=None,
    )  # fmt: skip
    async for _ in events:
        pass


async def test_the_endpoint_gets_the_items_in_the_first_and_in_later_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    stock_built: list[Any] = []
    stock = openai.AsyncOpenAI._build_request

    def build(self: Any, options: Any, **others: Any) -> Any:
        stock_built.append([*options.extra_json["input"]])
        return stock(self, options, **others)

    monkeypatch.setattr(openai.AsyncOpenAI, "_build_request", build)
    async with OpenAIServer(Answer("9"), rules=False) as upstream:
        settings = Settings(base_url=upstream.base_url, model="gpt-test", api="responses", model_retries=0)
        async with open_models(settings) as models:
            for _ in range(3):
                await call(models, PACKED)
        assert [request.body["input"] for request in upstream.requests] == [ITEMS] * 3
        assert stock_built == [ITEMS]  # unpacked: the stock code builds only the first
    assert len(PACKED) == 6


async def test_a_request_that_is_repeated_has_the_items_too() -> None:
    async with OpenAIServer(rules=False) as upstream:
        settings = Settings(base_url=upstream.base_url, model="gpt-test", api="responses", model_retries=1)
        async with open_models(settings) as models:
            for answers in [Answer("9")], [Answer(fail=SERVER_ERROR), Answer("9")]:
                upstream.script(*answers)
                await call(models, PACKED)
        assert [request.body["input"] for request in upstream.requests] == [ITEMS] * 3


async def test_a_model_that_takes_no_pictures_gets_the_items_without_them() -> None:
    refusal = Answer(fail=Failure(400, None, "This model does not support image inputs."))
    async with OpenAIServer(rules=False) as upstream:
        upstream.script(refusal, Answer("9"))
        settings = Settings(base_url=upstream.base_url, model="gpt-test", api="responses", model_retries=0)
        async with open_models(settings) as models:
            await call(models, an_input(packed(OLD), PICTURE, OLD[1], NEW))
        first, second = (request.body["input"] for request in upstream.requests)
    assert first == [*OLD, PICTURE, OLD[1], NEW]
    assert (second[:2], second[3:]) == (OLD, [OLD[1], NEW])
    assert second[2] != PICTURE


def test_only_models_that_pass_stand_ins_on_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = make_client(base_url="http://127.0.0.1:9/v1", api_key="k", timeout=1, max_retries=0)

    def takes_packed(client: openai.AsyncOpenAI = ours, api: Any = "responses") -> bool:
        return bool(getattr(EndpointProvider(client, name="m", api=api).get_model(None), "takes_packed", False))

    assert takes_packed()
    assert not takes_packed(api="chat_completions")
    assert not takes_packed(openai.AsyncOpenAI(api_key="k"))
    with monkeypatch.context() as patch:
        patch.setattr(agents._debug, "DONT_LOG_MODEL_DATA", False)
        assert not takes_packed()
    with monkeypatch.context() as patch:
        patch.setattr(endpoint, "replaced_walks", [agents.items])
        assert not takes_packed()
