"""Limit how long a run may be silent. Without a limit the spinner would never end: the widget has no timeout."""

from dataclasses import dataclass
from time import monotonic
from typing import Any, Self

from agents import AgentUpdatedStreamEvent, RunItemStreamEvent

from ..agent_context import OutsideEvent, RunEnd
from ..errors.failures import ModelSilent, ToolSilent
from ..fast_path.inbox import Inbox
from ..fast_path.shared_clock import clock
from ..settings import Settings

MAX_WAIT = 86_400.0
"""Seconds; event loops reject an infinite timer."""

CHECKS = 8
"""Checks per shortest limit: a silence is noticed at most an eighth of that limit late."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that a run may be silent."""

    first_event: float
    """Until the model's first event."""
    silence: float
    """Between two later events."""
    tool: float
    """While a tool runs."""
    stop: float
    """For tools to clean up after a deadline or a guardrail ended the run."""

    @classmethod
    def of_settings(cls, settings: Settings) -> Self:
        """Return the deadlines of the settings."""
        return cls(
            first_event=settings.first_event_seconds,
            silence=settings.silence_seconds,
            tool=settings.tool_seconds,
            stop=settings.stop_seconds,
        )


class Activity:
    """What a run is waiting for: a tool, or the model; and for how long it may."""

    __slots__ = ("_deadlines", "_running_tools", "event_count")

    def __init__(self, deadlines: Deadlines) -> None:
        self.event_count = 0
        """How many events have shown that the run is alive."""
        self._deadlines = deadlines
        self._running_tools = 0

    def note(self, event: Any) -> None:
        """Track what the run is waiting for, after `event_count` was increased for the event."""
        if isinstance(event, RunItemStreamEvent):
            self._running_tools += {"tool_called": 1, "tool_output": -1}.get(event.name, 0)
        elif isinstance(event, AgentUpdatedStreamEvent | OutsideEvent):
            self.event_count -= 1  # neither shows that the model is alive
        elif getattr(event, "type", "") == "response.created":
            self._running_tools = 0  # hosted tools have no output event

    def limit(self) -> float:
        """Return how many seconds of silence there may be now."""
        if self._running_tools > 0:
            return self._deadlines.tool
        return self._deadlines.silence if self.event_count else self._deadlines.first_event

    def silence(self) -> ModelSilent | ToolSilent:
        """Return the error of a silence that was too long."""
        return ToolSilent() if self._running_tools > 0 else ModelSilent()


class SilenceWatch(Activity):
    """Ends a run that has been silent for too long.

    Per event the run only increments `event_count`; a timer checks whether it has changed.
    """

    __slots__ = ("_clock", "_inbox", "_interval", "_last_change", "_last_count", "_timer")

    def __init__(self, inbox: Inbox, deadlines: Deadlines) -> None:
        super().__init__(deadlines)
        self._inbox = inbox
        self._clock = clock()
        self._last_count = 0
        self._last_change = monotonic()
        shortest = min(deadlines.first_event, deadlines.silence, deadlines.tool, MAX_WAIT)
        self._interval = shortest / CHECKS
        self._timer = self._clock.call_later(self._interval, self._check)

    def stop(self) -> None:
        """Stop watching."""
        self._timer.cancel()

    def _check(self) -> None:
        now = monotonic()
        # An event that waits in the inbox means that our reader is busy, not that the model is silent.
        if self.event_count != self._last_count or not self._inbox.empty():
            self._last_count, self._last_change = self.event_count, now
        if now - self._last_change >= self.limit():
            self._inbox.put_nowait(RunEnd(self.silence()))
            return
        self._timer = self._clock.call_later(self._interval, self._check)
