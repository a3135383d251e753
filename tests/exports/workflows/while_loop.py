from agents import Agent, RunConfig, Runner, TResponseInputItem, trace
from pydantic import BaseModel


class ReviewSchema(BaseModel):
    is_good: bool
    advice: str


writer = Agent(name="Writer", instructions="Write a haiku.", model="gpt-5")
reviewer = Agent(name="Reviewer", instructions="Review the haiku.", model="gpt-5-mini", output_type=ReviewSchema)


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Haiku"):
        state = {"is_good": False, "rounds": 0}
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        while not state["is_good"] and state["rounds"] < 3:
            writer_result_temp = await Runner.run(
                writer,
                input=[*conversation_history],
                run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_2"}),
            )
            conversation_history.extend([item.to_input_item() for item in writer_result_temp.new_items])
            reviewer_result_temp = await Runner.run(
                reviewer,
                input=[*conversation_history],
                run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_2"}),
            )
            conversation_history.extend([item.to_input_item() for item in reviewer_result_temp.new_items])
            reviewer_result = {
                "output_text": reviewer_result_temp.final_output.model_dump_json(),
                "output_parsed": reviewer_result_temp.final_output.model_dump(),
            }
            state["is_good"] = reviewer_result["output_parsed"]["is_good"]
            state["rounds"] = state["rounds"] + 1
