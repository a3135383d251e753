"""A call that is most likely answered with text goes past the SDK's model class, and nobody can tell the difference."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from agents import Agent, FunctionTool, ModelSettings, OpenAIResponsesModel, RunConfig, function_tool
from agents.items import TResponseStreamEvent

from chatkit_server.models import Models, open_models
from chatkit_server.models import endpoint as model_endpoint
from chatkit_server.models.client import direct_calls, prepared_calls, text_calls
from chatkit_server.models.client.plain_events import MAX_EVENT, PlainEvents
from chatkit_server.models.client.text_calls import UNREAD
from chatkit_server.models.client.wire_items import FittedItems
from chatkit_server.models.incoming.answer_decoder import AnswerDecoder
from chatkit_server.models.incoming.answer_state import AnswerState
from chatkit_server.models.usage import TurnUsage, turn_usage
from chatkit_server.run.planned_call import plan_call
from chatkit_server.run.run_configs import server_run_config
from chatkit_server.settings import Settings
from tests.fast_path.recorded_streams import OPENAI_ANSWERS, recorded
from tests.fast_path.replay import cut
from tests.models.test_direct_calls import FINE, OUTCOMES, events
from tests.support.raw_endpoint import RawEndpoint, Reply, http, stream

MESSAGE = {"role": "user", "content": "Hi é \u2028 🦊"}


@function_tool
def double(number: int) -> int:
    """Doubles a number."""
    return number * 2


@dataclass
class Calls:
    """What a model's calls have led to."""

    endpoint: RawEndpoint
    models: Models
    config: RunConfig
    replies: list[Reply]

    async def ask(self, agent: Agent[Any], input: FittedItems | None = None) -> list[TResponseStreamEvent]:
        """Make the first call of a run, as a turn does."""
        call = plan_call(agent, self.config)
        assert call is not None
        answer = call.stream(FittedItems([MESSAGE], are_messages=True) if input is None else input)
        async with aclosing(answer) as answer_events:  # type: ignore[type-var]  # a generator
            return [event async for event in answer_events]


@asynccontextmanager
async def open_calls(*replies: Reply, retries: int = 1) -> AsyncIterator[Calls]:
    left = list(replies)
    async with RawEndpoint(lambda body: left.pop(0) if left else FINE) as endpoint:
        settings = Settings(
            _env_file=None, model="m", base_url=endpoint.base_url, api="responses", model_retries=retries
        )
        async with open_models(settings) as models:
            yield Calls(endpoint, models, server_run_config(models, tracing=False), left)


