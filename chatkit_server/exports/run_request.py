"""A run that the workflow asks for."""

import asyncio
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from agents import Agent, RunResultStreaming

from ..agents.turn_runner import RunInput, RunOptions
from .followed_run import FollowedRun


@dataclass(frozen=True, eq=False)
class RunRequest:
    """A `Runner.run` that waits for its result, or a `Runner.run_streamed` that waits to be shown."""

    place: str
    """See `RunRecording`."""
    agent: Agent[Any]
    input: RunInput
    options: RunOptions
    context: Context
    """The context variables of the caller, such as the current trace."""
    result: "asyncio.Future[RunResultStreaming]"
    followed: FollowedRun | None = None
    """The run, if it has started because the workflow reads its events."""
