from agents import Agent, ModelSettings, RunConfig, Runner, TResponseInputItem, trace
from openai.types.shared.reasoning import Reasoning
from pydantic import BaseModel

researcher = Agent(
    name="Researcher",
    instructions="Collect what is known.",
    model="gpt-5",
    model_settings=ModelSettings(store=True, reasoning=Reasoning(effort="low", summary="auto")),
)
editor = Agent(name="Editor", instructions="Make one paragraph of it.", model="gpt-5")


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Report"):
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        researcher_result_temp = await Runner.run(
            researcher,
            input=[*conversation_history],
            run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_4"}),
        )
        conversation_history.extend([item.to_input_item() for item in researcher_result_temp.new_items])
        researcher_result = {"output_text": researcher_result_temp.final_output_as(str)}
        editor_result_temp = await Runner.run(
            editor,
            input=[
                *conversation_history,
                {
                    "role": "user",
                    "content": [{"type": "input_text", "text": f"Edit this: {researcher_result['output_text']}"}],
                },
            ],
            run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_4"}),
        )
        conversation_history.extend([item.to_input_item() for item in editor_result_temp.new_items])
        editor_result = {"output_text": editor_result_temp.final_output_as(str)}
        return editor_result
