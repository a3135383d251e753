"""Agents with a context of their own: any object, or an `AgentContext` with more fields."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    RunContextWrapper,
    RunHooks,
    Runner,
    function_tool,
    handoff,
)
from chatkit.agents import AgentContext as SdkContext
from chatkit.agents import ClientToolCall
from chatkit.types import NoticeEvent, ProgressUpdateEvent, ThreadMetadata, ThreadStreamEvent, WidgetItem
from chatkit.widgets import WidgetRoot
from pydantic import PrivateAttr

from chatkit_server import Actions, AgentContext, ChatServer, RequestContext, ask_user, client_tool
from chatkit_server.agents.preferences import ask_preferences
from chatkit_server.errors.setup import SetupError
from chatkit_store import SqlStore, open_engine
from tests.exports.small import WorkflowInput
from tests.interactions.cards import button, card, label, the_widget, words_of
from tests.interactions.test_approvals import cards, press
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.conftest import Start


@dataclass
class Customer:
    """A context that knows nothing of chats."""

    user_id: str
    plan: str
    seen: list[str] = field(default_factory=list)


Context = RunContextWrapper[Customer]


async def customer(thread: ThreadMetadata, context: RequestContext) -> Customer:
    await asyncio.sleep(0)
    return Customer(context.user_id, f"gold in {thread.id}")


@function_tool
def plan(ctx: Context) -> str:
    """Tells the plan."""
    return ctx.context.plan


@function_tool(needs_approval=True)
async def cancel(ctx: Context) -> str:
    """Cancels the plan."""
    return f"cancelled {ctx.context.plan}"


def gold(thread_id: str) -> str:
    return f"gold in {thread_id}"


async def test_everything_that_a_run_calls_gets_the_object(start: Start) -> None:
    seen: dict[str, str] = {}

    def instructions(ctx: Context, agent: Agent[Customer]) -> str:
        seen["instructions"] = ctx.context.plan
        return f"The plan is {ctx.context.plan}."

    async def check(ctx: Context, agent: Agent[Any], input: Any) -> GuardrailFunctionOutput:
        seen["guardrail"] = ctx.context.plan
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    def is_enabled(ctx: Context, agent: Any) -> bool:
        seen["is_enabled"] = ctx.context.plan
        return True

    nested = Agent[Customer](name="Nested", tools=[plan])
    target = Agent[Customer](name="Target", tools=[plan])
    agent = Agent[Customer](
        name="Desk",
        instructions=instructions,
        tools=[plan, nested.as_tool("ask_nested", "Asks.")],
        input_guardrails=[InputGuardrail(check)],
        handoffs=[handoff(target, is_enabled=is_enabled)],
    )
    chat = await start(agent, context=customer)
    chat.upstream.script(
        Answer(tool_calls=[ToolCall("plan", {}, "c1"), ToolCall("ask_nested", {"input": "?"}, "c2")]),
        Answer(tool_calls=[ToolCall("plan", {}, "c3")]),
        Answer("nested answer"),
        Answer(tool_calls=[ToolCall("transfer_to_target", {}, "c4")]),
        Answer(tool_calls=[ToolCall("plan", {}, "c5")]),
        Answer("Done."),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Hello")
        assert (reply.error, reply.text) == (None, "Done.")
    expected = gold(reply.thread_id)
    assert seen == dict.fromkeys(("instructions", "guardrail", "is_enabled"), expected)
    outputs = {
        item["call_id"]: item["output"]
        for request in chat.upstream.requests
        for item in request.body["input"]
        if item.get("type") == "function_call_output"
    }
    assert {id: outputs[id] for id in ("c1", "c3", "c5")} == dict.fromkeys(("c1", "c3", "c5"), expected)


async def test_our_tools_and_helpers_work_beside_any_object(start: Start) -> None:
    @client_tool
    async def read_selection() -> None:
        """Read."""

    @function_tool
    async def bake(ctx: Context) -> str:
        """Bakes."""
        await AgentContext.of(ctx).stream(ProgressUpdateEvent(text="Heating"))
        return ctx.context.plan

    agent = Agent[Customer](name="Desk", tools=[ask_user, read_selection, ask_preferences, bake])
    chat = await start(agent, context=customer)
    question = {"questions": [{"question": "Which?", "options": [], "multiple": False}]}
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("bake", {}, "c0"), ToolCall("ask_preferences", {}, "c1")]))
        chat.upstream.script(Answer("Shown."))
        reply = await tab.create("Hello")
        assert reply.error is None
        assert "progress_update" in reply.types
        assert the_widget(tab, reply.thread_id)["type"] == "widget"
        chat.upstream.script(
            Answer(tool_calls=[ToolCall("ask_user", question, "c2"), ToolCall("read_selection", {}, "c3")])
        )
        await tab.send(reply.thread_id, "Go on")
        picture = tab.pictures[reply.thread_id]
        assert [item["status"] for item in picture.of_type("structured_input")] == ["pending"]
        assert [item["name"] for item in picture.tool_calls] == ["read_selection"]


async def test_an_approval_resumes_with_a_new_object_and_a_dict_keeps_its_values(start: Start) -> None:
    def make(thread: ThreadMetadata, request_context: RequestContext) -> dict[str, str]:
        return {"plan": gold(thread.id), "user": request_context.user_id}

    @function_tool
    async def note(ctx: RunContextWrapper[dict[str, str]]) -> str:
        """Notes."""
        ctx.context["note"] = "remembered"
        return "noted"

    @function_tool(needs_approval=True)
    async def pay(ctx: RunContextWrapper[dict[str, str]]) -> str:
        """Pays."""
        return f"{ctx.context['plan']}, {ctx.context.get('note')}"

    chat = await start(Agent(name="Payer", tools=[note, pay]), context=make)
    async with await chat.visitor() as tab:
        chat.upstream.script(
            Answer(tool_calls=[ToolCall("note", {}, "c1")]), Answer(tool_calls=[ToolCall("pay", {}, "c2")])
        )
        thread_id = (await tab.create("Pay")).thread_id
        (waiting,) = cards(tab, thread_id)
        chat.upstream.script(Answer("Paid."))
        reply = await press(tab, thread_id, waiting, "Approve")
        assert (reply.error, reply.text) == (None, "Paid.")
    (output,) = [
        item["output"]
        for item in chat.upstream.requests[-1].body["input"]
        if item.get("type") == "function_call_output" and item["call_id"] == "c2"
    ]
    assert output == f"{gold(thread_id)}, remembered"


class Desk(AgentContext):
    """An `AgentContext` with a field of its own."""

    plan: str = "free"


class DeskServer(ChatServer):
    async def agent_context(self, thread: ThreadMetadata, context: RequestContext) -> Desk:
        return Desk(thread=thread, store=self.store, request_context=context, plan="gold")


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_handler_of_an_action_gets_the_context_of_a_server_class(
    start: Start, streaming: bool, caplog: pytest.LogCaptureFixture
) -> None:
    actions = Actions()

    @actions.on("upgrade")
    async def upgrade(agent_context: Desk, sender: WidgetItem) -> WidgetRoot:
        assert AgentContext.of(None) is agent_context
        await agent_context.stream(NoticeEvent(level="info", message="upgraded"))
        return card(label(agent_context.plan), button("upgrade"))

    @function_tool
    async def show(ctx: RunContextWrapper[Desk]) -> str:
        """Shows."""
        await ctx.context.stream_widget(card(label("?"), button("upgrade")))
        return ctx.context.plan

    chat = await start(Agent(name="Desk", tools=[show]), server=DeskServer, actions=actions)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("show", {}, "c1")]), Answer("Here."))
        thread_id = (await tab.create("Show")).thread_id
        item_id = the_widget(tab, thread_id)["id"]
        if streaming:
            reply = await tab.action(thread_id, "upgrade", None, item_id)
            assert reply.types == ["stream_options", "notice", "thread.item.replaced"]
            assert words_of(the_widget(tab, thread_id)) == ["gold"]
        else:
            params = {"thread_id": thread_id, "item_id": item_id, "action": {"type": "upgrade"}}
            answer = await tab.post("threads.sync_custom_action", params)
            assert words_of(answer.body["updated_item"]) == ["gold"]
            assert "which nobody sees" in caplog.text


async def test_a_handler_that_yields_events_sends_those_of_helpers_in_order(start: Start) -> None:
    actions = Actions()

    @actions.on("go")
    async def go(agent_context: Customer) -> AsyncIterator[ThreadStreamEvent]:
        chat = AgentContext.of(None)
        await chat.stream(NoticeEvent(level="info", message="1"))
        yield NoticeEvent(level="info", message="2")
        await chat.stream(NoticeEvent(level="info", message=agent_context.user_id))

    chat = await start(Agent(name="Desk"), actions=actions, context=customer)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("Hi."))
        thread_id = (await tab.create("Hello")).thread_id
        reply = await tab.action(thread_id, "go", None, None)
        user = (await chat.owner(thread_id)).user_id
        assert [event["message"] for event in reply.events if event["type"] == "notice"] == ["1", "2", user]


class Stock(SdkContext[RequestContext]):
    """As chatkit's samples write it."""

    plan: str = "free"