@pytest.fixture
def sdk_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each request that the SDK's model makes adds its model's name."""
    calls: list[str] = []
    fetch = OpenAIResponsesModel._fetch_response

    async def note(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(self.model)
        return await fetch(self, *args, **options)

    monkeypatch.setattr(OpenAIResponsesModel, "_fetch_response", note)
    return calls


def as_seen(read: Sequence[TResponseStreamEvent]) -> list[Any]:
    """Return what a turn reads of events."""
    return [
        (event.type, getattr(getattr(event, "response", None), "_request_id", None), event.model_dump(warnings=False))
        if event.type not in UNREAD
        else event.type
        for event in read
    ]


AGENTS: dict[str, Callable[[], Agent[Any]]] = {
    "nothing": lambda: Agent(name="A"),
    "instructions": lambda: Agent(name="A", instructions='Say é, 🦊 \x00 and "quotes".'),
    "tools": lambda: Agent(name="A", instructions="Count.", tools=[double]),
    "settings": lambda: Agent(
        name="A",
        instructions="Count.",
        tools=[double],
        model_settings=ModelSettings(
            temperature=0.5, max_tokens=9, tool_choice="auto", extra_body={"x": {"y": [1, None]}}, metadata={"a": "b"}
        ),
    ),
}


@pytest.mark.parametrize("name", AGENTS)
async def test_a_prepared_request_is_the_one_of_the_sdk(name: str, sdk_calls: list[str]) -> None:
    agent = AGENTS[name]()
    async with open_calls() as calls:
        first = await calls.ask(agent)
        assert sdk_calls == ["m"]  # it is sent by the stock code, from which the direct one learns
        second = await calls.ask(agent)
        assert sdk_calls == ["m"]
        assert calls.endpoint.bodies[0] == calls.endpoint.bodies[1]
        assert calls.endpoint.heads[0] == calls.endpoint.heads[1]
        assert as_seen(first) == as_seen(second)


@pytest.mark.parametrize("of_config", [ModelSettings(), None], ids=["settings of the run", "none of the run"])
async def test_a_request_follows_each_change_of_an_agent(of_config: ModelSettings | None) -> None:
    tool = FunctionTool("look", "Looks.", {"type": "object", "properties": {}}, double.on_invoke_tool)
    agent = Agent[Any](name="A", instructions="Look.", tools=[tool])

    def describe() -> None:
        tool.description = "Looks twice."

    def declare() -> None:
        tool.params_json_schema["properties"]["place"] = {"type": "string"}

    def instruct() -> None:
        agent.instructions = "Look again."

    def set_up() -> None:
        agent.model_settings = ModelSettings(temperature=0.25)

    def tune() -> None:
        agent.model_settings.temperature = 0.75

    def add() -> None:
        agent.tools.append(double)

    async with open_calls() as calls:
        calls.config = replace(calls.config, model_settings=of_config)
        await calls.ask(agent)
        await calls.ask(agent)
        for change in (describe, declare, instruct, set_up, tune, add):
            change()
            await calls.ask(agent)
            assert calls.endpoint.bodies[-1] != calls.endpoint.bodies[-2], change.__name__
            await calls.ask(agent)
            assert calls.endpoint.bodies[-1] == calls.endpoint.bodies[-2]


async def test_a_call_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    build = OpenAIResponsesModel._build_response_create_kwargs

    def note(self: Any, *args: Any, **options: Any) -> Any:
        built.append(self)
        return build(self, *args, **options)

    monkeypatch.setattr(OpenAIResponsesModel, "_build_response_create_kwargs", note)
    async with open_calls() as calls:
        for _ in range(4):
            await calls.ask(AGENTS["settings"]())
        assert len(built) == 2  # the other is that of the first request, which the stock code sends


async def test_a_list_that_may_need_changes_goes_the_stock_way(sdk_calls: list[str]) -> None:
    async with open_calls() as calls:
        for _ in range(2):
            item = {"role": "user", "content": "Hi", "provider_data": {"model": "x"}}
            await calls.ask(AGENTS["tools"](), FittedItems([item]))
        assert len(sdk_calls) == 2
        assert "provider_data" not in str(calls.endpoint.bodies)


async def test_a_body_that_is_not_plain_goes_the_stock_way(sdk_calls: list[str]) -> None:
    agent = Agent[Any](name="A", model_settings=ModelSettings(extra_query={"a": "b"}))
    async with open_calls() as calls:
        for _ in range(2):
            await calls.ask(agent)
        assert len(sdk_calls) == 2


async def test_all_goes_the_stock_way_without_the_private_names(
    sdk_calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_endpoint, "HAS_MODEL_PARTS", False)
    async with open_calls() as calls:
        for _ in range(2):
            await calls.ask(AGENTS["tools"]())
        assert len(sdk_calls) == 2


async def test_a_tool_that_wraps_the_model_sees_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    stream_response, seen = OpenAIResponsesModel.stream_response, []

    def observed(self: Any, *args: Any, **options: Any) -> Any:
        seen.append(self)
        return stream_response(self, *args, **options)

    monkeypatch.setattr(OpenAIResponsesModel, "stream_response", observed)
    async with open_calls() as calls:
        for _ in range(3):
            await calls.ask(AGENTS["tools"]())
    assert len(seen) == 3


def test_the_sdk_has_what_prepared_calls_need() -> None:
    assert direct_calls.is_untouched(OpenAIResponsesModel.stream_response)
    assert prepared_calls.HAS_MODEL_PARTS
    assert text_calls.HAS_STREAM


WITHOUT_USAGE = b"".join(events()).replace(b'"usage"', b'"no_usage"')
MORE_OUTCOMES: dict[str, Sequence[Reply]] = {
    "an id": [http(b"".join(events()), x_request_id="req_1")],
    "an id of a failure": [
        http(b"".join(events()).replace(b"response.completed", b"response.failed"), x_request_id="req_1")
    ],
    "no usage": [http(WITHOUT_USAGE, x_request_id="req_1")],
    "an incomplete response": [stream(b"".join(events()).replace(b"response.completed", b"response.incomplete"))],
}


@pytest.mark.parametrize("name", [*OUTCOMES, *MORE_OUTCOMES])
async def test_whatever_becomes_of_a_prepared_request_is_as_of_the_sdk(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = (OUTCOMES | MORE_OUTCOMES)[name]
    prepared = await _outcome(replies)
    monkeypatch.setattr(model_endpoint, "HAS_MODEL_PARTS", False)
    monkeypatch.setattr(direct_calls, "HAS_TRANSPORT_PARTS", False)
    stock = await _outcome(replies)
    assert prepared[0] == stock[0]
    assert prepared[1] == stock[1]


async def _outcome(replies: Sequence[Reply]) -> tuple[list[Any], list[Any]]:
    """Return what a turn reads of a fine answer and of those of `replies`, and what the endpoint has got."""
    seen: list[Any] = []
    async with open_calls(FINE, *replies) as calls:
        while calls.replies:
            seen.append(await _reading(calls))
        address = calls.endpoint.base_url.split("/")[2]
        heads = [head.replace(address, "ADDRESS") for head in calls.endpoint.heads]
    return seen, [heads, calls.endpoint.bodies]


async def _reading(calls: Calls) -> Any:
    """Return what a turn reads of an answer, or its error, and how often the request was repeated."""
    usage = TurnUsage()
    turn_usage.set(usage)
    try:
        return as_seen(await calls.ask(AGENTS["tools"]())), usage.retries
    except Exception as error:
        text = str(error).replace(calls.endpoint.base_url, "URL")
        return type(error), text, type(error.__cause__), getattr(error, "status_code", None), usage.retries


@pytest.fixture
def _quiet() -> Iterator[None]:
    """Log nothing: many streams fail."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("_quiet")
