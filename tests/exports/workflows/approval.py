from agents import Agent, RunConfig, Runner, TResponseInputItem, trace
from pydantic import BaseModel

drafter = Agent(name="Drafter", instructions="Draft an e-mail.", model="gpt-5")
sender = Agent(name="Sender", instructions="Confirm that the e-mail is sent.", model="gpt-5")


def approval_request(message: str):
    # TODO: Implement
    return True


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Mail"):
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        drafter_result_temp = await Runner.run(
            drafter,
            input=[*conversation_history],
            run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_3"}),
        )
        conversation_history.extend([item.to_input_item() for item in drafter_result_temp.new_items])
        approval_message = "Send this e-mail?"

        if approval_request(approval_message):
            sender_result_temp = await Runner.run(
                sender,
                input=[*conversation_history],
                run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_3"}),
            )
            conversation_history.extend([item.to_input_item() for item in sender_result_temp.new_items])
            sender_result = {"output_text": sender_result_temp.final_output_as(str)}
            return sender_result
        else:
            end_result = {"message": "The e-mail is not sent."}
            return end_result