async def test_helpers_of_chatkits_own_class_are_shown(start: Start) -> None:
    def make(thread: ThreadMetadata, context: RequestContext, store: Any) -> Stock:
        return Stock(thread=thread, store=store, request_context=context, plan="gold")

    @function_tool
    async def show(ctx: RunContextWrapper[Stock]) -> str:
        """Shows."""
        await ctx.context.stream_widget(card(label(ctx.context.plan)))
        ctx.context.client_tool_call = ClientToolCall(name="look", arguments={})
        return ""

    chat = await start(Agent(name="Desk", tools=[show], tool_use_behavior="stop_on_first_tool"), context=make)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("show", {}, "c1")]))
        reply = await tab.create("Show")
        assert words_of(the_widget(tab, reply.thread_id)) == ["gold"]
        assert [item["name"] for item in tab.pictures[reply.thread_id].tool_calls] == ["look"]


async def test_a_workflow_that_gives_its_runs_no_context_gets_it(start: Start) -> None:
    agent = Agent(name="Desk", tools=[plan])

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        result = await Runner.run(agent, workflow_input.input_as_text, hooks=RunHooks())
        return {"output_text": result.final_output}

    chat = await start(run_workflow, context=customer)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("plan", {}, "c1")]), Answer("Done."))
        reply = await tab.create("Hello")
        assert (reply.error, reply.text) == (None, "Done.")
    assert gold(reply.thread_id) in str(chat.upstream.requests[-1].body["input"])


