"""What an exported workflow and its agents are given: history, files, quotes, variables of the session."""

from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner, SQLiteSession, function_tool
from agents.testing import ScriptedModel, assistant_message
from pydantic import BaseModel

from tests.exports.inputs import inputs
from tests.exports.small import WorkflowInput, finder, helper
from tests.files.uploading import UploadClient, picture
from tests.routes.sessions import serving_sessions
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.conftest import Start

FOUND = Answer('{"topic": "tea"}')


async def find_and_answer(workflow_input: WorkflowInput) -> Any:
    message: Any = {"role": "user", "content": [{"type": "input_text", "text": workflow_input.input_as_text}]}
    await Runner.run(finder(), [message])
    return await Runner.run(helper(), [message])


async def test_without_history_agents_know_only_the_last_message(start: Start) -> None:
    chat = await start(find_and_answer, workflow_history=False)
    chat.upstream.script(FOUND, Answer("Green."), FOUND, Answer("Black."))
    async with await chat.visitor() as tab:
        first = await tab.create("Tea?")
        await tab.send(first.thread_id, "And you?")
    assert inputs(chat.upstream) == [[("user", "Tea?")]] * 2 + [[("user", "And you?")]] * 2


@pytest.mark.parametrize("has_history", [True, False])
async def test_files_and_quotes_of_the_message_reach_the_agents(start: Start, has_history: bool) -> None:
    chat = await start(find_and_answer, workflow_history=has_history)
    chat.upstream.script(FOUND, Answer("A dot."), FOUND, Answer("Black."))
    async with await chat.visitor() as tab:
        upload = await UploadClient(chat, tab).upload(picture(), "dot.png", "image/png")
        first = await tab.create("What is it?", attachments=[upload.id], quoted_text="a black dot")
        assert first.text == "A dot."
        await tab.send(first.thread_id, "Which colour?")
    finder_input, helper_input, later, _ = (request.body["input"] for request in chat.upstream.requests)
    assert finder_input == helper_input
    (message,) = finder_input
    assert "input_image" in [part["type"] for part in message["content"]]
    assert "a black dot" in str(message["content"])
    assert len(later) == (3 if has_history else 1)


async def test_another_message_first_has_the_files_and_the_history_too(start: Start) -> None:
    """A classifier with words around the message, then an agent with the message as it is."""

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        await Runner.run(finder(), f"Classify: {workflow_input.input_as_text}")
        await Runner.run(helper("Alone"), "Something else")
        return await Runner.run(helper(), workflow_input.input_as_text)

    chat = await start(run_workflow)
    chat.upstream.script(*[FOUND, Answer("Else."), Answer("Green.")] * 2)
    async with await chat.visitor() as tab:
        upload = await UploadClient(chat, tab).upload(picture(), "dot.png", "image/png")
        first = await tab.create("Tea?", attachments=[upload.id])
        await tab.send(first.thread_id, "And you?")
    classified, alone, answered, *later = inputs(chat.upstream)
    assert classified == [("user", "Classify: Tea? | input_image")]
    assert alone == [("user", "Something else")]
    assert answered[0][1].startswith("Tea?")
    assert "input_image" in answered[0][1]
    history = [*answered, ("assistant", "Else."), ("assistant", "Green.")]
    assert [len(later[0]), later[1], later[2]] == [4, alone, [*history, ("user", "And you?")]]


async def test_a_message_that_all_agents_get_in_other_words_is_remembered_so(start: Start) -> None:
    @function_tool
    def look(at: str) -> str:
        """Looks."""
        return "seen"

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        return await Runner.run(helper(tools=[look]), workflow_input.input_as_text.replace("secret", "***"))

    chat = await start(run_workflow, history_tokens=500)
    looked_up = Answer(tool_calls=[ToolCall("look", {"at": "all " * 600}, "c1")])
    chat.upstream.script(Answer("One."), looked_up, Answer("Two."), Answer("Three."))
    async with await chat.visitor() as tab:
        first = await tab.create("my secret")
        await tab.send(first.thread_id, "another secret")
        await tab.send(first.thread_id, "no more")
    conversation = [("user", "my ***"), ("assistant", "One."), ("user", "another ***"), ("assistant", "Two.")]
    assert inputs(chat.upstream)[1] == conversation[:3]
    assert inputs(chat.upstream)[3] == [*conversation, ("user", "no more")], "the call did not fit"
    assert "secret" not in str([request.body["input"] for request in chat.upstream.requests])


