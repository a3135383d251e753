"""How the workflow of an export will look in the chat."""

import ast
from collections.abc import Iterator

from .export_file import Export
from .note import Note
from .syntax_tree import Function, argument, assigned, calls, dotted, entries, text_of

RUNS = {"Runner.run", "Runner.run_streamed", "Runner.run_sync"}


def describe_workflow(export: Export, workflow: Function) -> Iterator[Note]:
    """Yield the entry, the agents with what users see of them, and what is not as in Agent Builder."""
    title = next(
        (text for call in calls(workflow, "trace") if (text := text_of(argument(call, "workflow_name", 0)))), None
    )
    name = f'`{workflow.name}` is the workflow "{title}"' if title else f"`{workflow.name}` is the workflow"
    ids = f"; sessions named it {', '.join(export.workflow_ids)}" if export.workflow_ids else ""
    yield Note("ok", f"{name}{ids}.", workflow.lineno)
    structured = [variable for variable, call in export.agents.items() if _is_structured(call)]
    streaming = [_name(call, variable) for variable, call in export.agents.items() if variable not in structured]
    if streaming:
        yield Note("ok", f"Answers in text, which stream as messages: {', '.join(streaming)}.")
    if structured:
        names = ", ".join(_name(export.agents[variable], variable) for variable in structured)
        yield Note("ok", f"Structured output, which shows as a step: {names}.")
    for variable in structured:
        if variable in _runs(workflow).values() and not _is_read(workflow, variable):
            yield Note(
                "NOTE",
                f"The workflow reads no field of the output of {_name(export.agents[variable], variable)}. If Agent "
                "Builder made a widget of it: the export does not contain the widget.",
                export.agents[variable].lineno,
            )
    if variables := _state(workflow):
        yield Note("ok", f"`state_variables` of a session replace the defaults of `state`: {', '.join(variables)}.")
    if fields := export.required_fields:
        names = ", ".join(fields)
        yield Note("NEEDS", f"`state_variables` of each session with {names}, which the workflow's input demands.")
    if not any(dotted(call.func) in RUNS for call in calls(export.tree, "run", "run_streamed", "run_sync")):
        yield Note("NOTE", "The workflow runs no agent: only what it returns is shown.", workflow.lineno)
    if list(calls(workflow, "trace")):
        yield Note("NOTE", "`trace` uploads nothing unless CHATKIT_TRACING=true; evaluations of traces need that.")


def _state(workflow: Function) -> list[str]:
    """Return the variables with which the workflow starts."""
    return next((list(entries(value)) for name, value, _ in assigned(workflow, ast.Dict) if name == "state"), [])


def _is_structured(agent: ast.Call) -> bool:
    output_type = argument(agent, "output_type")
    return output_type is not None and dotted(output_type) != "str"


def _name(agent: ast.Call, variable: str) -> str:
    return text_of(argument(agent, "name", 0)) or variable


def _runs(workflow: Function) -> dict[str, str]:
    """Return the agents that the workflow runs, by the variable of the result."""
    runs = {}
    for name, value, _ in assigned(workflow):
        call = value.value if isinstance(value, ast.Await) else value
        if isinstance(call, ast.Call) and dotted(call.func) in RUNS:
            agent = argument(call, "starting_agent", 0)
            runs[name] = dotted(agent) if agent is not None else ""
    return runs


def _is_read(workflow: Function, agent: str) -> bool:
    """Return whether the workflow reads a field of the structured output of an agent."""
    results = {name for name, variable in _runs(workflow).items() if variable == agent}
    copies = {
        name
        for name, value, _ in assigned(workflow, ast.Dict)
        if results & {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    }
    for node in ast.walk(workflow):
        match node:
            case ast.Subscript(value=ast.Name(id=name)) if name in copies:
                return True
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=name), attr="final_output"), attr=field) if (
                name in results and field not in {"json", "model_dump", "model_dump_json"}
            ):
                return True
            case _:
                pass
    return False
