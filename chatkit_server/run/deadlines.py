"""How long a run may be silent. A model that says nothing would be an endless spinner: the widget has no time limit."""

import asyncio
from dataclasses import dataclass
from typing import Any

from agents import AgentUpdatedStreamEvent, RunItemStreamEvent

from ..agent_context import AsideEvent, Inbox, RunEnd
from ..errors.failures import ModelSilent, ToolSilent

MAX_WAIT = 86_400.0
"""Seconds; event loops refuse a timer that is never due."""

CHECKS = 8
"""The shortest limit is looked at this often, so a silence may last an eighth of that longer."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds."""

    first_event: float
    silence: float
    tool: float
    stop: float
    """How long a run that was too slow gets to put its tools down."""


class Watch:
    """Ends a run that has been silent for too long. Costs the hot path one addition (`seen`)."""

    def __init__(self, inbox: Inbox, deadlines: Deadlines) -> None:
        self.seen = 0
        self._inbox = inbox
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._tools = 0
        self._known: tuple[int, float] = (0, self._loop.time())
        shortest = min(deadlines.first_event, deadlines.silence, deadlines.tool, MAX_WAIT)
        self._interval = shortest / CHECKS
        self._timer = self._loop.call_later(self._interval, self._look)

    def note(self, event: Any) -> None:
        """Tells a running tool, which is no silence, from a model that does not answer."""
        if isinstance(event, RunItemStreamEvent):
            self._tools += {"tool_called": 1, "tool_output": -1}.get(event.name, 0)
        elif isinstance(event, AgentUpdatedStreamEvent | AsideEvent):
            self.seen -= 1  # the SDK's own, before any model was asked; or none of this run's
        elif getattr(event, "type", "") == "response.created":
            self._tools = 0  # a hosted tool has no output event

    def stop(self) -> None:
        """The run is over."""
        self._timer.cancel()

    def _limit(self) -> float:
        if self._tools > 0:
            return self._deadlines.tool
        return self._deadlines.silence if self.seen else self._deadlines.first_event

    def _look(self) -> None:
        now, limit = self._loop.time(), self._limit()
        if self.seen != self._known[0] or not self._inbox.empty():  # a busy reader is no silent model
            self._known = (self.seen, now)
        if now - self._known[1] >= limit:
            self._inbox.put_nowait(RunEnd(ToolSilent() if self._tools > 0 else ModelSilent()))
            return
        self._timer = self._loop.call_later(self._interval, self._look)
