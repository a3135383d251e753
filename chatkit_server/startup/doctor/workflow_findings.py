"""What an exported workflow has that fails or is unfinished, as far as its source shows."""

import inspect
from collections.abc import Iterator
from pathlib import Path

from ...agents.exported_workflow import ExportedWorkflow
from ..export_check import faults_of
from .finding import Finding


def examine_workflow(name: str, workflow: ExportedWorkflow) -> Iterator[Finding]:
    """Yield the workflow with its agents, then what `migrate-workflow` says must be changed or is missing."""
    agents = ", ".join(agent.name for agent in workflow.agents)
    yield Finding(name, f"{workflow.title}, a workflow" + (f" of the agents {agents}" if agents else ""))
    path = Path(inspect.unwrap(workflow.function).__code__.co_filename)
    for note in faults_of(path) if path.suffix == ".py" and path.exists() else []:
        yield Finding(name, f"{path.name}, {note}" if note.line else f"{path.name}: {note}", "WARN")