async def test_a_workflow_whose_runs_have_contexts_of_their_own_reaches_the_chat(start: Start) -> None:
    agent = Agent(name="Desk", tools=[plan, ask_user])

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        result = await Runner.run(agent, workflow_input.input_as_text, context=Customer("ada", "bronze"))
        return {"output_text": result.final_output}

    chat = await start(run_workflow, context=customer)
    question = {"questions": [{"question": "Which?", "options": [], "multiple": False}]}
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("plan", {}, "c1")]))
        chat.upstream.script(Answer(tool_calls=[ToolCall("ask_user", question, "c2")]))
        thread_id = (await tab.create("Hello")).thread_id
        assert [item["status"] for item in tab.pictures[thread_id].of_type("structured_input")] == ["pending"]
    assert "bronze" in str(chat.upstream.requests[-1].body["input"])


async def test_a_tool_that_fails_is_shown_as_failed_beside_any_object(start: Start) -> None:
    @function_tool
    async def fail(ctx: Context) -> str:
        """Fails."""
        raise ValueError("no")

    chat = await start(Agent[Customer](name="Desk", tools=[fail]), context=customer, show_tools=True)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer(tool_calls=[ToolCall("fail", {}, "c1")]), Answer("Sorry."))
        reply = await tab.create("Hello")
        assert "failed" in str(tab.pictures[reply.thread_id].of_type("workflow")).lower()


@pytest.mark.parametrize("makes", ["none", "the same"])
async def test_a_context_that_cannot_serve_a_turn_fails_it_and_names_the_reason(
    start: Start, makes: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[AgentContext] = []

    def make(thread: ThreadMetadata, context: RequestContext, store: Any) -> AgentContext | None:
        if makes == "none":
            return None
        kept.append(AgentContext(thread=thread, store=store, request_context=context))
        return kept[0]

    chat = await start(Agent(name="Desk"), context=make)
    async with await chat.visitor() as tab:
        chat.upstream.script(Answer("Hi."))
        reply = await tab.create("Hello")
        if makes == "the same":
            reply = await tab.send(reply.thread_id, "Again")
        assert reply.error is not None
        assert reply.error["code"] == "custom"
    assert ("returned None" in caplog.text, "for each turn" in caplog.text) == (makes == "none", makes != "none")


async def test_a_function_with_foreign_parameters_is_refused(start: Start) -> None:
    def make(query: str) -> dict[str, str]:
        return {}

    with pytest.raises(SetupError, match=r"create_app\(context=\.\.\.\) has the parameter query; it can have thread, "):
        await start(Agent(name="Desk"), context=make)


def test_there_is_no_chat_outside_of_a_turn() -> None:
    with pytest.raises(RuntimeError, match="ChatServer has not started this run"):
        AgentContext.of(RunContextWrapper(Customer("u", "gold")))


class Counted(AgentContext):
    """An author's context with a private attribute."""

    _visits: int = PrivateAttr(default=0)


async def test_a_context_has_few_private_attributes_and_its_copy_belongs_to_no_other_turn(tmp_path: Path) -> None:
    """pydantic makes each of them for each turn, and takes longer than a call of the SDK's constructor."""
    assert AgentContext.__private_attributes__.keys() == {"_events", "_notes"}
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path}/unused.db")
    thread = ThreadMetadata(id="thr_1", created_at=datetime.now(UTC))
    store: SqlStore[RequestContext] = SqlStore(engine)
    desk = Counted(thread=thread, store=store, request_context=RequestContext("u"))
    desk._visits = 3
    copied = desk.model_copy()
    assert desk.take()
    assert not desk.take()
    assert copied.take(), "as each field of a copy is its own"
    assert copied._visits == 3
    assert copied.inbox is desk.inbox
    await engine.dispose()
