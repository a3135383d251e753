"""Workflows of Agent Builder are recognised by their parameter, and get the session's variables in their state."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from agents import Agent
from openai import AsyncOpenAI
from pydantic import BaseModel

from chatkit_server.agents.exported_workflow import find_exported_workflow
from chatkit_server.agents.loading import load_agent
from chatkit_server.agents.state_variables import session_variables
from chatkit_server.errors.setup import AgentSetupError
from chatkit_server.startup import agent_check
from tests.support.openai_server import OpenAIServer


class WorkflowInput(BaseModel):
    input_as_text: str


class LargerInput(WorkflowInput):
    customer: str


client = AsyncOpenAI(api_key="none", base_url="http://127.0.0.1:9/v1")
helper = Agent(name="Helper")


def marked(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A decorator as authors write it: what it returns is not a coroutine function."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        calls.append("decorated")
        return function(*args)

    return wrapper


calls: list[str] = []


async def plain(workflow_input: WorkflowInput) -> Any:
    state = {"plan": "free", "size": 1}
    return state


async def annotated(workflow_input: WorkflowInput) -> Any:
    state: dict[str, Any] = {"plan": "free", "size": 1}
    return state


async def in_a_block(workflow_input: WorkflowInput) -> Any:
    with pytest.MonkeyPatch.context():
        state: dict[str, Any] = {"plan": "free", "size": 1}
        state["size"] += 1
        return state


@marked
async def decorated(workflow_input: WorkflowInput) -> Any:
    state = {"plan": "free", "size": 1}
    return state


def closure(size: int) -> Callable[..., Awaitable[Any]]:
    plan = "free"

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        state = {"plan": plan, "size": size}
        return state

    return run_workflow


async def without_state(workflow_input: WorkflowInput) -> Any:
    return {"plan": "none", "size": 1}


@pytest.mark.parametrize(
    ("function", "size"), [(plain, 1), (annotated, 1), (in_a_block, 2), (decorated, 1), (closure(3), 3)]
)
async def test_the_sessions_variables_are_in_the_state(function: Callable[..., Any], size: int) -> None:
    find_exported_workflow(function, "It")  # two apps of a process may serve the same function
    workflow = find_exported_workflow(function, "It")
    assert workflow is not None
    token = session_variables.set({"plan": "pro"})
    assert await workflow.function(workflow.make_input("hi", {})) == {"plan": "pro", "size": size}
    session_variables.reset(token)
    assert await function(WorkflowInput(input_as_text="hi")) == {"plan": "free", "size": size}, "outside of our turns"
    assert calls == (["decorated"] * 2 if function is decorated else [])
    calls.clear()


async def test_a_workflow_without_state_or_source_runs_as_it_is() -> None:
    session_variables.set({"plan": "pro"})
    names: dict[str, Any] = {"WorkflowInput": WorkflowInput}
    exec("async def run_workflow(workflow_input: WorkflowInput): state = {}; return state", names)
    for function, returned in ((without_state, {"plan": "none", "size": 1}), (names["run_workflow"], {})):
        workflow = find_exported_workflow(function, "It")
        assert workflow is not None
        assert await workflow.function(workflow.make_input("hi", {})) == returned


async def failing(workflow_input: WorkflowInput) -> Any:
    state = {"plan": "free"}
    raise ValueError(state["plan"])


async def test_a_traceback_shows_the_authors_lines() -> None:
    workflow = find_exported_workflow(failing, "It")
    assert workflow is not None
    with pytest.raises(ValueError, match="free") as caught:
        await workflow.function(workflow.make_input("hi", {}))
    entry = caught.traceback[-1]
    assert str(entry.statement).strip() == 'raise ValueError(state["plan"])'


async def searching(workflow_input: WorkflowInput) -> Any:
    results = {"results": [hit.id for hit in client.models.list()]}  # type: ignore[attr-defined]  # as exported
    return results


async def test_pages_of_the_client_are_read_asynchronously(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = find_exported_workflow(searching, "It")
    assert workflow is not None
    async with OpenAIServer() as upstream:
        monkeypatch.setattr(client, "base_url", upstream.base_url)
        assert await workflow.function(workflow.make_input("hi", {}))


def test_the_input_takes_other_fields_from_the_session() -> None:
    async def run(workflow_input: LargerInput) -> Any:
        return None

    workflow = find_exported_workflow(run, "CHATKIT_AGENT=m:run")
    assert workflow is not None
    assert workflow.make_input("hi", {"customer": "c1", "other": 2}) == LargerInput(input_as_text="hi", customer="c1")
    assert helper in workflow.agents
    with pytest.raises(AgentSetupError, match=r"CHATKIT_AGENT=m:run: LargerInput needs customer"):
        workflow.make_input("hi", {})


def test_what_is_no_workflow_says_so() -> None:
    def synchronous(workflow_input: WorkflowInput) -> Any:
        return None

    async def yielding(workflow_input: WorkflowInput) -> Any:
        yield "Hello."

    async def with_more(workflow_input: WorkflowInput, customer: str) -> Any:
        return None

    async def agent_function(context: Any) -> Any:
        return helper

    with pytest.raises(AgentSetupError, match="is not a coroutine function: write `async def`"):
        load_agent(synchronous)
    with pytest.raises(AgentSetupError, match="yields its answer: write `return`"):
        load_agent(yielding)
    with pytest.raises(AgentSetupError, match="needs the arguments customer, but a workflow gets only one"):
        load_agent(with_more)
    assert load_agent(agent_function).workflow is None
    with pytest.raises(AgentSetupError, match="my_export:run_workflow for a workflow"):
        load_agent("my_export")


async def test_an_unrecognised_workflow_is_told_how_to_be_one() -> None:
    async def run(text: str) -> Any:
        return {"output_text": text}

    with pytest.raises(AgentSetupError, match="its first parameter must be called workflow_input"):
        await load_agent(run).load(agent_check.TEST_USER)
