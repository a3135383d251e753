from agents import Agent, RunConfig, Runner, TResponseInputItem, trace
from pydantic import BaseModel

agent = Agent(name="Talker", instructions="Talk.", model="gpt-5")


class WorkflowInput(BaseModel):
    input_as_text: str


async def run_workflow(workflow_input: WorkflowInput):
    with trace("Endless"):
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        while True:
            try:
                agent_result_temp = await Runner.run(
                    agent,
                    input=[*conversation_history],
                    run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_e"}),
                )
                conversation_history.extend([item.to_input_item() for item in agent_result_temp.new_items])
            except Exception as error:
                conversation_history.append({"role": "user", "content": str(error)})
