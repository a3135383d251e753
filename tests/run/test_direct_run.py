"""A run that begins with our own call of the model ends as one of the Runner's does, whatever the model answers."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import pytest
from agents import (
    Agent,
    AgentHooks,
    GuardrailFunctionOutput,
    ModelSettings,
    RunConfig,
    RunContextWrapper,
    Runner,
    function_tool,
    input_guardrail,
    tool_namespace,
)
from agents.run import AgentRunner, get_default_agent_runner
from agents.testing import ScriptedModel
from chatkit.types import ThreadMetadata
from pydantic_core import to_json

from chatkit_server import AgentContext, RequestContext, stream_agent_response
from chatkit_server.agents.turn_runner import installed_turn_runner
from chatkit_server.events.frames import serialize
from chatkit_server.memory import Transcript, turn_transcript
from chatkit_server.models import Models, open_models
from chatkit_server.models.client.packed_items import PackedItems
from chatkit_server.models.client.wire_items import FittedItems
from chatkit_server.models.demo import DemoProvider
from chatkit_server.models.usage import TurnUsage
from chatkit_server.run import direct_run, planned_call
from chatkit_server.run.direct_run import start_run
from chatkit_server.run.planned_call import plan_call
from chatkit_server.run.run_configs import server_run_config
from chatkit_server.settings import Settings
from chatkit_store import SqlStore, open_engine
from tests.support.chatkit import Json
from tests.support.openai_answers import SERVER_ERROR, Answer, Reasoning, Refusal, Text, ToolCall, WebSearch
from tests.support.openai_server import OpenAIServer

INPUT: list[Any] = [
    {"role": "user", "content": "What is 2*3?"},
    {"type": "function_call", "call_id": "call_0", "name": "double", "arguments": '{"number": 3}', "id": "fc_0"},
    {"type": "function_call_output", "call_id": "call_0", "output": "6"},
    {"role": "assistant", "content": "It is 6."},
    {"role": "user", "content": "And 2*4?"},
]
CALL = Answer(tool_calls=[ToolCall("double", {"number": 4})])
PLAIN = {
    "text": [Answer("It is eight.")],
    "thoughts": [Answer("It is eight.", reasoning=Reasoning(["Easy", "as pie"]))],
    "raw thoughts": [Answer("It is eight.", reasoning=Reasoning(text="Easy"))],
    "two messages": [Answer(output=[Text("It is"), Text("eight.")])],
}
OTHER = {
    "a tool": [CALL, Answer("It is eight.")],
    "text and a tool": [replace(CALL, text="Let me see."), Answer("It is eight.")],
    "thoughts and a tool": [replace(CALL, reasoning=Reasoning(["Hm"])), Answer("It is eight.")],
    "an unknown tool": [Answer(tool_calls=[ToolCall("treble", "{}")]), Answer("It is eight.")],
    "a refusal": [Answer(refusal="No.")],
    "text and a refusal": [Answer(output=[Text("Well."), Refusal("No.")])],
    "nothing": [Answer("")],
    "only thoughts": [Answer(reasoning=Reasoning(["Hm"]))],
    "a cut": [Answer("It is", incomplete="max_output_tokens")],
    "a break": [Answer("It is eight and more", error_after=2)],
    "a failed response": [Answer("It is eight and more", error_after=2, error_as="failed")],
    "a lost connection": [Answer("It is eight and more", error_after=2, error_as="drop")],
    "an error": [Answer(fail=SERVER_ERROR)],
}
RESPONSES_ONLY = {"a search": [Answer(output=[WebSearch("eight"), Text("It is eight.")])]}


ID = re.compile(r"\b(\w{2,4})_[0-9a-zA-Z]{8,}\b")


@function_tool
def double(number: int) -> int:
    """Doubles a number."""
    return number * 2


@dataclass
class Outcome:
    """All that a run leaves, without ids and times."""

    events: list[Json] = field(default_factory=list)
    error: tuple[type[BaseException], str] | None = None
    transcript: Json | None = None
    tokens: tuple[int | None, int | None] = (None, None)
    output: Any = None
    items: list[str] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)


@pytest.fixture(params=["responses", "chat_completions"])
async def endpoint(request: pytest.FixtureRequest) -> AsyncIterator[tuple[OpenAIServer, Models]]:
    async with OpenAIServer(rules=False) as upstream:
        settings = Settings(base_url=upstream.base_url, model="gpt-test", api=request.param, model_retries=0)
        async with open_models(settings) as models:
            yield upstream, models


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch) -> list[AgentRunner]:
    """Each start of the Runner adds an entry."""
    starts: list[AgentRunner] = []
    stock = AgentRunner.run_streamed

    def run_streamed(self: AgentRunner, *args: Any, **options: Any) -> Any:
        starts.append(self)
        return stock(self, *args, **options)

    monkeypatch.setattr(AgentRunner, "run_streamed", run_streamed)
    monkeypatch.setattr(planned_call, "_has_stock_runner", lambda: True)  # it would notice this very wrapper
    return starts


def run_config(models: Models) -> RunConfig:
    return server_run_config(models, tracing=False)


def an_agent(**options: Any) -> Agent[Any]:
    return Agent(name="Counter", instructions="Count.", tools=[double], **options)


def a_context() -> AgentContext:
    thread = ThreadMetadata(id="thr_1", created_at=datetime.now(UTC))
    store = SqlStore[RequestContext](open_engine("sqlite:///:memory:"))  # makes ids, and never connects
    return AgentContext(thread=thread, store=store, request_context=RequestContext(user_id="user_1"))


async def outcome(
    upstream: OpenAIServer, models: Models, answers: Sequence[Answer], agent: Agent[Any], input: list[Any] | None = None
) -> Outcome:
    """Run the agent to its end, as a turn does."""
    upstream.requests.clear()
    upstream.script(*answers)
    context, transcript, usage, end = a_context(), Transcript(), TurnUsage(), Outcome()
    turn_transcript.set(transcript)
    result = start_run(agent, input or [dict(item) for item in INPUT], context, run_config(models), max_turns=5)
    try:
        async with aclosing(stream_agent_response(context, result)) as events:
            async for event in events:
                end.events.append(_without_ids(json.loads(serialize(event))))
    except Exception as error:
        end.error = (type(error), str(error))
    usage.add(result)
    end.transcript, end.tokens = _without_ids(transcript.to_json()), (usage.input_tokens, usage.output_tokens)
    end.output, end.items = result.final_output, [item.type for item in result.new_items]
    end.requests = [_without_ids(request.body) for request in upstream.requests]
    return end


def _without_ids(value: Any) -> Any:
    """Return JSON with generated ids replaced by the order in which they appear, and without times."""
    ids: dict[str, str] = {}
    numbered = re.sub(ID, lambda match: ids.setdefault(match[0], f"{match[1]}_{len(ids)}"), json.dumps(value))
    return json.loads(
        re.sub(r'"(created_at|duration)": ("[^"]*"|\d+)', "", numbered).replace(", ,", ",").replace("{, ", "{")
    )


def _with_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_run, "plan_call", lambda agent, config: None)


@pytest.mark.parametrize("kind", [*PLAIN, *OTHER, *RESPONSES_ONLY])
async def test_a_run_leaves_what_the_runner_leaves(
    kind: str, endpoint: tuple[OpenAIServer, Models], runners: list[AgentRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, models = endpoint
    is_chat = bool(models.model_settings.include_usage)
    if kind in RESPONSES_ONLY and is_chat:
        pytest.skip("Chat Completions has no searches")
    answers = (PLAIN | OTHER | RESPONSES_ONLY)[kind]
    direct = await outcome(upstream, models, answers, an_agent())
    assert len(runners) == (kind not in PLAIN and not (kind == "a cut" and is_chat))  # there, it is a whole response
    assert len(direct.requests) == len(answers)  # the model was asked only once for each
    _with_the_runner(monkeypatch)
    assert direct == await outcome(upstream, models, answers, an_agent())


@pytest.mark.parametrize("name", ["text", "a tool", "a break"])
async def test_packed_items_are_the_same_to_our_call_and_to_the_runner(
    endpoint: tuple[OpenAIServer, Models], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = (PLAIN | OTHER)[name]
    old = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    stand_in = PackedItems([to_json(old)[1:-1] + b","]).stand_in()
    packed = FittedItems([stand_in, *INPUT, stand_in, INPUT[0]], is_packed=True)
    expected = await outcome(*endpoint, answers, an_agent(), [*old, *INPUT, *old, INPUT[0]])
    assert await outcome(*endpoint, answers, an_agent(), packed) == expected
    monkeypatch.setattr(direct_run, "plan_call", lambda agent, config: None)
    assert await outcome(*endpoint, answers, an_agent(), packed) == expected


async def test_a_tool_of_the_run_gets_the_context_of_the_turn(endpoint: tuple[OpenAIServer, Models]) -> None:
    upstream, models = endpoint
    seen: list[AgentContext] = []

    @function_tool
    async def look(context: RunContextWrapper[Any]) -> str:
        """Looks."""
        seen.append(AgentContext.of(context))
        return "ok"

    upstream.script(Answer(tool_calls=[ToolCall("look")]), Answer("Seen."))
    context = a_context()
    await _read(
        start_run(Agent(name="A", tools=[look]), list(INPUT), context, run_config(models), max_turns=5), context
    )
    assert seen == [context]


@pytest.mark.parametrize("tokens", [0, 2])
async def test_closing_the_run_closes_the_response_and_leaves_no_task(
    tokens: int, endpoint: tuple[OpenAIServer, Models]
) -> None:
    upstream, models = endpoint
    before = all_tasks()
    upstream.script(Answer("one two three four", hang_after=tokens))
    context = a_context()
    result = start_run(an_agent(), list(INPUT), context, run_config(models), max_turns=5)
    events = stream_agent_response(context, result)
    reading = asyncio.create_task(_to_the_end(events))
    request = await upstream.wait_for_request()
    await request.wait_hanging()
    reading.cancel()
    await asyncio.wait({reading})
    await request.wait_closed()
    if left := all_tasks() - before:  # those that close the response
        await asyncio.wait(left, timeout=30)
    assert not all_tasks() - before


async def _to_the_end(events: AsyncGenerator[Any, None]) -> None:
    async with aclosing(events):
        async for _ in events:
            pass


async def _read(result: Any, context: AgentContext) -> None:
    await _to_the_end(stream_agent_response(context, result))


def all_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks of this test, without those of the endpoint, which keeps its connections."""
    return {task for task in asyncio.all_tasks() if "aiohttp" not in str(task.get_coro())}


