"""A paused call of a function, which the user's decision runs again."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from agents import Agent, RunContextWrapper
from chatkit.types import ThreadStreamEvent

from chatkit_store import PausedRun

from ..agent_context import AgentContext
from ..interactions.saved_run import SavedRun
from .run_recording import RunRecording

Replay = Callable[[RunRecording], Awaitable[AsyncGenerator[ThreadStreamEvent, None]]]
"""Calls the function again and returns its events."""


class RecordedTurn:
    """Implements `interactions.saved_run.ResumableRun`."""

    def __init__(self, saved: SavedRun, replay: Replay) -> None:
        self._recording = RunRecording(saved.recording, saved if saved.has_run else None)
        self._replay = replay

    def decide(self, run: PausedRun) -> None:
        """As `ResumableRun.decide`."""
        self._recording.decide(run)

    async def events(self) -> AsyncGenerator[ThreadStreamEvent, None]:
        """As `ResumableRun.events`."""
        async with aclosing(await self._replay(self._recording)) as events:
            async for event in events:
                yield event


async def can_resume(saved: SavedRun, agents: Iterable[Agent[Any]], context: AgentContext) -> bool:
    """Return False if the agent that waits is among `agents` and has changed. An agent that the function makes itself
    shows only in the replay whether it fits."""
    agent = next((agent for agent in agents if agent.name == saved.run.agent), None)
    if not saved.has_run or agent is None:
        return True
    return await saved.restore(agent, RunContextWrapper(context.run_context)) is not None
