from agents import (
    Agent,
    CodeInterpreterTool,
    FileSearchTool,
    HostedMCPTool,
    ModelSettings,
    RunConfig,
    RunContextWrapper,
    Runner,
    TResponseInputItem,
    WebSearchTool,
    trace,
)
from openai.types.shared.reasoning import Reasoning
from pydantic import BaseModel

# Tool definitions
web_search_preview = WebSearchTool(search_context_size="medium", user_location={"type": "approximate"})
code_interpreter = CodeInterpreterTool(
    tool_config={"type": "code_interpreter", "container": {"type": "auto", "file_ids": []}}
)
file_search = FileSearchTool(vector_store_ids=["vs_68f8a99c90e08190b2ecc32db6bdeb45"])
mcp = HostedMCPTool(
    tool_config={
        "type": "mcp",
        "server_label": "gmail",
        "allowed_tools": ["send_email"],
        "connector_id": "connector_gmail",
        "authorization": '{"expression":"\\"ya29.abc\\"","format":"cel"}',
        "require_approval": "always",
    }
)


class AssistantContext:
    def __init__(self, workflow_input_as_text: str, state_city: str) -> None:
        self.workflow_input_as_text = workflow_input_as_text
        self.state_city = state_city


def assistant_instructions(run_context: RunContextWrapper[AssistantContext], _agent: Agent[AssistantContext]):
    workflow_input_as_text = run_context.context.workflow_input_as_text
    state_city = run_context.context.state_city
    return f"""Help in {state_city} with {workflow_input_as_text}"""


assistant = Agent(
    name="Assistant",
    instructions=assistant_instructions,
    model="gpt-5",
    tools=[web_search_preview, code_interpreter, file_search, mcp],
    model_settings=ModelSettings(store=True, reasoning=Reasoning(effort="medium", summary="auto")),
)


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Hosted"):
        state = {"city": "Paris"}
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        assistant_result_temp = await Runner.run(
            assistant,
            input=[*conversation_history],
            run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_h"}),
            context=AssistantContext(workflow_input_as_text=workflow["input_as_text"], state_city=state["city"]),
        )

        conversation_history.extend([item.to_input_item() for item in assistant_result_temp.new_items])

        assistant_result = {"output_text": assistant_result_temp.final_output_as(str)}
        return assistant_result
