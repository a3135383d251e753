"""A context that does not fit is found before the first message: at the start by annotations, by `doctor` exactly."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict

import pytest
from agents import Agent, GuardrailFunctionOutput, InputGuardrail, RunContextWrapper, function_tool
from agents.tool_context import ToolContext
from chatkit.agents import AgentContext as SdkContext

from chatkit_server import AgentContext, ChatServer, ask_user
from chatkit_server.app import build_services
from chatkit_server.startup.agent_check import try_agents, try_at_start
from chatkit_server.startup.context_check import GivenContext, misfits
from tests.serving import make_settings


@dataclass
class Customer:
    plan: str


class Vip(Customer):
    pass


class Desk(AgentContext):
    plan: str = "free"


class Plan(TypedDict):
    plan: str


class HasPlan(Protocol):
    plan: str


def agent_of(expected: Any) -> Agent[Any]:
    """Return an agent with a tool that expects this context."""

    async def tell(ctx: Any) -> str:
        """Tells."""
        return ""

    tell.__annotations__["ctx"] = RunContextWrapper[expected]
    return Agent(name="Desk", tools=[function_tool(tell)])


@pytest.mark.parametrize(
    ("expected", "given", "fits"),
    [
        (Customer, GivenContext(Customer, "f"), True),
        (Customer, GivenContext(Vip, "f"), True),
        (Vip, GivenContext(Customer, "f"), False),
        (Vip, GivenContext(Customer, "f", is_exact=False), True),
        (Customer, GivenContext(dict, "f"), False),
        (Customer, GivenContext(Any, "f", is_exact=False), True),
        (Customer, GivenContext(Customer | None, "f", is_exact=False), True),
        (Customer | Desk, GivenContext(Desk, "f"), True),
        (Any, GivenContext(Customer, "f"), True),
        (Plan, GivenContext(dict[str, str], "f", is_exact=False), True),
        (dict[str, Any], GivenContext(dict, "f"), True),
        (HasPlan, GivenContext(Customer, "f"), True),
        (AgentContext, GivenContext(Desk, "f"), True),
        (SdkContext[Any], GivenContext(AgentContext), True),
        (Customer, GivenContext(AgentContext), False),
    ],
)
def test_which_contexts_fit(expected: Any, given: GivenContext, fits: bool) -> None:
    assert (misfits(agent_of(expected), given) == []) == fits


def test_everything_that_is_annotated_is_looked_at() -> None:
    def instructions(ctx: RunContextWrapper[Customer], agent: Agent[Any]) -> str:
        return ""

    async def check(ctx: RunContextWrapper[Customer], agent: Agent[Any], input: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    def sell_anything() -> str:
        """Sells."""
        return ""

    def enabled(ctx: RunContextWrapper[Customer], agent: Any) -> bool:
        return True

    @function_tool
    def sell(ctx: ToolContext[Customer]) -> str:
        """Sells."""
        return ""

    agents = {
        "The agent Desk": Agent[Customer](name="Desk"),
        "The instructions of Desk": Agent(name="Desk", instructions=instructions),
        "The tool sell": Agent(name="Desk", tools=[sell]),
        "The guardrail check": Agent(name="Desk", input_guardrails=[InputGuardrail(check)]),
        "`is_enabled` of the tool sell": Agent(
            name="Desk", tools=[function_tool(sell_anything, name_override="sell", is_enabled=enabled)]
        ),
        "The tool sell (and 1 more)": Agent(
            name="Desk",
            handoffs=[Agent(name="Other", tools=[sell])],
            tools=[Agent[Customer](name="N").as_tool("n", "")],
        ),
    }
    for place, agent in agents.items():
        (problem,) = misfits(agent, GivenContext(AgentContext))
        assert problem == f"{place} expects Customer as its context, and gets AgentContext."
    assert misfits(Agent(name="Desk", tools=[ask_user]), GivenContext(Customer)) == []


MODULE = '''
from dataclasses import dataclass

from agents import Agent, RunContextWrapper, function_tool


@dataclass
class Customer:
    plan: str


@function_tool
def plan(ctx: RunContextWrapper[Customer]) -> str:
    """Tells."""
    return ctx.context.plan


agent = Agent[Customer](name="Desk", tools=[plan])
'''
FUNCTIONS: dict[str, tuple[str, list[str], list[str]]] = {
    "missing": ("", ["gets AgentContext. A function `context`"], ["gets AgentContext. A function `context`"]),
    "good": ("def context(thread, context) -> Customer:\n    return Customer('gold')\n", [], []),
    "annotated badly": (
        "async def context(thread) -> dict:\n    return {}\n",
        ["gets dict from `context` in module"],
        ["gets dict from `context` in module"],
    ),
    "not annotated": ("def context(thread):\n    return {}\n", [], ["gets dict from `context` in module"]),
    "raises": ("def context(thread):\n    raise KeyError(thread.id)\n", [], ["raised KeyError"]),
    "returns nothing": ("def context(thread):\n    pass\n", [], ["returned None, not a context"]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_a_module_with_a_context_function(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function, at_start, exactly = FUNCTIONS[name]
    module = f"desk_{name.replace(' ', '_')}"
    (tmp_path / f"{module}.py").write_text(MODULE + function, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    server = build_services(make_settings(tmp_path, agent=f"{module}:agent")).server
    for try_, expected in ((try_at_start, at_start), (try_agents, exactly)):
        (trial,) = await try_(server)
        assert len(trial.problems) == len(expected), trial.problems
        assert all(words in problem for words, problem in zip(expected, trial.problems, strict=True))


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        (
            "def context(query): ...",
            "has the parameter query; it can have thread, context, request_context, request, store. It is ignored.",
        ),
        ("context = {}", "is a dict, not a function; it is ignored."),
    ],
)
async def test_a_context_that_is_something_else_is_ignored_with_a_warning(
    attribute: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = f"shop_{len(words)}"
    (tmp_path / f"{module}.py").write_text(MODULE + attribute, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with caplog.at_level(logging.WARNING):
        server = build_services(make_settings(tmp_path, agent=f"{module}:agent")).server
    assert server.agents.first.context is None
    assert words in caplog.text
    (trial,) = await try_at_start(server)
    assert trial.problems == [
        "The agent Desk (and 1 more) expects Customer as its context, and gets AgentContext. "
        f"`context` in module {module!r} {words}"
    ]


async def test_the_method_of_a_server_class_is_looked_at(tmp_path: Path) -> None:
    class Server(ChatServer):
        def agent_context(self, thread: Any, context: Any) -> Customer:
            return Vip("gold")

    for expected, count in ((Customer, 0), (Desk, 1)):
        server = build_services(make_settings(tmp_path), agent_of(expected), server=Server).server
        for try_ in (try_at_start, try_agents):
            (trial,) = await try_(server)
            assert len(trial.problems) == count, trial.problems
            assert str(trial.context) == f"{'Customer' if try_ is try_at_start else 'Vip'} from Server.agent_context"