async def test_a_session_of_the_author_is_all_the_history(start: Start) -> None:
    memory = SQLiteSession("all")

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        return await Runner.run(helper(), workflow_input.input_as_text, session=memory)

    chat = await start(run_workflow)
    chat.upstream.script(Answer("Green."), Answer("Black."))
    async with await chat.visitor() as tab:
        first = await tab.create("Tea?")
        await tab.send(first.thread_id, "And you?")
    memory.close()
    assert inputs(chat.upstream)[1] == [("user", "Tea?"), ("assistant", "Green."), ("user", "And you?")]


async def test_the_input_list_of_a_result_has_the_history_once(start: Start) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        first = await Runner.run(helper("First"), workflow_input.input_as_text)
        return await Runner.run(helper("Second"), first.to_input_list())

    chat = await start(run_workflow)
    chat.upstream.script(*map(Answer, "ABCD"))
    async with await chat.visitor() as tab:
        reply = await tab.create("Go")
        await tab.send(reply.thread_id, "On")
    conversation = [("user", "Go"), ("assistant", "A"), ("assistant", "B"), ("user", "On"), ("assistant", "C")]
    assert inputs(chat.upstream)[3] == conversation


async def test_instructions_stay_before_the_conversation(start: Start) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        message: Any = {"role": "user", "content": workflow_input.input_as_text}
        return await Runner.run(helper(), [{"role": "developer", "content": "Be brief."}, message])

    chat = await start(run_workflow)
    chat.upstream.script(Answer("Green."), Answer("Black."))
    async with await chat.visitor() as tab:
        upload = await UploadClient(chat, tab).upload(picture(), "dot.png", "image/png")
        first = await tab.create("Tea?", attachments=[upload.id])
        await tab.send(first.thread_id, "And you?")
    brief = ("developer", "Be brief.")
    first_input, second_input = inputs(chat.upstream)
    assert first_input == [brief, first_input[1]]
    assert "input_image" in first_input[1][1]
    assert second_input == [brief, first_input[1], ("assistant", "Green."), ("user", "And you?")]


class CustomerInput(BaseModel):
    input_as_text: str
    customer: str = "nobody"


async def tell_plan(workflow_input: CustomerInput) -> Any:
    state = {"plan": "free", "seats": 1}
    return {"output_text": f"{workflow_input.customer} has {state['plan']} with {state['seats']}"}


DEFAULTS: dict[str, Any] = {"plan": "free", "orders": []}


async def count_orders(workflow_input: WorkflowInput) -> Any:
    state = DEFAULTS
    state["orders"].append(workflow_input.input_as_text)
    return {"output_text": f"{state['plan']}: {len(state['orders'])}"}


scripted = Agent(name="Scripted")


async def say(workflow_input: WorkflowInput) -> Any:
    return await Runner.run(scripted, workflow_input.input_as_text)


async def test_sessions_choose_the_workflow_and_its_variables(tmp_path: Path) -> None:
    scripted.model = ScriptedModel([[assistant_message("Said.")]])
    async with serving_sessions(tmp_path, {"wf_plan": tell_plan, "wf_say": say, "wf_count": count_orders}) as backend:

        async def ask(workflow: dict[str, Any], user: str = "ada") -> str:
            session = await backend.openai.beta.chatkit.sessions.create(user=user, workflow=workflow)  # type: ignore[arg-type]
            async with backend.tab(session.client_secret) as tab:
                return (await tab.create("Hello")).text

        assert await ask({"id": "wf_plan"}) == "nobody has free with 1"
        variables = {"plan": "pro", "customer": "Ada", "unknown": True}
        assert await ask({"id": "wf_plan", "state_variables": variables}) == "Ada has pro with 1"
        assert await ask({"id": "wf_plan"}) == "nobody has free with 1", "and the next session has the defaults"
        assert await ask({"id": "wf_say", "state_variables": variables}) == "Said."
        assert await ask({"id": "wf_count", "state_variables": {"plan": "pro"}}) == "pro: 1"
        assert await ask({"id": "wf_count"}, "bob") == "free: 1", "the defaults of the module stay as they are"
