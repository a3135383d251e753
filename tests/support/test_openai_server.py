"""The fake model endpoint, tested with the real openai client and the Agents SDK."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

import openai
import pytest
from agents import (
    Agent,
    Model,
    ModelRefusalError,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    RunResultStreaming,
    function_tool,
)
from openai import AsyncOpenAI
from openai.types.responses import ResponseCompletedEvent

from tests.support.openai_answers import (
    CONTEXT_LENGTH,
    INSUFFICIENT_QUOTA,
    INVALID_API_KEY,
    MODEL_NOT_FOUND,
    OVERLOADED,
    RATE_LIMIT,
    SERVER_ERROR,
    Answer,
    Citation,
    Failure,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from tests.support.openai_server import OpenAIServer

Api = Literal["responses", "chat_completions"]

CALL: Any = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT: Any = {"type": "function_call_output", "call_id": "call_1", "output": "1"}


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def client(upstream: OpenAIServer) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=upstream.base_url, api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture(params=["responses", "chat_completions"])
def api(request: pytest.FixtureRequest) -> Api:
    chosen: Api = request.param
    return chosen


def run(api: Api, client: AsyncOpenAI, **more: Any) -> RunResultStreaming:
    kind = OpenAIResponsesModel if api == "responses" else OpenAIChatCompletionsModel
    model: Model = kind("gpt-test", client)
    agent = Agent(name="test", model=model, **more)
    return Runner.run_streamed(agent, "Which time is it?", run_config=RunConfig(tracing_disabled=True))


async def events_of(result: RunResultStreaming, into: list[Any] | None = None) -> list[Any]:
    events = [] if into is None else into
    async for event in result.stream_events():
        if event.type == "raw_response_event":
            events.append(event.data)
    return events


async def test_an_answer_arrives_token_by_token(upstream: OpenAIServer, client: AsyncOpenAI, api: Api) -> None:
    upstream.script(Answer("It is\nnoon, “sharp” 🕛."))
    result = run(api, client, model_settings=ModelSettings(include_usage=True))
    events = await events_of(result)
    assert result.final_output == "It is\nnoon, “sharp” 🕛."
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["It", " is", "\nnoon,", " “sharp”", " 🕛."]
    assert result.context_wrapper.usage.output_tokens == 5


async def test_the_events_of_a_response_are_in_order(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer("Hello there"))
    stream = await client.responses.create(model="gpt-test", input="Hi", stream=True)
    events = [event async for event in stream]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    last = events[-1]
    assert isinstance(last, ResponseCompletedEvent)
    assert last.response.output_text == "Hello there"


async def test_a_tool_is_called_and_its_output_sent_back(upstream: OpenAIServer, client: AsyncOpenAI, api: Api) -> None:
    @function_tool
    def get_time(city: str) -> str:
        """The time."""
        return f"12:00 in {city}"

    upstream.script(Answer(tool_calls=[ToolCall("get_time", {"city": "Graz"}, "call_1")]), Answer("Noon."))
    result = run(api, client, tools=[get_time])
    await events_of(result)
    assert result.final_output == "Noon."
    first, second = upstream.requests
    assert first.body["model"] == "gpt-test"
    assert first.headers["Authorization"] == "Bearer sk-test"
    history = second.body["input" if api == "responses" else "messages"]
    answer = next(i for i in history if i.get("type") == "function_call_output" or i.get("role") == "tool")
    assert answer["call_id" if api == "responses" else "tool_call_id"] == "call_1"
    assert "12:00 in Graz" in str(answer)


async def test_reasoning_comes_before_the_answer(upstream: OpenAIServer, client: AsyncOpenAI, api: Api) -> None:
    upstream.script(Answer("Noon.", reasoning=Reasoning(["Look at the clock.", "Read it."])))
    kinds = [event.type for event in await events_of(run(api, client))]
    thought = kinds.index("response.reasoning_summary_text.delta")
    assert thought < kinds.index("response.output_text.delta")


async def test_raw_reasoning_has_its_own_events(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer("Noon.", reasoning=Reasoning(text="Look at the clock.")))
    events = await events_of(run("responses", client))
    assert "".join(e.delta for e in events if e.type == "response.reasoning_text.delta") == "Look at the clock."


async def test_citations_have_indexes_into_the_text(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer(Text("Noon, says the tower.", [Citation("https://tower.example", "The tower", 6, 20)])))
    events = await events_of(run("responses", client))
    added = next(e for e in events if e.type == "response.output_text.annotation.added")
    assert added.annotation.url == "https://tower.example"
    final = events[-1].response.output[0].content[0].annotations[0]
    assert (final.url, final.start_index, final.end_index) == ("https://tower.example", 6, 20)


async def test_a_refusal_streams(upstream: OpenAIServer, client: AsyncOpenAI, api: Api) -> None:
    upstream.script(Answer(refusal="I will not say."))
    events: list[Any] = []
    with pytest.raises(ModelRefusalError):  # the SDK raises it after the deltas
        await events_of(run(api, client), events)
    assert "".join(e.delta for e in events if e.type == "response.refusal.delta") == "I will not say."


async def test_output_items_have_different_ids(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer(output=[Text("One."), Text("Two."), Refusal("Not three.")]))
    response = await client.responses.create(model="gpt-test", input="Count")
    assert response.output_text == "One.Two."
    assert len({item.id for item in response.output}) == 3


async def test_an_answer_without_streaming_is_the_same(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer("Noon.", tool_calls=[ToolCall("f", '{"a":1}', "call_1")]))
    completion = await client.chat.completions.create(model="gpt-test", messages=[{"role": "user", "content": "Hi"}])
    message = completion.choices[0].message
    assert message.content == "Noon."
    assert message.tool_calls is not None
    assert message.tool_calls[0].id == "call_1"
    assert completion.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (INVALID_API_KEY, openai.AuthenticationError),
        (RATE_LIMIT, openai.RateLimitError),
        (INSUFFICIENT_QUOTA, openai.RateLimitError),
        (MODEL_NOT_FOUND, openai.NotFoundError),
        (CONTEXT_LENGTH, openai.BadRequestError),
        (SERVER_ERROR, openai.InternalServerError),
        (OVERLOADED, openai.InternalServerError),
    ],
    ids=lambda value: value.code if isinstance(value, Failure) else "",
)
async def test_a_failure_raises_the_same_error_as_openai(
    upstream: OpenAIServer, client: AsyncOpenAI, api: Api, failure: Failure, kind: type[openai.APIStatusError]
) -> None:
    upstream.script(Answer(fail=failure))
    with pytest.raises(kind) as caught:
        await events_of(run(api, client))
    assert caught.value.code == failure.code
    assert caught.value.status_code == failure.status


@pytest.mark.parametrize("how", ["error", "nested_error", "failed", "drop"])
async def test_a_stream_breaks_after_the_scripted_number_of_tokens(
    upstream: OpenAIServer, client: AsyncOpenAI, how: Literal["error", "nested_error", "failed", "drop"]
) -> None:
    upstream.script(Answer("one two three four", error_after=2, error_as=how, rate=500))
    stream = await client.responses.create(model="gpt-test", input="Hi", stream=True)
    kinds: list[str] = []
    try:
        async for event in stream:
            kinds.append(event.type)
    except openai.APIError:
        kinds.append("raised")
    assert kinds.count("response.output_text.delta") == 2
    last = {"error": "error", "nested_error": "raised", "failed": "response.failed", "drop": "raised"}
    assert kinds[-1] == last[how]


async def test_chat_completions_breaks_in_the_middle_too(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer("one two three", error_after=1))
    with pytest.raises(openai.APIError, match="The server had an error"):
        await events_of(run("chat_completions", client))


async def test_an_incomplete_answer_says_why(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer("one two", incomplete="max_output_tokens"))
    response = await client.responses.create(model="gpt-test", input="Hi")
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


async def test_a_disconnect_is_noticed_while_the_model_hangs(
    upstream: OpenAIServer, client: AsyncOpenAI, api: Api
) -> None:
    upstream.script(Answer("one two three", hang_after=2))
    result = run(api, client)
    reader = asyncio.create_task(events_of(result))
    request = await upstream.wait_for_request()
    await request.wait_hanging()
    assert (upstream.opened, upstream.closed, request.tokens_sent) == (1, 0, 2)
    cancelled_at = time.monotonic()
    result.cancel()
    reader.cancel()
    await request.wait_closed()
    assert request.client_gone
    assert request.closed_at is not None
    assert request.closed_at - cancelled_at < 1
    with pytest.raises(asyncio.CancelledError):
        await reader


async def test_a_hanging_answer_continues_when_released(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer("one two three", hang_after=1, rate=1000))
    result = run("responses", client)
    reader = asyncio.create_task(events_of(result))
    request = await upstream.wait_for_request()
    await request.wait_hanging()
    upstream.release()
    await reader
    assert result.final_output == "one two three"
    await request.wait_closed()
    assert not request.client_gone


async def test_a_rate_paces_the_tokens(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer("one two three four five six", rate=50))
    started = time.monotonic()
    await events_of(run("responses", client))
    assert time.monotonic() - started >= 0.1


async def test_a_history_that_openai_rejects_is_rejected(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call call_1"):
        await client.responses.create(model="gpt-test", input=[CALL])


async def test_reasoning_must_be_sent_with_the_item_it_led_to(upstream: OpenAIServer, client: AsyncOpenAI) -> None:
    upstream.script(Answer(reasoning=Reasoning(["Hm."]), tool_calls=[ToolCall("f", {}, "call_1")]))
    first = await client.responses.create(model="gpt-test", input="Hi")
    thought, call = (item.model_dump(exclude_none=True) for item in first.output)

    async def send(*items: Any) -> None:
        await client.responses.create(model="gpt-test", input=[{"role": "user", "content": "Hi"}, *items])

    await send(thought, call, OUTPUT)
    await send(CALL, OUTPUT)
    with pytest.raises(openai.BadRequestError, match="'reasoning' was provided without its required following item"):
        await send(thought, CALL | {"id": "fc_of_another_response"}, OUTPUT)
    with pytest.raises(openai.BadRequestError, match="'reasoning' was provided without its required following item"):
        await send(CALL, OUTPUT, thought)
    with pytest.raises(openai.BadRequestError, match=f"without its required 'reasoning' item: '{thought['id']}'"):
        await send(call, OUTPUT)
    with pytest.raises(openai.NotFoundError, match="Item with id 'rs_of_another_account' not found"):
        await send(thought | {"id": "rs_of_another_account"}, call, OUTPUT)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"role": "user", "content": "Hi", "thread_id": "thr_1"}, r"Unknown parameter: 'input\[0\].thread_id'"),
        (
            {"role": "user", "content": [{"type": "input_text", "text": "Hi", "quoted": True}]},
            r"Unknown parameter: 'input\[0\].content\[0\].quoted'",
        ),
        ({"role": "user", "content": [{"type": "attachment", "id": "atc_1"}]}, "Invalid value: 'attachment'"),
        ({"type": "widget", "id": "msg_1"}, "Invalid value: 'widget'"),
    ],
)
async def test_unknown_fields_and_types_are_rejected(
    upstream: OpenAIServer, client: AsyncOpenAI, item: Any, message: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        await client.responses.create(model="gpt-test", input=[item])


async def test_only_the_right_key_is_accepted() -> None:
    async with OpenAIServer(api_key="sk-right") as upstream:
        async with AsyncOpenAI(base_url=upstream.base_url, api_key="sk-right") as client:
            assert [model.id async for model in client.models.list()] == ["gpt-test"]
            assert (await client.responses.create(model="gpt-test", input="Hi")).output_text
        async with AsyncOpenAI(base_url=upstream.base_url, api_key="sk-wrong") as stranger:
            with pytest.raises(openai.AuthenticationError):
                await stranger.responses.create(model="gpt-test", input="Hi")
