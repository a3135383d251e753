from agents import Agent, RunConfig, Runner, TResponseInputItem, trace
from pydantic import BaseModel


class PlannerSchema(BaseModel):
    plan: str
    step_count: int


planner = Agent(name="Planner", instructions="Plan.", model="gpt-5", output_type=PlannerSchema)
writer = Agent(name="Writer", instructions="Write.", model="gpt-5")
sender = Agent(name="Sender", instructions="Send.", model="gpt-5")


def approval_request(message: str):
    # TODO: Implement
    return True


def approval_request1(message: str):
    # TODO: Implement
    return True


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Approvals"):
        state = {"round": 0, "done": False}
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        planner_result_temp = await Runner.run(
            planner,
            input=[*conversation_history],
            run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_a"}),
        )
        conversation_history.extend([item.to_input_item() for item in planner_result_temp.new_items])
        planner_result = {
            "output_text": planner_result_temp.final_output.json(),
            "output_parsed": planner_result_temp.final_output.model_dump(),
        }
        approval_message = f"Follow the plan {planner_result['output_parsed']['plan']}?"
        if approval_request(approval_message):
            while state["round"] < 2:
                while not state["done"]:
                    writer_result_temp = await Runner.run(
                        writer,
                        input=[*conversation_history],
                        run_config=RunConfig(
                            trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_a"}
                        ),
                    )
                    conversation_history.extend([item.to_input_item() for item in writer_result_temp.new_items])
                    approval_message1 = "Keep it?"
                    if approval_request1(approval_message1):
                        state["done"] = True
                    else:
                        state["done"] = False
                state["done"] = False
                state["round"] = state["round"] + 1
            return planner_result
        else:
            return workflow
