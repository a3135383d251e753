"""What a workflow returns, as the user reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner
from agents.testing import ScriptedModel, assistant_message

from chatkit_server.conversion.readable import readable
from chatkit_server.exports.ending import answer_text
from tests.exports.small import Topic, WorkflowInput, finder
from tests.serving import serve

CHECKED = {"pii": {"failed": True, "detected_counts": ["EMAIL:1"]}, "moderation": {"failed": True}}
STOPPED = "This message did not pass a check of this assistant, so it was not answered"


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (None, ""),
        ("Green.", "Green."),
        ("  ", ""),
        ({}, ""),
        ({"output_text": "Green."}, "Green."),
        ({"output_text": "Green.", "plan": "free"}, "Green."),
        ({"output_text": "shown before"}, ""),
        ({"output_text": '{"topic": "tea"}', "output_parsed": {"topic": "tea"}}, "tea"),
        ({"output_text": '{"topic": "tea", "count": 2}'}, "- **Topic:** tea\n- **Count:** 2"),
        ({"output_text": "{not JSON"}, "{not JSON"),
        ({"output_text": "{}"}, ""),
        (False, "no"),
        ([], ""),
        ([{"role": "assistant", "content": "Green."}], "Green."),
        ([{"role": "assistant", "content": "Green."}, {"role": "user", "content": "Why?"}], ""),
        ([{"role": "Tester", "name": "Ann"}], "- **Role:** Tester\n    - **Name:** Ann"),
        ({"output_text": Topic(topic="tea")}, "tea"),
        ({"message": "Green."}, "Green."),
        ({"message": "shown before", "code": 3}, ""),
        ({"input_as_text": "Tea?"}, ""),
        (Topic(topic="tea"), "tea"),
        ([1, 2], "- 1\n- 2"),
        (["a", {"b": True}], "- a\n- **B:** yes"),
        (42, "42"),
        (CHECKED, f"{STOPPED}: personal data, moderation."),
        ({"pii": {"failed": False}}, ""),
        ({"failed": True, "failures": [{"guardrail_name": "Jailbreak"}]}, f"{STOPPED}: jailbreak."),
        ({"failed": False, "failures": []}, ""),
    ],
)
def test_the_text_of_what_a_workflow_returns(returned: Any, text: str) -> None:
    assert answer_text(returned, readable, {"shown before"}) == text


@pytest.mark.parametrize(
    ("ending", "texts"),
    [
        (lambda result: None, ["Green."]),
        (lambda result: result, ["Green."]),
        (lambda result: result.final_output, ["Green."]),
        (lambda result: {"output_text": " Green.\n"}, ["Green."]),
        (lambda result: {"output_text": "Black."}, ["Green.", "Black."]),
    ],
)
async def test_nothing_is_shown_twice(tmp_path: Path, ending: Callable[[Any], Any], texts: list[str]) -> None:
    agent = Agent(name="Helper", model=ScriptedModel([[assistant_message("Green.")]]))

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        return ending(await Runner.run(agent, workflow_input.input_as_text))

    async with serve(tmp_path, run_workflow) as served, served.tab() as tab:
        reply = await tab.create("Tea?")
        picture = await tab.reload(reply.thread_id)
        assert [text for role, text in picture.texts() if role == "assistant"] == texts
        assert picture.items == tab.pictures[reply.thread_id].items


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (lambda result: None, "tea"),
        (lambda result: result, "tea"),
        (lambda result: result.final_output, "tea"),
        (lambda result: {"output_parsed": result.final_output.model_dump()}, "tea"),
        (lambda result: {"answer": 42}, "- **Answer:** 42"),
    ],
)
async def test_a_step_at_the_end_is_shown(tmp_path: Path, ending: Callable[[Any], Any], text: str) -> None:
    agent = finder()
    agent.model = ScriptedModel([[assistant_message('{"topic": "tea"}')]])

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        return ending(await Runner.run(agent, workflow_input.input_as_text))

    async with serve(tmp_path, run_workflow) as served, served.tab() as tab:
        assert (await tab.create("Tea?")).text == text


async def test_a_workflow_without_an_answer_says_so(tmp_path: Path) -> None:
    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        return workflow_input.model_dump()

    async with serve(tmp_path, run_workflow) as served, served.tab() as tab:
        reply = await tab.create("Tea?")
        assert reply.error is not None
        assert reply.error["message"].startswith("The model gave no answer.")
