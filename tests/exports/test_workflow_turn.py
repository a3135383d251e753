"""An exported workflow answers like an agent: its runs stream, and what it returns is shown once."""

from pathlib import Path
from typing import Any

import pytest
from agents import Agent, RunConfig, Runner, TResponseInputItem
from agents.testing import ScriptedModel, assistant_message
from pydantic import BaseModel

from tests.serving import serve


class Topic(BaseModel):
    topic: str


class WorkflowInput(BaseModel):
    input_as_text: str


classifier = Agent(name="Topic finder", output_type=Topic)
helper = Agent(name="Helper")


async def run_workflow(workflow_input: WorkflowInput) -> Any:
    state = {"plan": "free"}
    workflow = workflow_input.model_dump()
    conversation_history: list[TResponseInputItem] = [
        {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
    ]
    config = RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_1"})
    found = await Runner.run(classifier, input=[*conversation_history], run_config=config)
    conversation_history.extend([item.to_input_item() for item in found.new_items])
    if found.final_output.topic == "weather":
        return {"output_text": found.final_output.json(), "output_parsed": found.final_output.model_dump()}
    answer = await Runner.run(helper, input=[*conversation_history], run_config=config)
    return {"output_text": answer.final_output_as(str), "plan": state["plan"]}


@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")  # Agent Builder exports it
async def test_a_step_is_a_task_and_text_is_a_message(tmp_path: Path) -> None:
    model = ScriptedModel([
        [assistant_message('{"topic": "orders"}')],
        [assistant_message("It is on its way.")],
        [assistant_message('{"topic": "weather"}')],
    ])  # fmt: skip
    classifier.model = helper.model = model
    async with serve(tmp_path, agent=run_workflow) as served, served.tab() as tab:
        first = await tab.create("Where is my order?")
        picture = await tab.reload(first.thread_id)
        (steps,) = picture.of_type("workflow")
        assert [task["title"] for task in steps["workflow"]["tasks"]] == ["Topic finder"]
        assert picture.texts() == [("user", "Where is my order?"), ("assistant", "It is on its way.")]
        assert first.picture.items == picture.items
        second = await tab.send(first.thread_id, "And the weather?")
        assert second.text == "weather"
        assert "error" not in second.types
    finder, answerer, later = ([_text_of(item) for item in call.input] for call in model.calls)
    assert finder == ["Where is my order?"]
    assert answerer == ["Where is my order?", '{"topic": "orders"}']
    assert later == ["Where is my order?", "It is on its way.", "And the weather?"]


def _text_of(item: Any) -> str:
    content = item["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
