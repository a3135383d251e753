"""How a turn of an exported workflow ends: complete, failed, refused, cut; and what is left of it."""

import asyncio
import sys
from typing import Any

import pytest
from agents import (
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    RunContextWrapper,
    Runner,
    input_guardrail,
)

from tests.exports.inputs import inputs
from tests.exports.small import WorkflowInput, finder, helper, tasks_of, two_runs
from tests.support.openai_answers import MODEL_NOT_FOUND, SERVER_ERROR, Answer, ToolCall
from tests.support.openai_server import ModelRequest
from tests.turns.chat import model_input
from tests.turns.coming_back import asking, read_up_to
from tests.turns.conftest import Start

FOUND = Answer('{"topic": "tea"}')


async def test_retry_replaces_the_answer_and_its_steps(start: Start) -> None:
    chat = await start(two_runs)
    chat.upstream.script(FOUND, Answer("old"), FOUND, Answer("new"), FOUND, Answer("last"))
    async with await chat.visitor() as tab:
        first = await tab.create("Tea?")
        again = await tab.retry(first.thread_id, first.user_item["id"])
        assert again.error is None
        picture = await tab.reload(first.thread_id)
        assert picture.items == tab.pictures[first.thread_id].items
        assert picture.texts() == [("user", "Tea?"), ("assistant", "new")]
        assert len(tasks_of(picture)) == 1
        await tab.send(first.thread_id, "More")
    assert inputs(chat.upstream)[2] == [("user", "Tea?")]
    assert inputs(chat.upstream)[4] == [("user", "Tea?"), ("assistant", "new"), ("user", "More")]


