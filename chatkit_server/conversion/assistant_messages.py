"""Convert assistant messages: text, refusals and citations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar

from chatkit.agents import ResponseStreamConverter
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItemDoneEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
)
from openai.types.responses.response_output_text import Annotation as ResponsesAnnotation
from pydantic import BaseModel, TypeAdapter

from ..agent_context import AgentContext
from ..models.incoming.citations import clean_citation
from .open_workflow import OpenWorkflow
from .shown_items import Events, Handlers, ShownItems

_ANNOTATION: TypeAdapter[Any] = TypeAdapter(ResponsesAnnotation)


@dataclass
class _Message:
    """An assistant message while it streams."""

    item: AssistantMessageItem
    annotations: dict[int, list[Annotation]] = field(default_factory=dict)
    is_finished: bool = False


class AssistantMessages:
    """The messages of the current response, by output index."""

    def __init__(
        self, context: AgentContext, converter: ResponseStreamConverter, shown_items: ShownItems, workflow: OpenWorkflow
    ) -> None:
        self._context = context
        self._converter = converter
        self._shown_items = shown_items
        self._workflow = workflow
        self._messages: dict[int, _Message] = {}
        self.parts: dict[tuple[int, int], str] = {}
        """Message id by (output index, content index), for each part that the client has been sent."""
        self.refused = False
        """Whether the run contains a refusal."""
        self.render: Callable[[str], str] | None = None
        """Renders the JSON of an agent with an output type. Until it is complete, none of it is shown."""
        self.is_shown = False
        """Whether the current response has shown text, after the last output of a tool."""
        self._finished_count = 0

    def clear(self) -> None:
        """Start the next response."""
        self._messages.clear()
        self.parts.clear()
        self.is_shown = False
        self._finished_count = 0

    def announce(self, output_index: int) -> Events:
        """Show the message at this index, if it is not shown yet. Some providers stream text without adding an item."""
        if output_index in self._messages or self.render is not None:
            return []
        return self._announce(output_index)

    def _announce(self, output_index: int) -> Events:
        item = AssistantMessageItem(
            id=self._context.generate_id("message"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(UTC),
            content=[],
        )
        self._messages[output_index] = _Message(item)
        return [*self._workflow.close(), self._shown_items.show(item.model_copy())]

    async def finish(self, event: Any) -> Events:
        """Complete a message."""
        self._finished_count += 1
        is_refusal = any(part.type == "refusal" for part in event.item.content or [])
        self.refused |= is_refusal
        if self.render is not None and not is_refusal:
            return self._show_rendered(event.item, self.render)
        events = [] if event.output_index in self._messages else self._announce(event.output_index)
        message = self._messages[event.output_index]
        message.is_finished = True
        self.is_shown |= any(getattr(part, "text", "") for part in event.item.content or []) or is_refusal
        item = message.item.model_copy(update={"content": await self._final_content(message, event.item)})
        self._shown_items.transcript.complete_message(item.id, event.item)
        return [*events, ThreadItemDoneEvent(item=item)]

    async def finish_unannounced(self, items: Sequence[Any]) -> Events:
        """Complete the messages of a finished response that no event has completed."""
        events: Events = []
        for item in items[self._finished_count :]:
            unfinished = [index for index, message in self._messages.items() if not message.is_finished]
            index = unfinished[0] if unfinished else max(self._messages, default=-1) + 1
            events += await self.finish(SimpleNamespace(output_index=index, item=item))
        return events

    def show(self, text: str) -> Events:
        """Show a message that is not the model's own text."""
        item = AssistantMessageItem(
            id=self._context.generate_id("message"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(UTC),
            content=[AssistantMessageContent(text=text)],
        )
        self.is_shown = True
        added = self._shown_items.show(item.model_copy(update={"content": []}))
        return [*self._workflow.close(), added, ThreadItemDoneEvent(item=item)]

    def _show_rendered(self, message: Any, render: Callable[[str], str]) -> Events:
        """Show what the user reads of a message in JSON. The model's own history keeps the JSON."""
        source = "".join(part.text for part in message.content or [] if part.type == "output_text")
        text = render(source)
        self.is_shown = True  # also if the author decided to show nothing
        if not text:
            self._shown_items.transcript.leave_out("message")  # reasoning before it is not that of what follows
            return []
        events = self.show(text)
        if isinstance(done := events[-1], ThreadItemDoneEvent):
            self._shown_items.transcript.complete_message(done.item.id, message, text=source)
        return events

    async def _part_added(self, event: Any) -> Events:
        if event.part.type == "reasoning_text" or (self.render is not None and event.part.type == "output_text"):
            return []
        return self._open_part(event, await self._content(event.part))

    def _open_part(self, event: Any, content: AssistantMessageContent | None = None) -> Events:
        """Add the part, if the client does not have it. Some providers stream text into a part they never added."""
        key = (event.output_index, event.content_index)
        if key in self.parts:
            return []
        events = [] if event.output_index in self._messages else self._announce(event.output_index)
        self.is_shown = True
        self.parts[key] = self._messages[event.output_index].item.id
        added = AssistantMessageContentPartAdded(
            content_index=event.content_index, content=content or AssistantMessageContent(text="")
        )
        return [*events, self._update(event, added)]

    async def _text_done(self, event: Any) -> Events:
        if self.render is not None:
            return []
        message = self._messages.get(event.output_index)
        annotations = list(message.annotations.get(event.content_index, [])) if message else []
        content = AssistantMessageContent(text=event.text, annotations=annotations)
        update = AssistantMessageContentPartDone(content_index=event.content_index, content=content)
        return [*self._open_part(event), self._update(event, update)]

    async def _text_delta(self, event: Any) -> Events:
        return [] if self.render is not None else await self._unannounced_delta(event)

    async def _unannounced_delta(self, event: Any) -> Events:
        events = self._open_part(event)
        return [*events, text_delta_event(self._messages[event.output_index].item.id, event)]

    async def _refusal_done(self, event: Any) -> Events:
        content = AssistantMessageContent(text=event.refusal)
        update = AssistantMessageContentPartDone(content_index=event.content_index, content=content)
        return [*self._open_part(event), self._update(event, update)]

    async def _annotation_added(self, event: Any) -> Events:
        annotation = None if self.render is not None else await self._annotation(event.annotation)
        if annotation is None:
            return []
        # Our own index, because an annotation that cannot be converted must not leave a gap.
        events = self._open_part(event)
        annotations = self._messages[event.output_index].annotations.setdefault(event.content_index, [])
        annotations.append(annotation)
        update = AssistantMessageContentPartAnnotationAdded(
            content_index=event.content_index, annotation_index=len(annotations) - 1, annotation=annotation
        )
        return [*events, self._update(event, update)]

    def _update(self, event: Any, update: ThreadItemUpdate) -> ThreadItemUpdatedEvent:
        return ThreadItemUpdatedEvent(item_id=self._messages[event.output_index].item.id, update=update)

    async def _final_content(self, message: _Message, item: Any) -> list[AssistantMessageContent]:
        contents = [await self._content(part) for part in item.content or []]
        for index, content in enumerate(contents):
            content.annotations = content.annotations or list(message.annotations.get(index, []))
        return contents

    async def _content(self, part: Any) -> AssistantMessageContent:
        if part.type == "refusal":
            return AssistantMessageContent(text=part.refusal)
        converted = [await self._annotation(raw, len(part.text)) for raw in part.annotations or []]
        return AssistantMessageContent(text=part.text, annotations=list(filter(None, converted)))

    async def _annotation(self, raw: Any, length: int | None = None) -> Annotation | None:
        """Return the citation as ChatKit's, or None if it cannot be shown; `length` is that of its text, if known."""
        # The openai client may return a dict or the wrong class here, so it is validated again.
        fields = clean_citation(raw.model_dump(warnings=False) if isinstance(raw, BaseModel) else raw, length)
        if fields is None:
            return None
        annotation = _ANNOTATION.validate_python(fields)
        match annotation.type:
            case "url_citation":
                return await self._converter.url_citation_to_annotation(annotation)
            case "file_citation":
                return await self._converter.file_citation_to_annotation(annotation)
            case "container_file_citation":
                return await self._converter.container_file_citation_to_annotation(annotation)
        return None

    HANDLERS: ClassVar[Handlers] = {
        "response.content_part.added": _part_added,
        "response.output_text.delta": _text_delta,
        "response.output_text.done": _text_done,
        "response.output_text.annotation.added": _annotation_added,
        "response.refusal.delta": _unannounced_delta,
        "response.refusal.done": _refusal_done,
    }


def text_delta_event(item_id: str, event: Any) -> ThreadItemUpdatedEvent:
    """Return the event of one text delta of an answer or a refusal. Runs once per token."""
    update = AssistantMessageContentPartTextDelta(content_index=event.content_index, delta=event.delta)
    return ThreadItemUpdatedEvent(item_id=item_id, update=update)
