"""Hold the end of an answer's last item back until its run ends, which is usually known at the same time.

Then the item is saved in the transaction that ends the turn, instead of one of its own.
"""

from typing import Any

from chatkit.types import ThreadItemDoneEvent, ThreadStreamEvent
from openai.types.responses import ResponseCompletedEvent, ResponseOutputItemDoneEvent

from ..events.last_item import LastItemDoneEvent
from ..fast_path.inbox import Inbox
from ..fast_path.shared_clock import clock

HOLD_SECONDS = 0.05
"""How long the end of the item waits at most."""
HELD_LONG: Any = object()
"""In the inbox: the end of the item has waited so long."""


class HeldItem:
    """The events of one run that wait for its end; the last of them is that of its last item."""

    def __init__(self, inbox: Inbox) -> None:
        """`inbox` has what is known of the run to come."""
        self._inbox = inbox
        self._events: list[ThreadStreamEvent] = []

    @property
    def is_held(self) -> bool:
        """Whether events wait."""
        return bool(self._events)

    def is_expected(self, event: Any) -> bool:
        """Return whether this event completes the only message of a response that calls nothing and is complete."""
        following = self._inbox.first
        if type(event) is not ResponseOutputItemDoneEvent or type(following) is not ResponseCompletedEvent:
            return False
        kinds = [item.type for item in following.response.output]
        return event.item.type == "message" and kinds.count("message") == 1 and set(kinds) <= {"message", "reasoning"}

    def hold(self, events: list[ThreadStreamEvent]) -> None:
        """Hold the events of the item back."""
        self._events = events
        self._wait = clock().call_later(HOLD_SECONDS, self._held_long)

    def take(self, *, is_end: bool = False) -> list[ThreadStreamEvent]:
        """Return the events that wait, once; `is_end` says that nothing follows."""
        if not self._events:
            return []
        events, self._events = self._events, []
        self._wait.cancel()
        if is_end and type(done := events[-1]) is ThreadItemDoneEvent:
            events[-1] = LastItemDoneEvent.model_construct(item=done.item)
        return events

    def _held_long(self) -> None:
        self._inbox.put_nowait(HELD_LONG)
