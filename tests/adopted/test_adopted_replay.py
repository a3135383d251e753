"""Approvals inside an adopted server: the decision calls its `respond` or `action` again, with its earlier runs."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, RunContextWrapper, Runner, function_tool
from chatkit.actions import Action
from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    CustomTask,
    HiddenContextItem,
    ProgressUpdateEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
    Workflow,
    WorkflowItem,
)

from tests.adopted.hosts import Host
from tests.adopted.servers.memory_store import MemoryStore
from tests.interactions.test_approvals import badge, buttons, cards, press
from tests.serving import DATABASE, Tab
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer

calls: list[str] = []


@function_tool(needs_approval=True)
def pay(amount: int) -> str:
    """Pays."""
    calls.append(f"pay {amount}")
    return f"{amount} paid"


class CashServer(ChatKitServer[dict[str, Any]]):
    """Plans with one agent, announces it by hand, pays with another, and thanks."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        calls.append(f"respond {None if input_user_message is None else input_user_message.content[0].text}")
        async for event in self.pay(thread, await simple_to_agent_input(input_user_message or []), context):
            yield event

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        calls.append(f"action {action.type} {action.payload}")
        async for event in self.pay(thread, f"Pay {action.payload['amount']}", context):
            yield event

    async def pay(
        self, thread: ThreadMetadata, agent_input: Any, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        title = asyncio.create_task(self.name(thread, context))
        agent_context = AgentContext[dict[str, Any]](thread=thread, store=self.store, request_context=context)
        plan = await Runner.run(Agent(name="Planner"), agent_input)
        yield ProgressUpdateEvent(text="Planned")
        note = HiddenContextItem(
            id=self.store.generate_item_id("message", thread, context),
            thread_id=thread.id,
            created_at=thread.created_at,
            content=plan.final_output,
        )
        await self.store.add_thread_item(thread.id, note, context)
        yield self.message(thread, f"The plan: {plan.final_output}", context)
        result = Runner.run_streamed(Agent(name="Payer", tools=[pay]), plan.to_input_list(), context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event
        yield self.message(thread, f"After: {result.final_output}", context)
        await title

    async def name(self, thread: ThreadMetadata, context: dict[str, Any]) -> None:
        thread.title = thread.title or "Cash"
        await self.store.save_thread(thread, context)

    def message(self, thread: ThreadMetadata, text: str, context: dict[str, Any]) -> ThreadItemDoneEvent:
        return ThreadItemDoneEvent(
            item=AssistantMessageItem(
                id=self.store.generate_item_id("message", thread, context),
                thread_id=thread.id,
                created_at=thread.created_at,
                content=[AssistantMessageContent(text=text)],
            )
        )


@pytest.fixture
def ours(tmp_path: Path, upstream: OpenAIServer) -> Host:
    """Our app."""
    calls.clear()
    return Host("ours", tmp_path, upstream.base_url)


PLAN = Answer("two steps")
ASKS = Answer("I pay.", tool_calls=[ToolCall("pay", {"amount": 5}, "call_pay")])
SHOWN = [("user", "Pay 5"), ("assistant", "The plan: two steps"), ("assistant", "I pay.")]


@pytest.mark.parametrize(("label", "paid"), [("Approve", ["pay 5"]), ("Reject", [])])
async def test_respond_continues_where_it_paused(
    ours: Host, upstream: OpenAIServer, tmp_path: Path, label: str, paid: Any
) -> None:
    async with ours.serve(CashServer) as tab, ours.serve(CashServer) as other:
        upstream.script(PLAN, ASKS)
        reply = await tab.create("Pay 5")
        assert reply.error is None
        thread_id = reply.thread_id
        (card,) = cards(tab, thread_id)
        assert list(buttons(card)) == ["Approve", "Reject"]
        picture = await tab.reload(thread_id)
        assert (picture.texts(), picture.thread and picture.thread["title"]) == (SHOWN, "Cash")
        assert picture.items == tab.pictures[thread_id].items
        upstream.script(Answer("Done."))
        async with Tab(other.base_url, cookies=tab.cookies) as page:  # another worker
            page.pictures[thread_id] = await page.reload(thread_id)
            reply = await press(page, thread_id, card, label)
            assert reply.error is None
            assert badge(cards(page, thread_id)[0]) == {"Approve": "Approved", "Reject": "Rejected"}[label]
            assert page.pictures[thread_id].texts() == [*SHOWN, ("assistant", "Done."), ("assistant", "After: Done.")]
            check = await page.reload(thread_id)
            assert check.items == page.pictures[thread_id].items
        with sqlite3.connect(tmp_path / DATABASE) as database:
            rows = database.execute("SELECT count(*) FROM thread_items WHERE type = 'hidden_context_item'").fetchall()
        database.close()
        assert rows == [(1,)]
    assert calls == ["respond Pay 5", "respond Pay 5", *paid]
    assert len(upstream.requests) == 3
    last = upstream.requests[-1].body["input"]
    assert [entry.get("content") for entry in last].count("two steps") <= 1
    assert [entry["call_id"] for entry in last if entry.get("type") == "function_call_output"] == ["call_pay"]


async def test_an_action_is_called_again_with_its_payload(ours: Host, upstream: OpenAIServer) -> None:
    async with ours.serve(CashServer) as tab:
        upstream.script(PLAN, Answer("Nothing to pay."))
        thread_id = (await tab.create("Hello")).thread_id
        upstream.script(PLAN, ASKS)
        assert (await tab.action(thread_id, "pay", {"amount": 5})).error is None
        upstream.script(Answer("Done."))
        assert (await press(tab, thread_id, cards(tab, thread_id)[0], "Approve")).error is None
        assert tab.pictures[thread_id].texts()[-2:] == [("assistant", "Done."), ("assistant", "After: Done.")]
        assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items
    assert calls == ["respond Hello", *["action pay {'amount': 5}"] * 2, "pay 5"]


class SilentServer(CashServer):
    """A later version that runs no agent."""

    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        yield self.message(thread, "I am another one.", context)


class RenamedServer(CashServer):
    """A later version whose planner has another name."""

    async def pay(self, thread: Any, agent_input: Any, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        plan = await Runner.run(Agent(name="Strategist"), agent_input)
        yield self.message(thread, plan.final_output, context)


@pytest.mark.parametrize("changed", [SilentServer, RenamedServer])
async def test_a_changed_server_says_so(ours: Host, upstream: OpenAIServer, changed: type[CashServer]) -> None:
    async with ours.serve(CashServer) as tab, ours.serve(changed) as other:
        upstream.script(PLAN, ASKS)
        thread_id = (await tab.create("Pay 5")).thread_id
        async with Tab(other.base_url, cookies=tab.cookies) as page:
            page.pictures[thread_id] = await page.reload(thread_id)
            reply = await press(page, thread_id, cards(page, thread_id)[0], "Approve")
            assert "the assistant has changed" in str(reply.events[-1])
            assert badge(cards(page, thread_id)[0]) == "Not run: the assistant has changed since it asked"
            assert page.pictures[thread_id].texts() == SHOWN
    assert [call for call in calls if call.startswith("pay")] == []
    assert len(upstream.requests) == 2


@function_tool
async def look(context: RunContextWrapper[AgentContext[Any]]) -> str:
    """Looks, and says so."""
    await context.context.stream(ProgressUpdateEvent(text="Looking"))
    return "seen"


class StepServer(CashServer):
    """Shows by hand what it does, first a step that an agent takes alone."""

    async def pay(
        self, thread: ThreadMetadata, agent_input: Any, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        agent_context = AgentContext[dict[str, Any]](thread=thread, store=self.store, request_context=context)
        looker = Runner.run_streamed(Agent(name="Looker", tools=[look]), agent_input, context=agent_context)
        async for event in stream_agent_response(agent_context, looker):
            yield event
            agent_context.generate_id("workflow")  # no replay asks for it again
        steps = WorkflowItem(
            id=agent_context.generate_id("workflow"),
            thread_id=thread.id,
            created_at=thread.created_at,
            workflow=Workflow(type="custom", tasks=[CustomTask(title="Paying")]),
        )
        yield ThreadItemDoneEvent(item=steps)
        # Nobody reads what the tools of this run show.
        result = await Runner.run(Agent(name="Payer", tools=[look, pay]), agent_input, context=agent_context)
        steps.workflow.tasks[0].title = "Paid"
        yield ThreadItemReplacedEvent(item=steps)
        yield self.message(thread, f"After: {result.final_output}", context)


async def test_what_is_shown_before_the_pause_can_be_changed_after_it(ours: Host, upstream: OpenAIServer) -> None:
    both = [ToolCall("look", {}, "call_look"), ToolCall("pay", {"amount": 5}, "call_pay")]
    async with ours.serve(StepServer) as tab:
        upstream.script(Answer("I look.", tool_calls=both[:1]), Answer("Seen."), Answer("I pay.", tool_calls=both))
        reply = await tab.create("Pay 5")
        assert reply.error is None
        upstream.script(Answer("Done."))
        assert (await press(tab, reply.thread_id, cards(tab, reply.thread_id)[0], "Approve")).error is None
        picture = await tab.reload(reply.thread_id)
        assert [block["workflow"]["tasks"][0]["title"] for block in picture.of_type("workflow")] == ["Paid"]
        assert picture.items == tab.pictures[reply.thread_id].items


class CatchingServer(CashServer):
    """Apologizes for all errors."""

    async def pay(
        self, thread: ThreadMetadata, agent_input: Any, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        try:
            async for event in super().pay(thread, agent_input, context):
                yield event
        except Exception:
            yield self.message(thread, "Sorry.", context)


class GroupServer(CashServer):
    """Pays in a task group, as a task beside others, and apologizes for all errors."""

    async def pay(
        self, thread: ThreadMetadata, agent_input: Any, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        thread.title = "Cash"
        plan = await Runner.run(Agent(name="Planner"), agent_input)
        yield self.message(thread, f"The plan: {plan.final_output}", context)
        try:
            async with asyncio.TaskGroup() as tasks:
                paying = tasks.create_task(Runner.run(Agent(name="Payer", tools=[pay]), plan.to_input_list()))
                tasks.create_task(asyncio.sleep(0))
            yield self.message(thread, f"After: {paying.result().final_output}", context)
        except Exception:
            yield self.message(thread, "Sorry.", context)


@pytest.mark.parametrize("server", [CatchingServer, GroupServer])
async def test_a_pause_is_no_error_for_its_code(ours: Host, upstream: OpenAIServer, server: type[CashServer]) -> None:
    """Also where the run is read in another task, as chatkit's `stream_agent_response` does."""
    async with ours.serve(server) as tab:
        upstream.script(PLAN, ASKS)
        reply = await tab.create("Pay 5")
        assert (reply.error, "Sorry." in str(reply.picture.items)) == (None, False)
        upstream.script(Answer("Done."))
        assert (await press(tab, reply.thread_id, cards(tab, reply.thread_id)[0], "Approve")).error is None
        picture = await tab.reload(reply.thread_id)
        assert picture.texts()[-1] == ("assistant", "After: Done.")
        assert "Sorry." not in str(picture.items)
        assert picture.items == tab.pictures[reply.thread_id].items
    assert calls == ["respond Pay 5", "respond Pay 5", "pay 5"]


class TidyServer(CashServer):
    """Removes the widgets of earlier answers."""

    async def pay(
        self, thread: ThreadMetadata, agent_input: Any, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        for item in (await self.store.load_thread_items(thread.id, None, 20, "asc", context)).data:
            if isinstance(item, WidgetItem):
                await self.store.delete_thread_item(thread.id, item.id, context)
        async for event in super().pay(thread, agent_input, context):
            yield event


async def test_a_replay_deletes_nothing(ours: Host, upstream: OpenAIServer) -> None:
    async with ours.serve(TidyServer) as tab:
        upstream.script(PLAN, ASKS)
        reply = await tab.create("Pay 5")
        upstream.script(Answer("Done."))
        assert (await press(tab, reply.thread_id, cards(tab, reply.thread_id)[0], "Approve")).error is None
        assert badge(cards(tab, reply.thread_id)[0]) == "Approved"
        assert (await tab.reload(reply.thread_id)).items == tab.pictures[reply.thread_id].items
