"""Save a run that has ended, as the Agents SDK's `RunState` in JSON (agents 0.24), and rebuild its result."""

import json
import sys
from typing import Any

from agents import (
    Agent,
    AgentOutputSchema,
    AgentOutputSchemaBase,
    RunContextWrapper,
    RunResultStreaming,
    RunState,
    ToolCallOutputItem,
)
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from ..interactions.saved_run import Json, plain_context, restore_context


def finished_run(result: RunResultStreaming) -> Json:
    """Return the run as JSON."""
    state = result.to_state().to_json(context_serializer=lambda _: {})
    state["context"]["context"] = plain_context(result.context_wrapper.context)
    return {
        "state": state,
        "output": to_jsonable_python(result.final_output, fallback=str),
        "is_from_tool": bool(result.new_items) and isinstance(result.new_items[-1], ToolCallOutputItem),
        "is_rewritten": result._replay_from_model_input_items,
    }


def failed_run(error: Exception) -> Json:
    """Return a run that raised an error as JSON."""
    return {"error": [type(error).__module__, type(error).__qualname__, str(error)]}


async def restore_result(saved: Json, agent: Agent[Any], context: Any) -> RunResultStreaming:
    """Return the result of the run with everything that its author may read of it. It has no events left.

    `agent` is as it is configured now. Values that tools wrote to a dict that is the run's context are in it again.
    Raises the error that the run raised, as far as it can be rebuilt.
    """
    if "error" in saved:
        raise _error(*saved["error"])
    restore_context(saved["state"]["context"]["context"], context)
    wrapper: RunContextWrapper[Any] = RunContextWrapper(context)
    state: RunState[Any, Agent[Any]] = await RunState.from_json(agent, saved["state"], context_override=wrapper)
    last = state._current_agent or agent
    result = RunResultStreaming(
        input=state._original_input,
        new_items=state._session_items,
        raw_responses=state._model_responses,
        final_output=saved["output"] if saved["is_from_tool"] else _output(saved["output"], last),
        input_guardrail_results=state._input_guardrail_results,
        output_guardrail_results=state._output_guardrail_results,
        tool_input_guardrail_results=state._tool_input_guardrail_results,
        tool_output_guardrail_results=state._tool_output_guardrail_results,
        context_wrapper=wrapper,
        current_agent=last,
        current_turn=state._current_turn,
        max_turns=state._max_turns,
        _current_agent_output_schema=None,
        trace=None,
        is_complete=True,
        _model_input_items=state._generated_items,
        _last_processed_response=state._last_processed_response,
    )
    result._replay_from_model_input_items = saved["is_rewritten"]
    result._starting_agent_for_state = agent
    return result


def _output(data: Any, agent: Agent[Any]) -> Any:
    output_type: Any = agent.output_type
    if isinstance(output_type, AgentOutputSchema):  # it would expect what the model wrote, with a wrapper
        output_type = output_type.output_type
    if data is None or output_type is None or output_type is str:
        return data
    text = json.dumps(data)
    if isinstance(output_type, AgentOutputSchemaBase):
        return output_type.validate_json(text)
    return TypeAdapter(output_type).validate_json(text)


def _error(module: str, name: str, text: str) -> Exception:
    kind = getattr(sys.modules.get(module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return RuntimeError(text)
    error: Exception = kind.__new__(kind)  # the arguments of its class are not known
    error.args = (text,)
    if hasattr(kind, "message") or module.startswith(("agents.", "openai")):
        error.message = text  # type: ignore[attr-defined]  # what the SDKs' errors print
    return error