async def test_every_recorded_stream_is_read_as_by_the_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []
    decode = AnswerDecoder.aiter_bytes

    def note(self: AnswerDecoder, iterator: Any) -> Any:
        decoded.append(self)
        return decode(self, iterator)

    monkeypatch.setattr(AnswerDecoder, "aiter_bytes", note)
    different: list[bytes] = []
    async with open_calls(retries=0) as calls:
        await calls.ask(AGENTS["tools"]())
        decoded.clear()
        for number, played in enumerate(recorded("responses")):
            whole = b"".join(played.events)
            for data in (whole, *(_odd_forms(whole) if number < 3 else ())):
                calls.replies += [http(data), http(data)]
                plain = await _reading(calls)
                is_plain = data is whole and played.name.removeprefix("OpenAI: ") in OPENAI_ANSWERS
                assert not (is_plain and decoded), played.name
                with monkeypatch.context() as patched:
                    patched.setattr(direct_calls, "FastDecoder", type(None))
                    if plain != await _reading(calls):
                        different.append(data)
                decoded.clear()
    assert not different, different[0].decode(errors="replace")


def _odd_forms(whole: bytes) -> Iterator[bytes]:
    """Yield forms of a stream that the decoders understand, and some that nobody does."""
    yield whole.replace(b"\n", b"\r\n")
    yield b"\xef\xbb\xbf" + whole
    yield whole.replace(b"\n\n", b"\n\n: ping\n\n", 3)
    yield whole.replace(b"event: ", b"id: 7\nevent: ", 2)
    yield whole.replace(b'"delta"', b'"other":"\\u0000","delta"')
    yield whole.replace(b"The ", b"T\\ud83e ", 1)
    yield whole.replace(b"The ", b"T\xff ", 1)
    yield whole[: len(whole) // 2]
    yield whole.rstrip(b"\n")
    yield whole + b"data: [DONE]\n\n"
    yield whole + b'data: {"error": {"message": "late"}}\n\n'


@pytest.mark.parametrize("width", [1, 7, 97, 10_000])
def test_plain_events_are_the_same_in_any_cut(width: int) -> None:
    for played in recorded("responses"):
        data = b"".join(played.events)
        plain = PlainEvents(AnswerState())
        values = [value for part in cut(data, range(0, len(data), width)) for value in plain.read(part)]
        expected = PlainEvents(AnswerState())
        assert values == list(expected.read(data))
        assert (plain.is_complete, plain.is_odd) == (expected.is_complete, expected.is_odd)


def test_a_long_event_in_parts_is_for_the_decoders() -> None:
    plain = PlainEvents(AnswerState())
    assert list(plain.read(b'data: {"type":"response.created","x":"' + b"a" * MAX_EVENT)) == []
    assert plain.is_odd
    assert len(plain.rest) > MAX_EVENT


async def test_closing_the_events_early_closes_the_response() -> None:
    async with open_calls() as calls:
        await calls.ask(AGENTS["tools"]())
        call = plan_call(AGENTS["tools"](), calls.config)
        assert call is not None
        before = asyncio.all_tasks()
        answer: Any = call.stream(FittedItems([MESSAGE], are_messages=True))
        async for _ in answer:
            break
        await answer.aclose()
        assert not asyncio.all_tasks() - before  # no task closes it later
        assert len(await calls.ask(AGENTS["tools"]())) > 1


@pytest.mark.parametrize("name", UNREAD)
def test_an_unread_event_is_what_the_openai_client_makes_of_its_type(name: str) -> None:
    event = UNREAD[name]
    expected = type(event).model_construct(type=name)
    assert event == expected
    assert event.__dict__ == expected.__dict__
