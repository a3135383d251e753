from agents import Agent, FileSearchTool, HostedMCPTool, ModelSettings, RunConfig, Runner, TResponseInputItem, trace
from openai import AsyncOpenAI
from pydantic import BaseModel

# Tool definitions
mcp = HostedMCPTool(
    tool_config={
        "type": "mcp",
        "server_label": "stock",
        "allowed_tools": ["find_book"],
        "headers": {"Authorization": "Bearer of-the-shop"},
        "require_approval": "never",
        "server_url": "https://stock.example/mcp",
    }
)
file_search = FileSearchTool(vector_store_ids=["vs_rules"])
# Shared client for guardrails and file search
client = AsyncOpenAI()
librarian = Agent(
    name="Librarian",
    instructions="Answer from what was found.",
    model="gpt-5",
    tools=[mcp, file_search],
    model_settings=ModelSettings(store=True),
)


class WorkflowInput(BaseModel):
    input_as_text: str


# Main code entrypoint
async def run_workflow(workflow_input: WorkflowInput):
    with trace("Library"):
        workflow = workflow_input.model_dump()
        conversation_history: list[TResponseInputItem] = [
            {"role": "user", "content": [{"type": "input_text", "text": workflow["input_as_text"]}]}
        ]
        filesearch_result = {
            "results": [
                {
                    "id": result.file_id,
                    "filename": result.filename,
                    "score": result.score,
                }
                for result in client.vector_stores.search(
                    vector_store_id="vs_books", query=workflow["input_as_text"], max_num_results=10
                )
            ]
        }
        librarian_result_temp = await Runner.run(
            librarian,
            input=[
                *conversation_history,
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": f"Found: {filesearch_result['results'][0]['filename']}"}
                    ],
                },
            ],
            run_config=RunConfig(trace_metadata={"__trace_source__": "agent-builder", "workflow_id": "wf_5"}),
        )
        conversation_history.extend([item.to_input_item() for item in librarian_result_temp.new_items])
        librarian_result = {"output_text": librarian_result_temp.final_output_as(str)}
        return librarian_result
