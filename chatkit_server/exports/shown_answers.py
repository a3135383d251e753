"""What a turn has shown of the answers so far, so that what the workflow returns is shown once."""

from collections.abc import Iterator, Mapping
from typing import Any

from chatkit.types import (
    AssistantMessageItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadStreamEvent,
)
from pydantic_core import to_jsonable_python

NO_ANSWERS = frozenset({"workflow", "task", "hidden_context_item", "sdk_hidden_context"})
"""Types of items that show work, or nothing."""


class ShownAnswers:
    """The items that the turn has shown, by id."""

    def __init__(self, texts: dict[str, str], message: str) -> None:
        """`texts` are those of the answers so far, by item id; it is filled here. `message` is the user's."""
        self._texts = texts
        self._message = message
        self._ids = set(texts)
        self._outputs: list[Any] = []
        self._is_followed = False
        """Whether an answer has followed the last step."""
        self.unread: Any = None
        """The output of the last step of this call, unless an answer has followed it."""

    @property
    def texts(self) -> frozenset[str]:
        """The texts of the answers."""
        return frozenset(self._texts.values())

    @property
    def known_texts(self) -> set[str]:
        """The user's message, and what steps have found: no news beside an answer."""
        return {self._message.strip(), *(text.strip() for output in self._outputs for text in _texts_in(output))}

    @property
    def is_empty(self) -> bool:
        """Whether the user has nothing that could be an answer."""
        return not self._ids

    def note_output(self, output: Any) -> None:
        """Note the output of a step."""
        self.repeat(output, is_step=True)
        self.unread = output

    def repeat(self, output: Any, *, is_step: bool) -> None:
        """Note the output of a run that an earlier call has shown."""
        self._is_followed = not is_step
        if is_step:
            self._outputs.append(to_jsonable_python(output, fallback=str))

    def has_followed(self, data: Mapping[str, Any]) -> bool:
        """Return whether an answer has followed the step that these fields come from: the user needs them no more."""
        return self._is_followed and any(
            isinstance(output, Mapping) and data.items() <= output.items() for output in self._outputs
        )

    def note(self, event: ThreadStreamEvent) -> None:
        """Note an event of a run."""
        match event:
            case ThreadItemRemovedEvent():
                self._ids.discard(event.item_id)
                self._texts.pop(event.item_id, None)
            case ThreadItemAddedEvent() | ThreadItemDoneEvent() if event.item.type not in NO_ANSWERS:
                self._ids.add(event.item.id)
                self.unread, self._is_followed = None, True
                if isinstance(event, ThreadItemDoneEvent) and isinstance(event.item, AssistantMessageItem):
                    self._texts[event.item.id] = "".join(part.text for part in event.item.content).strip()
            case _:
                pass


def _texts_in(data: Any) -> Iterator[str]:
    match data:
        case str():
            yield data
        case dict():
            for entry in data.values():
                yield from _texts_in(entry)
        case list():
            for entry in data:
                yield from _texts_in(entry)
