"""Traces of an author's code are recorded in turns that allow them, and outside of turns; in no other turn."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner, custom_span, function_tool, trace
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tracing import Span, Trace, TracingProcessor, set_trace_provider
from agents.tracing.provider import DefaultTraceProvider
from agents.tracing.setup import get_trace_provider
from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadMetadata
from pydantic import BaseModel

from chatkit_server import ChatServer, on_action
from chatkit_server.agents.turn_traces import TurnTraceProvider, allows_traces, installed_turn_traces
from tests.routes.sessions import serving_sessions
from tests.serving import serve


class Recorder(TracingProcessor):
    """Keeps what would be uploaded."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.keys: list[str | None] = []

    def on_trace_start(self, trace: Trace) -> None:
        """Keep the trace's name."""
        self.names.append(trace.name)
        self.keys.append(trace.tracing_api_key)

    def on_span_end(self, span: Span[Any]) -> None:
        """Keep the span's kind."""
        self.names.append(span.span_data.type)

    def on_trace_end(self, trace: Trace) -> None: ...
    def on_span_start(self, span: Span[Any]) -> None: ...
    def shutdown(self) -> None: ...
    def force_flush(self) -> None: ...


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Record instead of uploading."""
    monkeypatch.setattr("chatkit_server.models.models.set_tracing_export_api_key", lambda key: None)
    before, provider, recorder = get_trace_provider(), DefaultTraceProvider(), Recorder()
    provider.set_processors([recorder])
    set_trace_provider(provider)
    yield recorder
    assert get_trace_provider() is provider  # the app has restored it
    set_trace_provider(before)


class WorkflowInput(BaseModel):
    input_as_text: str


inner, outer = Agent(name="Inner"), Agent(name="Outer")


@function_tool
async def ask_inner() -> str:
    """Run another agent, as an author may in a tool."""
    with custom_span("search"):
        return str((await Runner.run(inner, "Go")).final_output)


outer.tools = [ask_inner]


async def run_workflow(workflow_input: WorkflowInput) -> Any:
    with trace("Support"):
        return {"output_text": (await Runner.run(outer, workflow_input.input_as_text)).final_output_as(str)}


@pytest.fixture(autouse=True)
def _models() -> None:
    for agent in (inner, outer):
        answers = [[assistant_message("Done.")]]
        agent.model = ScriptedModel(
            [[function_call("ask_inner", "{}", call_id="call_1")], *answers] if agent is outer else answers
        )


TRACED: dict[str, Any] = {"tracing": True, "model": None, "openai_api_key": "sk-test", "titles": False}


async def test_a_turn_records_nothing_unless_asked_for(tmp_path: Path, recorder: Recorder) -> None:
    async with serve(tmp_path, agent=run_workflow) as served, served.tab() as tab:
        assert (await tab.create("Hello")).text == "Done."
    assert recorder.names == []


async def test_with_tracing_the_runs_are_in_the_trace_of_the_workflow(tmp_path: Path, recorder: Recorder) -> None:
    async with serve(tmp_path, agent=run_workflow, **TRACED) as served, served.tab() as tab:
        assert (await tab.create("Hello")).text == "Done."
    assert recorder.names[0] == "Support"
    assert {"custom", "agent", "function"} <= set(recorder.names)
    assert "Agent workflow" not in recorder.names


async def test_two_apps_upload_traces_with_their_own_keys(tmp_path: Path, recorder: Recorder) -> None:
    """The SDK's own key is that of the app that was made last."""
    (tmp_path / "other").mkdir()
    other = TRACED | {"openai_api_key": "sk-other"}
    async with (
        serve(tmp_path, agent=inner, **TRACED) as first,
        serve(tmp_path / "other", agent=run_workflow, **other) as second,
    ):
        for served in (first, second):
            async with served.tab() as tab:
                assert (await tab.create("Hello")).text == "Done."
            inner.model = ScriptedModel([[assistant_message("Done.")]])
    assert recorder.keys == ["sk-test", "sk-other"]
    with trace("Mine"):
        pass
    assert recorder.keys[-1] is None


async def test_a_session_can_refuse_traces(tmp_path: Path, recorder: Recorder) -> None:
    async with serving_sessions(tmp_path, run_workflow, **TRACED) as backend:
        session = await backend.openai.beta.chatkit.sessions.create(
            user="ada", workflow={"id": "wf_1", "tracing": {"enabled": False}}
        )
        async with backend.tab(session.client_secret) as tab:
            assert (await tab.create("Hello")).text == "Done."
    assert recorder.names == []


class Quoting(ChatServer):
    """Runs an agent in the handler of an action."""

    @on_action("quote")
    async def quote(self, thread: ThreadMetadata) -> AssistantMessageItem:
        """Answer with what the agent says."""
        with trace("Quote"):
            text = (await Runner.run(inner, "Go")).final_output_as(str)
        return AssistantMessageItem(
            id="msg_quote",
            thread_id=thread.id,
            created_at=datetime.now(UTC),
            content=[AssistantMessageContent(text=text)],
        )


@pytest.mark.parametrize("operation", ["threads.custom_action", "threads.sync_custom_action"])
async def test_actions_record_nothing_unless_asked_for(tmp_path: Path, recorder: Recorder, operation: str) -> None:
    outer.model = ScriptedModel([[assistant_message("Hello.")]])
    async with serve(tmp_path, outer, server=Quoting) as served, served.tab() as tab:
        thread_id = (await tab.create("Hello")).thread_id
        reply = await tab.post(operation, {"thread_id": thread_id, "action": {"type": "quote", "payload": None}})
        assert reply.status == 200
        assert (await tab.reload(thread_id)).texts()[-1] == ("assistant", "Done.")
    assert recorder.names == []


async def test_outside_of_turns_traces_are_as_before(recorder: Recorder) -> None:
    with installed_turn_traces(), installed_turn_traces():
        with trace("Mine"):
            pass
        allows_traces.set(False)
        with trace("Of a turn"), custom_span("span"):
            pass
        provider = get_trace_provider()
        assert isinstance(provider, TurnTraceProvider)
        assert not isinstance(provider.other, TurnTraceProvider)
    assert recorder.names == ["Mine"]
