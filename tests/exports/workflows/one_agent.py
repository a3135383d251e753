from agents import Agent, ModelSettings, RunConfig, Runner, TResponseInputItem, function_tool, trace
from openai.types.shared.reasoning import Reasoning
from pydantic import BaseModel


# Tool definitions
@function_tool
def get_opening_hours(day: str):
    return f"{day}: 9 to 17"


agent = Agent(
    name="Front desk",
    instructions="You answer questions about the museum.",
    model="gpt-5",
    tools=[get_opening_hours],
    model_settings=ModelSettings(
        parallel_tool_calls=True, store=True, reasoning=Reasoning(effort="low", summary="auto")
    ),
)


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Museum"):
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        agent_result_temp = await Runner.run(
            agent,
            input=[*conversation_history],
            run_config=RunConfig(
                trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_68e556bd9204"}
            ),
        )

        conversation_history.extend([item.to_input_item() for item in agent_result_temp.new_items])

        agent_result = {"output_text": agent_result_temp.final_output_as(str)}
        return agent_result
