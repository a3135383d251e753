"""The agent, its tools, and what the page offers of them."""

from typing import Annotated

from pydantic import BaseModel, Field
from pydantic_settings import NoDecode

from ..composer.choices import Prompt, ToolChoice
from ..mcp.spec import McpSpec
from .parsing import CHOICES, EACH_ONCE, JSON, MCP_SERVERS, TEXT_OR_JSON

ServerName = Annotated[str, Field(pattern=r"^[\w-]+$")]


class AgentSettings(BaseModel):
    """The agent, its tools, and what the page offers of them."""

    agent: Annotated[str | dict[str, str] | None, NoDecode, TEXT_OR_JSON] = Field(
        default=None,
        description="`package.module:name` of an `agents.Agent`, of a function that returns one, or of a workflow that "
        "Agent Builder exported (`my_export:run_workflow`); or a JSON object "
        'of several by workflow id, {"wf_1": "package.module:name"}: a chat session chooses, without one the first '
        "answers.",
    )
    server: str | None = Field(
        default=None,
        description="`package.module:name` of a `ChatKitServer` that answers instead of an agent: a class whose "
        "constructor needs no arguments, an instance, or a function that returns one. Its store is replaced by this "
        "server's.",
    )
    server_context: str | None = Field(
        default=None,
        description="`package.module:name` of a function of the request that returns the context of CHATKIT_SERVER; "
        'without it, the context is {"request": request}. Beside CHATKIT_AGENT, it takes the place of the function '
        "`context` in the agent's module.",
    )
    mcp_servers: Annotated[dict[ServerName, McpSpec], NoDecode, MCP_SERVERS, JSON] = Field(
        default={},
        repr=False,
        description="MCP servers whose tools the agent can use, as JSON by name: "
        '{"files": {"command": "uvx", "args": ["mcp-files"]}, "crm": {"url": "https://crm.example/mcp", "headers": '
        '{"Authorization": "Bearer ..."}}}; also env and cwd for a command, transport (streamable_http or sse) for a '
        "url, tools (use only these), approve (true, or the tools whose calls need the user's approval) and seconds "
        "(time limit of a call).",
    )
    tools: Annotated[list[ToolChoice], NoDecode, CHOICES, EACH_ONCE] = Field(
        default=[],
        description="Tools of the agent that users may ask for, as comma-separated names or as a JSON list, such as "
        '[{"id": "order_status", "label": "Orders", "icon": "suitcase"}]; `tool` names the agent\'s tool if '
        "it differs from the id; short_label, placeholder, pinned and persistent are passed to the widget.",
    )
    prompts: Annotated[list[Prompt] | None, NoDecode, JSON] = Field(
        default=None,
        description="Starter prompts of the page as a JSON list of {label, prompt, icon}; by default some that suit "
        "the model; [] for none.",
    )
    max_turns: int = Field(default=10, ge=1, description="How many times an agent may call its model in one turn.")
    history_tokens: int = Field(
        default=100_000,
        ge=500,
        description="About how many tokens of a conversation are replayed to the model; the oldest turns are dropped "
        "first, the newest never.",
    )
    history_cache_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=0,
        description="How many bytes of conversations each worker keeps in the form that the model gets, so that the "
        "next turn of a long one only reads what is new; 0 keeps none.",
    )
    workflow_history: bool = Field(
        default=True,
        description="Put the conversation so far before the input of an exported workflow's agents; false: they know "
        "only the last message.",
    )
    show_tools: bool = Field(
        default=True, description="Show above an answer which tools the agent calls, and handoffs to other agents."
    )
    tracing: bool = Field(
        default=False,
        description="Let the Agents SDK upload traces, including all messages, to OpenAI. "
        "Only for OpenAI's own endpoint.",
    )
