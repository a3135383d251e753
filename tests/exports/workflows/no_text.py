"""No text agent; transform and set-state nodes; list at the end."""

from agents import Agent, RunConfig, Runner, TResponseInputItem, trace
from pydantic import BaseModel


class ExtractSchema__PeopleItem(BaseModel):
    name: str
    age: float


class ExtractSchema(BaseModel):
    people: list[ExtractSchema__PeopleItem]


extract = Agent(name="Extract", instructions="Extract.", model="gpt-5-nano", output_type=ExtractSchema)


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("New workflow"):
        state = {}
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        extract_result_temp = await Runner.run(
            extract,
            input=conversation_history,
            run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_n"}),
        )
        conversation_history.extend([item.to_input_item() for item in extract_result_temp.new_items])
        extract_result = {
            "output_text": extract_result_temp.final_output.json(),
            "output_parsed": extract_result_temp.final_output.model_dump(),
        }
        transform_result = {
            "people": [p["name"] for p in extract_result["output_parsed"]["people"]],
            "total": len(extract_result["output_parsed"]["people"]),
        }
        state["names"] = transform_result["people"]
        if workflow["input_as_text"] == "model":
            return extract_result_temp.final_output
        if workflow["input_as_text"] == "list":
            return [p.model_dump() for p in extract_result_temp.final_output.people]
        if workflow["input_as_text"] == "history":
            return conversation_history
        return transform_result
