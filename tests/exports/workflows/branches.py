from typing import Literal

from agents import Agent, ModelSettings, RunConfig, RunContextWrapper, Runner, TResponseInputItem, trace
from pydantic import BaseModel


class ClassifySchema(BaseModel):
    category: Literal["return", "cancel", "other"]


class ReturnAgentSchema(BaseModel):
    decision: str
    refund: float


classify = Agent(
    name="Classify",
    instructions="Choose the category of the message.",
    model="gpt-4.1",
    output_type=ClassifySchema,
    model_settings=ModelSettings(temperature=0),
)


class CancelAgentContext:
    def __init__(self, state_plan: str, workflow_input_as_text: str) -> None:
        self.state_plan = state_plan
        self.workflow_input_as_text = workflow_input_as_text


def cancel_agent_instructions(run_context: RunContextWrapper[CancelAgentContext], _agent: Agent[CancelAgentContext]):
    state_plan = run_context.context.state_plan
    workflow_input_as_text = run_context.context.workflow_input_as_text
    return f"Cancel the plan {state_plan}. The message: {workflow_input_as_text}"


return_agent = Agent(
    name="Return agent",
    instructions="Decide about the return.",
    model="gpt-4.1-mini",
    output_type=ReturnAgentSchema,
    model_settings=ModelSettings(temperature=1, top_p=1, max_tokens=2048, store=True),
)
cancel_agent = Agent(name="Cancel agent", instructions=cancel_agent_instructions, model="gpt-4.1-mini")
information_agent = Agent(name="Information agent", instructions="Tell what the shop offers.", model="gpt-4.1-mini")


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Shop"):
        state: dict[str, str | None] = {"plan": "free", "region": None}
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        classify_input = workflow["input_as_text"]
        classify_result_temp = await Runner.run(
            classify,
            input=[{"role": "user", "content": [{"type": "input_text", "text": f"{classify_input}"}]}],
            run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_1"}),
        )
        classify_result = {
            "output_text": classify_result_temp.final_output.model_dump_json(),
            "output_parsed": classify_result_temp.final_output.model_dump(),
        }
        classify_category = classify_result["output_parsed"]["category"]
        classify_output = {"category": classify_category}
        if classify_category == "return":
            return_agent_result_temp = await Runner.run(
                return_agent,
                input=[*conversation_history],
                run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_1"}),
            )
            conversation_history.extend([item.to_input_item() for item in return_agent_result_temp.new_items])
            return_agent_result = {
                "output_text": return_agent_result_temp.final_output.model_dump_json(),
                "output_parsed": return_agent_result_temp.final_output.model_dump(),
            }
            return return_agent_result
        elif classify_category == "cancel":
            cancel_agent_result_temp = await Runner.run(
                cancel_agent,
                input=[*conversation_history],
                run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_1"}),
                context=CancelAgentContext(state_plan=state["plan"], workflow_input_as_text=workflow["input_as_text"]),
            )
            conversation_history.extend([item.to_input_item() for item in cancel_agent_result_temp.new_items])
            cancel_agent_result = {"output_text": cancel_agent_result_temp.final_output_as(str)}
            end_result = {"message": cancel_agent_result["output_text"], "plan": state["plan"]}
            return end_result
        else:
            information_agent_result_temp = await Runner.run(
                information_agent,
                input=[*conversation_history],
                run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_1"}),
            )
            conversation_history.extend([item.to_input_item() for item in information_agent_result_temp.new_items])
            return classify_output
