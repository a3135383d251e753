"""Which items a run has shown: a guardrail's tripwire takes them away again."""

from collections.abc import Awaitable, Callable
from typing import Any

from chatkit.types import (
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadStreamEvent,
)

from ..memory import Transcript

Events = list[ThreadStreamEvent]
Handlers = dict[str, Callable[[Any], Awaitable[Events]]]
"""By the type of the model's event."""


class Shown:
    """The ids of the items that the client knows of this run, in the order in which they appeared."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self._ids: list[str] = []

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._ids

    def show(self, item: ThreadItem, *, is_told: bool = True) -> ThreadItemAddedEvent:
        """The event that makes the item appear; `is_told`: the model shall read it again, as it has no other trace."""
        self._ids.append(item.id)
        if is_told:
            self.transcript.shows(item.id)
        else:
            self.transcript.traces.add(item.id)
        return ThreadItemAddedEvent(item=item)

    def pass_on(self, event: ThreadStreamEvent) -> Events:
        """An event that somebody else made."""
        if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent) and event.item.id not in self._ids:
            self._ids.append(event.item.id)
            self.transcript.shows(event.item.id)
        if isinstance(event, ThreadItemRemovedEvent) and event.item_id in self._ids:
            self._ids.remove(event.item_id)
        return [event]

    def remove_all(self) -> Events:
        """The events that take everything away."""
        return [ThreadItemRemovedEvent(item_id=item_id) for item_id in self._ids]