async def test_usage_of_all_runs_is_counted_once(start: Start) -> None:
    inner = helper("Inner")
    outer = helper("Outer", tools=[inner.as_tool("ask_inner", "Asks.")])

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        await Runner.run(finder(), workflow_input.input_as_text)
        return await Runner.run(outer, workflow_input.input_as_text)

    chat = await start(run_workflow)
    chat.upstream.script(
        FOUND, Answer(tool_calls=[ToolCall("ask_inner", {"input": "?"})]), Answer("a b"), Answer("c d e")
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Count")
        assert reply.text == "c d e"
    query = "SELECT status, model, input_tokens, output_tokens FROM turns"
    ((status, model, read, written),) = await chat.select(query)
    assert (status, model) == ("completed", "gpt-test")
    reported = [request.tokens_sent for request in chat.upstream.requests]
    assert written == sum(reported), "each run, and the run in the tool, once"
    assert read > 0


async def test_a_silent_model_ends_the_turn(start: Start) -> None:
    chat = await start(two_runs, first_event_seconds=1.0, silence_seconds=1.0)
    chat.upstream.script(FOUND, Answer("never", hang_after=0))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert reply.error is not None
        assert reply.error["message"].startswith("The model did not answer in time. Please retry.")
        assert tasks_of(await tab.reload(reply.thread_id)) == [("Topic finder", "complete")]
        await tab.session.close()
        await chat.quiet()


@pytest.mark.parametrize("position", [0, 1])
async def test_an_error_of_the_provider_is_what_the_user_reads(start: Start, position: int) -> None:
    chat = await start(two_runs)
    chat.upstream.script(*[FOUND][:position], Answer(fail=MODEL_NOT_FOUND))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert reply.error is not None
        assert reply.error["message"].startswith("The configured model does not exist.")
        assert tasks_of(await tab.reload(reply.thread_id)) == [("Topic finder", ["none", "complete"][position])]
        chat.upstream.script(FOUND, Answer("Here I am."))
        again = await tab.retry(reply.thread_id, reply.user_item["id"])
        assert again.text == "Here I am."


async def test_a_workflow_may_catch_the_failure_of_a_run(start: Start) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        try:
            await Runner.run(finder(), workflow_input.input_as_text)
        except Exception:
            answer = await Runner.run(helper(), workflow_input.input_as_text)
            return {"output_text": answer.final_output_as(str)}

    chat = await start(run_workflow)
    chat.upstream.script(Answer('{"topic": "tea"}', error_after=1, error=SERVER_ERROR), Answer("Without a topic."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert reply.error is None
        assert reply.text == "Without a topic."
        picture = await tab.reload(reply.thread_id)
        assert picture.items == tab.pictures[reply.thread_id].items
        (block,) = picture.of_type("workflow")
        (task,) = block["workflow"]["tasks"]
        assert (task["title"], task["status_indicator"], task["content"]) == ("Topic finder", "none", "This failed.")
    assert await chat.turns(reply.thread_id) == [("completed", None)]


async def test_a_partial_answer_whose_failure_is_caught_stays(start: Start) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        for name in ("First", "Second"):
            try:
                return await Runner.run(helper(name), workflow_input.input_as_text)
            except Exception:
                continue

    chat = await start(run_workflow)
    chat.upstream.script(Answer("one two three", error_after=2, error=SERVER_ERROR), Answer("Complete."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert reply.error is None
        picture = await tab.reload(reply.thread_id)
        assert picture.items == tab.pictures[reply.thread_id].items
        assert picture.texts()[1:] == [("assistant", "one two"), ("assistant", "Complete.")]


@input_guardrail
async def only_tea(context: RunContextWrapper[Any], agent: Any, input: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput({"message": "Only tea."}, tripwire_triggered="coffee" in str(input[-1]))


@pytest.mark.parametrize("is_caught", [True, False])
async def test_a_tripwire_reverts_its_own_run_only(start: Start, is_caught: bool) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        await Runner.run(helper("Greeter"), workflow_input.input_as_text)
        try:
            guarded = helper("Guarded", instructions="Guarded.", input_guardrails=[only_tea])
            return await Runner.run(guarded, [{"role": "user", "content": workflow_input.input_as_text}])
        except InputGuardrailTripwireTriggered:
            if not is_caught:
                raise
            return {"output_text": "I only know tea."}

    chat = await start(run_workflow)
    greetings = iter(["Hello.", "Hi."])

    def answer(request: ModelRequest) -> Answer:  # the guardrail may trip before the guarded request is sent
        if "Guarded." not in str(request.body):
            return Answer(next(greetings))
        return Answer("Green tea.") if "Then that one" in str(request.body) else Answer("Coffee is", hang_after=2)

    chat.upstream.default = answer
    async with await chat.visitor() as tab:
        reply = await tab.create("coffee?")
        assert (reply.error is None) is is_caught
        picture = await tab.reload(reply.thread_id)
        end = [("assistant", "I only know tea.")] if is_caught else []
        assert picture.texts()[1:] == [("assistant", "Hello."), *end]
        assert picture.items == tab.pictures[reply.thread_id].items
        if reply.error is not None:
            assert reply.error["message"] == "Only tea."
        later = await tab.send(reply.thread_id, "Then that one")
        assert later.text == "Hi.Green tea."
    greeted = [("user", "coffee?"), ("assistant", "Hello."), *end, ("user", "Then that one")]
    assert inputs(chat.upstream)[-2] == greeted


class Own(BaseException):
    """Not an Exception."""


@pytest.mark.parametrize(
    "error",
    [ValueError("it is broken"), SystemExit(3), Own(), asyncio.CancelledError(), KeyError("output_parsed")],
    ids=lambda error: type(error).__name__,
)
async def test_an_exception_of_the_author_fails_the_turn(start: Start, error: BaseException) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        answer = await Runner.run(helper(), workflow_input.input_as_text)
        if answer.final_output == "fail":
            if isinstance(error, SystemExit):
                sys.exit(error.code)
            raise error
        return None

    chat = await start(run_workflow)
    chat.upstream.script(Answer("fail"), Answer("fine"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Go")
        assert reply.error is not None
        assert "broken" not in reply.error["message"]
        assert await chat.select("SELECT status, error_code FROM turns") == [("failed", "agent_error")]
        assert (await tab.send(reply.thread_id, "Again")).text == "fine"
        await tab.session.close()
        await chat.quiet()


async def test_a_refusal_in_a_step_is_the_answer(start: Start) -> None:
    chat = await start(two_runs)
    chat.upstream.script(Answer(refusal="I must not."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert reply.error is None
        assert reply.text == "I must not."
        picture = await tab.reload(reply.thread_id)
        assert picture.items == tab.pictures[reply.thread_id].items
    assert len(chat.upstream.requests) == 1


async def test_a_cut_answer_ends_the_workflow(start: Start) -> None:
    chat = await start(two_runs)
    chat.upstream.script(FOUND, Answer("one two", incomplete="max_output_tokens"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert reply.error is None
        assert [text for role, text in (await tab.reload(reply.thread_id)).texts() if role == "assistant"] == [
            "one two"
        ]
        assert "incomplete" in str(reply.events[-1])


async def test_runs_at_once_come_one_after_the_other(start: Start) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        runs = [Runner.run(helper(name), workflow_input.input_as_text) for name in ("A", "B")]
        first, second = await asyncio.gather(*runs)
        return {"output_text": f"{first.final_output} and {second.final_output}"}

    chat = await start(run_workflow)
    chat.upstream.script(Answer("one"), Answer("two"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Tea?")
        assert (await tab.reload(reply.thread_id)).texts()[1:] == [
            ("assistant", "one"),
            ("assistant", "two"),
            ("assistant", "one and two"),
        ]
    assert inputs(chat.upstream) == [[("user", "Tea?")]] * 2


async def test_a_run_that_the_author_gives_up_is_ended(start: Start) -> None:
    limits: list[asyncio.Timeout] = []

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        try:
            async with asyncio.timeout(30) as limit:
                limits.append(limit)
                return await Runner.run(helper("Slow"), workflow_input.input_as_text)
        except TimeoutError:
            return await Runner.run(helper("Fast"), workflow_input.input_as_text)

    chat = await start(run_workflow)
    chat.upstream.script(Answer("one two", hang_after=1), Answer("Quick."))
    async with await chat.visitor() as tab:
        async with asking(tab, "Tea?") as reply:
            await read_up_to(reply, "one")
            limits[0].reschedule(0)
            await reply.read()
        assert reply.error is None
        await chat.upstream.requests[0].wait_closed()
        assert chat.upstream.requests[0].client_gone
        picture = await tab.reload(reply.thread_id)
        assert picture.texts()[1:] == [("assistant", "one"), ("assistant", "Quick.")]
        assert picture.items == tab.pictures[reply.thread_id].items
        await tab.session.close()
        await chat.quiet()


@pytest.mark.parametrize("api", ["chat_completions"])
async def test_chat_completions_get_the_same_conversation(start: Start) -> None:
    chat = await start(two_runs)
    chat.upstream.script(FOUND, Answer("Green."), FOUND, Answer("Black."))
    async with await chat.visitor() as tab:
        first = await tab.create("Tea?")
        assert (await tab.send(first.thread_id, "And you?")).text == "Black."
        assert (await tab.reload(first.thread_id)).items == tab.pictures[first.thread_id].items
    conversation = [("user", "Tea?"), ("assistant", "Green."), ("user", "And you?")]
    assert [model_input(request) for request in chat.upstream.requests] == [conversation[:1]] * 2 + [conversation] * 2
