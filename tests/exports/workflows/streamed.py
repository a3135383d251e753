import asyncio
import sys

from agents import Agent, RunConfig, Runner, TResponseInputItem, function_tool, trace
from pydantic import BaseModel


@function_tool
def show_card(title: str):
    # TODO: Implement
    pass


agent = Agent(name="My agent", instructions="Talk.", model="gpt-5", tools=[show_card])


class WorkflowInput(BaseModel):
    input_as_text: str


async def run_workflow(workflow_input: WorkflowInput):
    with trace("New workflow"):
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        result = Runner.run_streamed(
            agent,
            input=[*conversation_history],
            run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_m"}),
        )
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                sys.stderr.write(event.data.delta)
        return {"output_text": result.final_output_as(str)}


if __name__ == "__main__":
    asyncio.run(run_workflow(WorkflowInput(input_as_text=sys.argv[1])))
