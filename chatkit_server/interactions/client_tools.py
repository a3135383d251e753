"""Tools that run in the page. The function's signature and docstring describe the tool; its body never runs:

    @client_tool
    async def get_selection(as_markdown: bool):
        '''Return what the user has selected in the page.'''

The agent's run ends with the call, and the page's answer resumes it. If the model calls several of them at once, the
page runs one after the other.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from agents import FunctionTool, function_tool
from agents.function_schema import function_schema
from agents.tool_context import ToolContext
from chatkit.types import ClientToolCallItem, ThreadItem
from pydantic import BaseModel, ValidationError

from ..agent_context import AgentContext
from ..memory.call_pairs import client_tool_output

PLACEHOLDER = "The user's page was asked to do this. Its answer follows."
"""The tool's output in the run that ends with the call; the page's answer replaces it."""

Function = Callable[..., Any]


@overload
def client_tool(function: Function) -> FunctionTool: ...
@overload
def client_tool(*, name: str | None = None, description: str | None = None) -> Callable[[Function], FunctionTool]: ...
def client_tool(
    function: Function | None = None, *, name: str | None = None, description: str | None = None
) -> FunctionTool | Callable[[Function], FunctionTool]:
    """Make a tool for an agent's `tools`, which the page answers in its `onClientTool`.

    `name` and `description` override the function's own. Raises what `agents.function_tool` raises for a signature that
    it cannot describe. The agent has to run in a turn of `ChatServer`, with any context, or with an
    `AgentContext`.
    """

    def decorate(function: Function) -> FunctionTool:
        tool = function_tool(function, name_override=name, description_override=description)
        schema = function_schema(function, name_override=name, description_override=description)
        return replace(tool, on_invoke_tool=_call_page(tool.name, schema.params_pydantic_model))

    return decorate if function is None else decorate(function)


def with_page_outputs(state: Any, items: Sequence[ThreadItem]) -> Any:
    """Return the JSON of a paused run with `PLACEHOLDER` replaced by what the page has answered since."""
    completed = (item for item in items if isinstance(item, ClientToolCallItem) and item.status == "completed")
    outputs = {item.call_id: client_tool_output(item) for item in completed}
    return _with_outputs(state, outputs) if outputs else state


def _with_outputs(value: Any, outputs: Mapping[str, str]) -> Any:
    match value:
        case {"type": "function_call_output", "call_id": str() as call_id} if call_id in outputs:
            return value | {"output": outputs[call_id]}
        case dict():
            return {name: _with_outputs(entry, outputs) for name, entry in value.items()}
        case list():
            return [_with_outputs(entry, outputs) for entry in value]
    return value


def _call_page(name: str, parameters: type[BaseModel]) -> Callable[[ToolContext[Any], str], Any]:
    async def invoke(context: ToolContext[Any], arguments: str) -> str:
        try:
            values = parameters.model_validate_json(arguments or "{}")
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            return f"Error: the arguments are invalid: {json.dumps(faults)}. Correct them and try again."
        chat, given = AgentContext.of(context), values.model_dump(mode="json", exclude_unset=True)
        chat.call_client_tool(name, given, context.tool_call_id)
        return PLACEHOLDER

    return invoke
