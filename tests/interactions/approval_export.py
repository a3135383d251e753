"""A workflow as Agent Builder exports it: a classifier, the user's approval, an agent whose tool needs another one."""

from typing import Any

from agents import Agent, RunConfig, Runner, TResponseInputItem, function_tool
from pydantic import BaseModel

calls: list[str] = []
"""What ran, for the tests."""


@function_tool
def look_up(order: int) -> str:
    """Looks an order up."""
    calls.append(f"look_up {order}")
    return f"order {order} costs 20 euros"


@function_tool(needs_approval=True)
def refund(order: int) -> str:
    """Pays an order back."""
    calls.append(f"refund {order}")
    return f"order {order} is paid back"


class Request(BaseModel):
    order: int


def approval_request(message: str):  # type: ignore[no-untyped-def]  # as exported
    # TODO: Implement
    return True


finder = Agent(name="Request finder", tools=[look_up], output_type=Request)
clerk = Agent(name="Refund clerk", tools=[refund])
refuser = Agent(name="Refuser")


class WorkflowInput(BaseModel):
    input_as_text: str


async def run_workflow(workflow_input: WorkflowInput) -> Any:
    workflow = workflow_input.model_dump()
    conversation_history: list[TResponseInputItem] = [
        {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
    ]
    config = RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_1"})
    calls.append("begin")
    finder_result_temp = await Runner.run(finder, input=[*conversation_history], run_config=config)
    conversation_history.extend([item.to_input_item() for item in finder_result_temp.new_items])
    finder_result = {
        "output_text": finder_result_temp.final_output.model_dump_json(),
        "output_parsed": finder_result_temp.final_output.model_dump(),
    }
    approval_message = f"Pay order {finder_result['output_parsed']['order']} back?"
    if approval_request(approval_message):
        clerk_result_temp = await Runner.run(clerk, input=[*conversation_history], run_config=config)
        return {"output_text": clerk_result_temp.final_output_as(str)}
    refuser_result_temp = await Runner.run(refuser, input=[*conversation_history], run_config=config)
    return {"output_text": refuser_result_temp.final_output_as(str)}
