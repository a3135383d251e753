import asyncio

from agents import Agent, RunConfig, Runner, TResponseInputItem, trace
from pydantic import BaseModel


class ScoreSchema(BaseModel):
    score: float


pros = Agent(name="Pros", instructions="Pros.", model="gpt-5")
cons = Agent(name="Cons", instructions="Cons.", model="gpt-5")
score = Agent(name="Score", instructions="Score.", model="gpt-5", output_type=ScoreSchema)


class WorkflowInput(BaseModel):
    input_as_text: str


async def run_workflow(workflow_input: WorkflowInput):
    with trace("Parallel"):
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        config = RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_p"})
        async with asyncio.TaskGroup() as group:
            a = group.create_task(Runner.run(pros, input=[*conversation_history], run_config=config))
            b = group.create_task(Runner.run(cons, input=[*conversation_history], run_config=config))
            c = group.create_task(Runner.run(score, input=[*conversation_history], run_config=config))
        return {
            "output_text": f"## Pros\n\n{a.result().final_output}\n\n## Cons\n\n{b.result().final_output}",
            "score": c.result().final_output.score,
        }