@input_guardrail
def accept(context: Any, agent: Any, input: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


class OwnAgent(Agent[Any]):
    """May override anything."""


def test_code_of_the_author_leaves_the_run_to_the_runner(endpoint: tuple[OpenAIServer, Models]) -> None:
    config = run_config(endpoint[1])
    assert plan_call(an_agent(), config) is not None
    with installed_turn_runner():  # as in a server
        assert plan_call(an_agent(), config) is not None
    agents = {
        "instructions": an_agent().clone(instructions=lambda context, agent: "Count."),
        "hooks": an_agent(hooks=AgentHooks()),
        "guardrail": an_agent(input_guardrails=[accept]),
        "handoffs": an_agent(handoffs=[Agent(name="B")]),
        "output type": an_agent(output_type=dict[str, int]),
        "model": an_agent(model=ScriptedModel([])),
        "class": OwnAgent(name="A"),
        "switchable tool": an_agent().clone(tools=[replace(double, is_enabled=lambda context, agent: True)]),
        "tools of one name": an_agent().clone(tools=[double, replace(double)]),
        "deferred tool": an_agent().clone(tools=[replace(double, defer_loading=True)]),
        "tool of a namespace": an_agent().clone(
            tools=tool_namespace(name="numbers", description="Numbers.", tools=[double])
        ),
        "timeout": an_agent(model_settings=ModelSettings(timeout=5)),
    }
    assert {name for name, agent in agents.items() if plan_call(agent, config) is not None} == set()
    configs = {
        "traces": replace(config, tracing_disabled=False),
        "filter": replace(config, call_model_input_filter=lambda data: data.model_data),
        "guardrail": replace(config, input_guardrails=[accept]),
        "model": replace(config, model=ScriptedModel([])),
        "provider": replace(config, model_provider=DemoProvider(tokens_per_second=100)),
    }
    assert {name for name, changed in configs.items() if plan_call(an_agent(), changed) is not None} == set()


@pytest.mark.parametrize("place", [Runner, AgentRunner, get_default_agent_runner()], ids=["facade", "class", "object"])
async def test_a_tool_that_wraps_the_runner_sees_each_run(
    place: Any, endpoint: tuple[OpenAIServer, Models], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[str] = []
    stock = place.run_streamed

    @wraps(stock)
    def run_streamed(*args: Any, **options: Any) -> Any:
        starts.append("run")
        return stock(*args, **options)

    monkeypatch.setattr(place, "run_streamed", run_streamed)
    upstream, models = endpoint
    assert (await outcome(upstream, models, [Answer("Eight.")], an_agent())).output == "Eight."
    assert starts == ["run"]


async def test_without_the_fast_path_each_run_is_the_runners(runners: list[AgentRunner]) -> None:
    async with OpenAIServer(Answer("Eight.")) as upstream:
        settings = Settings(base_url=upstream.base_url, model="gpt-test", fast_path=False)
        async with open_models(settings) as models:
            assert (await outcome(upstream, models, [Answer("Eight.")], an_agent())).output == "Eight."
    assert len(runners) == 1


async def test_without_the_runners_own_functions_each_run_is_the_runners(
    endpoint: tuple[OpenAIServer, Models], runners: list[AgentRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert planned_call.HAS_RUNNER_PARTS
    monkeypatch.setattr(planned_call, "HAS_RUNNER_PARTS", False)
    upstream, models = endpoint
    assert (await outcome(upstream, models, [Answer("Eight.")], an_agent())).output == "Eight."
    assert len(runners) == 1


async def test_changed_settings_of_an_agent_reach_the_next_call(endpoint: tuple[OpenAIServer, Models]) -> None:
    upstream, models = endpoint
    agent = an_agent(model_settings=ModelSettings(temperature=0.5))
    config = run_config(models)
    seen = []
    for temperature in (0.5, 0.5, 0.25):
        agent.model_settings.temperature = temperature
        call = plan_call(agent, config)
        assert call is not None
        seen.append(call.settings.temperature)
    assert seen == [0.5, 0.5, 0.25]


async def test_that_a_model_gets_no_cache_key_is_found_out_once(
    endpoint: tuple[OpenAIServer, Models], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, models = endpoint
    asked: list[object] = []
    kind = type(models.provider.get_model(None))
    supports = kind._supports_default_prompt_cache_key  # type: ignore[attr-defined]  # of the Agents SDK's models

    def record(self: Any) -> Any:
        asked.append(self)
        return supports(self)

    monkeypatch.setattr(kind, "_supports_default_prompt_cache_key", record)
    agent, other, config = an_agent(), an_agent(model_settings=ModelSettings(temperature=0.5)), run_config(models)
    for planned in (agent, agent, other, other):
        assert (call := plan_call(planned, config)) is not None
        assert call.cache_key is None
    assert len(asked) == 2


async def test_all_calls_of_a_run_have_one_cache_key(
    endpoint: tuple[OpenAIServer, Models], monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, models = endpoint
    kind = type(models.provider.get_model(None))
    monkeypatch.setattr(kind, "_supports_default_prompt_cache_key", lambda self: True)  # as for OpenAI's own endpoint
    upstream.script(*OTHER["a tool"])
    context = a_context()
    await _read(start_run(an_agent(), list(INPUT), context, run_config(models), max_turns=5), context)
    keys = [request.body.get("prompt_cache_key") for request in upstream.requests]
    assert len(keys) == 2
    assert keys[0] is not None
    assert keys[0] == keys[1]
