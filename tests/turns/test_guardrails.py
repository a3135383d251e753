"""Guardrails and limits of a run: rejected answers are removed everywhere, and the author's message is shown."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OutputGuardrail,
    RunConfig,
    RunContextWrapper,
    ToolGuardrailFunctionOutput,
    ToolOutputGuardrail,
    ToolOutputGuardrailData,
    function_tool,
)
from chatkit.types import ThreadItem, ThreadItemDoneEvent, ThreadItemUpdatedEvent, WidgetItem, WidgetRootUpdated
from pydantic import BaseModel

from chatkit_server import ChatServer, RequestContext
from chatkit_server.models.fit_messages import NO_ANSWER
from chatkit_store import SqlStore
from tests.interactions.cards import Context, card, label, showing, words_of
from tests.support.chatkit import Reply, user_input
from tests.support.openai_answers import Answer, Reasoning, ToolCall
from tests.turns.chat import Chat, model_input
from tests.turns.conftest import Start

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

WORDS = "I only talk about orders."
NOT_SHOWN = "the classifier's own words"


class Verdict(BaseModel):
    """The output of a guardrail agent."""

    reasoning: str = NOT_SHOWN
    message: str = WORDS


INFOS = {"dict": {"message": WORDS, "score": 0.9}, "model": Verdict(), "nothing": None, "another": NOT_SHOWN}


@function_tool
def look_up() -> str:
    """Looks something up."""
    return "the secret is swordfish"


def output_guardrail(info: Any) -> OutputGuardrail[Any]:
    """Return a guardrail that rejects answers which contain the secret."""

    async def check(context: RunContextWrapper[Any], agent: Agent[Any], output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=info, tripwire_triggered="swordfish" in str(output))

    return OutputGuardrail(guardrail_function=check)


async def check_gone(chat: Chat, reply: Reply, user_says: str) -> None:
    """Check that only the user's message is left on the screen, in the database and in the journal."""
    assert reply.picture.texts() == [("user", user_says)]
    assert await chat.items(reply.thread_id) == ["user_message"]
    ((transcript,),) = await chat.select("SELECT transcript FROM turns WHERE thread_id = :id", id=reply.thread_id)
    assert transcript is None
    journal = [json.loads(payload) for (payload,) in await chat.select("SELECT payload FROM turn_events")]
    removed_ids = {event["item_id"] for event in reply.events if event["type"] == "thread.item.removed"}
    events = [event for event in journal if {event.get("item_id"), event.get("item", {}).get("id")} & removed_ids]
    assert {event["type"] for event in events} == {"thread.item.removed"}
    assert {event["item_id"] for event in events} == removed_ids
    assert "swordfish" not in str(journal)


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize("info", INFOS)
async def test_a_rejected_answer_is_removed_and_the_authors_message_is_shown(start: Start, info: str) -> None:
    agent = Agent[Any](name="test", tools=[look_up], output_guardrails=[output_guardrail(INFOS[info])])
    chat = await start(agent, show_tools=True)
    chat.upstream.script(
        Answer("Let me see.", reasoning=Reasoning(["Hm."]), tool_calls=[ToolCall("look_up")]),
        Answer("It is swordfish."),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Tell me")
        assert reply.error is not None
        ours = f"The answer was stopped by the agent's rules. (request {reply.headers['x-request-id']})"
        assert reply.error["message"] == (WORDS if info in ("dict", "model") else ours)
        assert reply.error["allow_retry"] is False
        assert NOT_SHOWN not in json.dumps(reply.events)
        await check_gone(chat, reply, "Tell me")
        assert (await tab.reload(reply.thread_id)).items == reply.picture.items
        assert (await tab.send(reply.thread_id, "Something else")).error is None
    assert "swordfish" not in json.dumps(chat.upstream.requests[-1].body)
    expected_input = [("user", "Tell me"), ("assistant", NO_ANSWER), ("user", "Something else")]
    assert model_input(chat.upstream.requests[-1]) == expected_input


@pytest.mark.parametrize("way", ["sent again", "updated", "both"])
async def test_a_rejected_run_restores_a_card_of_an_earlier_turn(start: Start, way: str) -> None:
    @function_tool
    async def change(context: Context) -> str:
        """Changes the card of the previous turn."""
        agent_context = context.context
        page = await agent_context.store.load_thread_items(
            agent_context.thread.id, None, 100, "asc", agent_context.request_context
        )
        (widget,) = [item for item in page.data if isinstance(item, WidgetItem)]
        if way != "sent again":
            update = WidgetRootUpdated(widget=card(label("swordfish")))
            await agent_context.stream(ThreadItemUpdatedEvent(item_id=widget.id, update=update))
        if way != "updated":
            changed = widget.model_copy(update={"widget": card(label("swordfish again"))})
            await agent_context.stream(ThreadItemDoneEvent(item=changed))
        await agent_context.stream_widget(card(label("another")))
        return "changed"

    agent = showing(card(label("old")))
    agent.tools.append(change)
    agent.output_guardrails.append(output_guardrail(None))
    chat = await start(agent)
    chat.upstream.script(Answer(tool_calls=[ToolCall("show")]), Answer("There."))
    chat.upstream.script(Answer(tool_calls=[ToolCall("change")]), Answer("It is swordfish."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Show it")).thread_id
        reply = await tab.send(thread_id, "Change it")
        assert reply.error is not None
        assert "swordfish" in json.dumps(reply.events)
        assert [words_of(item) for item in reply.picture.of_type("widget")] == [["old"]]
        assert (await tab.reload(thread_id)).items == reply.picture.items
    assert await chat.items(thread_id) == ["user_message", "widget", "assistant_message", "user_message"]


async def test_an_unknown_item_is_looked_up_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load = SqlStore.load_item

    async def load_item(store: Any, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        loaded.append(item_id)
        return await load(store, thread_id, item_id, context)

    @function_tool
    async def change(context: Context) -> str:
        """Changes a card that does not exist."""
        for number in range(5):
            update = WidgetRootUpdated(widget=card(label(str(number))))
            await context.context.stream(ThreadItemUpdatedEvent(item_id="nowhere", update=update))
        return "changed"

    monkeypatch.setattr(SqlStore, "load_item", load_item)
    chat = await start(Agent(name="test", tools=[change]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("change")]), Answer("Done."))
    async with await chat.visitor() as tab:
        assert (await tab.create("Change it")).text == "Done."
    assert loaded.count("nowhere") <= 1 + 5, "once by the conversion, and once to save each update"


@pytest.mark.parametrize("place", ["agent", "run config"])
async def test_a_rejected_message_is_kept_and_its_answer_ends_at_once(start: Start, place: str) -> None:
    """The guardrail runs in parallel with the model. Its tripwire does not wait for the end of the text."""
    text_sent = asyncio.Event()

    async def check(context: RunContextWrapper[Any], agent: Agent[Any], value: Any) -> GuardrailFunctionOutput:
        await text_sent.wait()
        return GuardrailFunctionOutput(output_info={"message": WORDS}, tripwire_triggered=True)

    guardrails = [InputGuardrail(guardrail_function=check)]

    class Guarded(ChatServer):
        def make_run_config(self) -> RunConfig:
            return replace(super().make_run_config(), input_guardrails=guardrails)

    agent = Agent[Any](name="test", input_guardrails=guardrails if place == "agent" else [])
    chat = await start(agent, Guarded if place == "run config" else ChatServer)
    chat.upstream.script(Answer("word " * 400, rate=100))
    async with await chat.visitor() as tab:
        async with tab.open("threads.create", {"input": user_input("forbidden")}) as reply:
            await reply.wait_for("assistant_message.content_part.text_delta")
            text_sent.set()
            await reply.read()
        assert chat.upstream.requests[0].tokens_sent < 400
        assert reply.error is not None
        assert reply.error["message"] == WORDS
        await check_gone(chat, reply, "forbidden")


async def test_the_starting_agents_guardrails_apply_after_a_handoff(start: Start) -> None:
    async def check(context: RunContextWrapper[Any], agent: Agent[Any], value: Any) -> GuardrailFunctionOutput:
        message = json.dumps(value[-1])
        return GuardrailFunctionOutput(output_info={"message": WORDS}, tripwire_triggered="forbidden" in message)

    billing = Agent[Any](name="Billing", instructions="You are billing.")
    guardrails = [InputGuardrail(guardrail_function=check)]
    chat = await start(Agent[Any](name="Triage", handoffs=[billing], input_guardrails=guardrails))
    chat.upstream.script(Answer(tool_calls=[ToolCall("transfer_to_billing")]), Answer("Billing here."))
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("A question")).thread_id
        reply = await tab.send(thread_id, "forbidden")
        assert reply.error is not None
        assert reply.error["message"] == WORDS
        assert (await tab.send(thread_id, "Fine")).error is None
    assert chat.upstream.requests[-1].body["instructions"] == "You are billing."


async def test_a_rejected_retry_restores_the_previous_answer(start: Start) -> None:
    chat = await start(Agent[Any](name="test", output_guardrails=[output_guardrail(None)]))
    chat.upstream.script(Answer("Old."), Answer("It is swordfish."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tell me")
        assert (await tab.retry(reply.thread_id, reply.user_item["id"])).error is not None
        assert (await tab.reload(reply.thread_id)).texts() == [("user", "Tell me"), ("assistant", "Old.")]


async def test_a_rejected_tool_output_is_not_replayed(start: Start) -> None:
    async def check(data: ToolOutputGuardrailData) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.raise_exception(output_info={"message": WORDS})

    guarded_tool = function_tool(lambda: "the secret is swordfish", name_override="look", description_override="Looks.")
    guarded_tool.tool_output_guardrails = [ToolOutputGuardrail(guardrail_function=check)]
    chat = await start(Agent[Any](name="test", tools=[guarded_tool]))
    chat.upstream.script(Answer("Let me see.", tool_calls=[ToolCall("look")]))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tell me")
        assert reply.error is not None
        assert reply.error["message"] == WORDS
        assert (await tab.send(reply.thread_id, "Go on")).error is None
    assert "swordfish" not in json.dumps(chat.upstream.requests[-1].body)
    assert ("assistant", "Let me see.") in model_input(chat.upstream.requests[-1])


async def test_a_tool_without_a_timeout_gets_the_configured_one(start: Start) -> None:
    @function_tool
    async def slow() -> str:
        """Never returns."""
        await asyncio.sleep(60)
        return "done"

    chat = await start(Agent[Any](name="test", tools=[slow]), tool_call_seconds=0.05, show_tools=True)
    chat.upstream.script(Answer(tool_calls=[ToolCall("slow")]), Answer("It took too long."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Do it")
        assert reply.error is None
        assert reply.text == "It took too long."
        (workflow,) = reply.picture.of_type("workflow")
        assert [task["content"] for task in workflow["workflow"]["tasks"]] == ["This failed."]
    assert "timed out after 0.05 seconds" in json.dumps(chat.upstream.requests[-1].body)


async def test_a_tool_that_raises_at_its_timeout_ends_the_turn_with_a_clear_message(start: Start) -> None:
    @function_tool(timeout=0.05, timeout_behavior="raise_exception")
    async def slow() -> str:
        """Never returns."""
        await asyncio.sleep(60)
        return "done"

    chat = await start(Agent[Any](name="test", tools=[slow]))
    chat.upstream.script(Answer(tool_calls=[ToolCall("slow")]))
    async with await chat.visitor() as tab:
        reply = await tab.create("Do it")
        assert reply.error is not None
        assert "tools took too long" in reply.error["message"]
        assert reply.error["allow_retry"] is True
        assert (await tab.send(reply.thread_id, "And now?")).error is None


async def test_too_many_steps_end_the_turn_and_are_replayed(start: Start) -> None:
    chat = await start(Agent[Any](name="test", tools=[look_up]), max_turns=2)
    chat.upstream.script(*[Answer(f"Step {n}.", tool_calls=[ToolCall("look_up")]) for n in range(2)])
    async with await chat.visitor() as tab:
        reply = await tab.create("Go")
        assert reply.error is not None
        assert "too many steps" in reply.error["message"]
        assert (await tab.send(reply.thread_id, "Go on")).error is None
    outputs = [i["output"] for i in chat.upstream.requests[-1].body["input"] if i.get("type") == "function_call_output"]
    assert outputs == ["the secret is swordfish"] * 2
