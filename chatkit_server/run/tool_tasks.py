"""The tasks in which tools of a cancelled run still clean up."""

import asyncio
from typing import Any

from agents import RunContextWrapper

from ..agent_context import AgentContext, turn_context
from ..errors.author_code import ContainedCoroutine


def tool_tasks(run: RunContextWrapper[Any], turn: AgentContext | None = None) -> set[asyncio.Task[Any]]:
    """Return the Agents SDK's tasks in which tools of this run, or of runs nested in its tools, still clean up.

    `turn` is the turn whose run it is, if the run has a context of the author's own.
    """
    return {task for task in asyncio.all_tasks() - {asyncio.current_task()} if _belongs_to(task, run, turn)}


def _belongs_to(task: asyncio.Task[Any], run: RunContextWrapper[Any], turn: AgentContext | None) -> bool:
    """Return whether the SDK started this task for this run.

    This reads the local variables of another task's coroutine, because there is no other way (agents 0.24): when a run
    is cancelled, the SDK cancels its tool tasks without awaiting them, keeps no public reference to them, and names
    none of them. Tool hooks do not help, they run in other tasks. What identifies such a task is the
    `RunContextWrapper` it was started with: it has the `usage` object of the run, or our context. An author's own
    context would not do: several turns may share it. There, it is the turn that the task inherited as a context
    variable. Tasks that a tool itself starts are not matched: their code is not in `agents.*`. If the SDK changes how
    it starts tools, nothing matches, and a cancelled tool may outlive its turn:
    tests/turns/test_tools_of_a_stopped_turn.py fails then.

    To ask upstream: let `RunResultStreaming.cancel()` be awaited until its tool tasks have ended, or expose the tasks.
    """
    coroutine = task.get_coro()
    frame = getattr(coroutine, "cr_frame", None)
    if frame is None or not str(frame.f_globals.get("__name__")).startswith("agents."):
        return False
    wrappers = [value for value in frame.f_locals.values() if isinstance(value, RunContextWrapper)]
    context = run.context if isinstance(run.context, AgentContext) else run
    if any(wrapper.usage is run.usage or wrapper.context is context for wrapper in wrappers):
        return True
    inherits = isinstance(coroutine, ContainedCoroutine) and coroutine.context.get(turn_context) is turn is not None
    return bool(wrappers) and inherits
