"""What the events of an Agents SDK run mean for a ChatKit thread.

Different from chatkit 1.6.5, on purpose (the numbers are traps): every output item gets an id of the store's, because
Chat Completions models call everything `__fake_id__` (T5, T6); thoughts are found by position (T33); `reasoning_text`
counts as thinking and empty workflows vanish (T34); citations stay when the text is done (T35); refusals stream and
are answers, no errors (T36); the client tool call takes the call id of the tool that asked for it (T31, T32).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from agents import (
    InputGuardrailTripwireTriggered,
    ModelBehaviorError,
    ModelRefusalError,
    OutputGuardrailTripwireTriggered,
    RunItemStreamEvent,
    StreamEvent,
)
from agents.items import TResponseStreamEvent
from chatkit.agents import ResponseStreamConverter
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientToolCallItem,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)
from openai.types.responses.response_output_text import Annotation as ResponsesAnnotation
from pydantic import TypeAdapter

from .agent_context import AgentContext, HelperEvent
from .failures import ProviderFailure

Events = list[ThreadStreamEvent]

THOUGHT_INTERVAL = 0.1
"""Seconds between two updates of one thought: each carries its whole text, so one per token would be quadratic."""

_ANNOTATION: TypeAdapter[Any] = TypeAdapter(ResponsesAnnotation)
_GUARDRAILS = (InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered)


@dataclass
class _Message:
    """An assistant message that is being streamed."""

    item: AssistantMessageItem
    annotations: dict[int, list[Annotation]] = field(default_factory=dict)


@dataclass
class _Thought:
    """A thought that is being streamed into the open workflow."""

    workflow_id: str
    index: int
    task: ThoughtTask
    shown_at: float


class Conversion:
    """State of one run. Output items are known by their place in the current response, never by their id."""

    def __init__(self, context: AgentContext, converter: ResponseStreamConverter) -> None:
        self._context = context
        self._converter = converter
        self._messages: dict[int, _Message] = {}
        self._images: dict[int, GeneratedImageItem] = {}
        self._thoughts: dict[tuple[int, str, int], _Thought] = {}
        self._summarized: set[int] = set()
        self.parts: dict[tuple[int, int], str] = {}
        """(output index, content index) of each part of a message that the client knows → the message's id."""
        self._shown: list[str] = []
        self._tool_calls: list[tuple[str, str]] = []
        self._failure: ProviderFailure | None = None
        self._is_cut = False
        self._refused = False
        handlers: dict[str, Callable[[Any], Awaitable[Events]]] = {
            "response.created": self._response_created,
            "response.output_item.added": self._output_item_added,
            "response.output_item.done": self._output_item_done,
            "response.content_part.added": self._content_part_added,
            "response.output_text.delta": self._unannounced_delta,
            "response.output_text.done": self._text_done,
            "response.output_text.annotation.added": self._annotation_added,
            "response.refusal.delta": self._refusal_delta,
            "response.refusal.done": self._refusal_done,
            "response.reasoning_summary_text.delta": self._summary_delta,
            "response.reasoning_summary_text.done": self._summary_done,
            "response.reasoning_text.delta": self._reasoning_delta,
            "response.reasoning_text.done": self._reasoning_done,
            "response.image_generation_call.partial_image": self._partial_image,
            "response.failed": self._response_failed,
            "response.incomplete": self._response_incomplete,
            "error": self._stream_error,
        }
        self._handlers = handlers

    # -- entry points

    async def convert(self, event: HelperEvent | StreamEvent | TResponseStreamEvent) -> Events:
        """What one event of the model, of the run or of a helper means for the thread; often nothing."""
        match event:
            case HelperEvent():
                return self._pass_on(event.event)
            case RunItemStreamEvent(name="tool_called"):
                self._remember_tool_call(event.item.raw_item)
                return []
            case _:
                handler = self._handlers.get(event.type)
                return await handler(event) if handler else []

    def end(self, error: BaseException | None) -> Events:
        """What is left to say when the run is over."""
        if isinstance(error, _GUARDRAILS):
            self._context.workflow_item = None
            return [ThreadItemRemovedEvent(item_id=item_id) for item_id in self._shown]
        if error is not None:
            return self._close_workflow()
        if self._context.client_tool_call is None:
            return self._close_workflow()
        return [*self._suspend_workflow(), self._client_tool_call()]

    def is_answered(self, error: BaseException) -> bool:
        """A refusal that the user has read is the answer, and so is text that ended at its length limit; the SDK raises
        for both (agents 0.24)."""
        is_cut = isinstance(error, ModelBehaviorError) and self._is_cut and bool(self.parts)
        return is_cut or (isinstance(error, ModelRefusalError) and self._refused)

    def cause(self, error: BaseException) -> BaseException:
        """The provider's own error event says more than the exception that the SDK makes of it."""
        if self._failure is not None and isinstance(error, ModelBehaviorError):
            self._failure.__cause__ = error
            return self._failure
        return error

    # -- items

    def _show(self, item: Any) -> ThreadItemAddedEvent:
        self._shown.append(item.id)
        return ThreadItemAddedEvent(item=item)

    def _pass_on(self, event: ThreadStreamEvent) -> Events:
        if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent) and event.item.id not in self._shown:
            self._shown.append(event.item.id)
        if isinstance(event, ThreadItemRemovedEvent) and event.item_id in self._shown:
            self._shown.remove(event.item_id)
        return [event]

    async def _response_created(self, event: Any) -> Events:
        """Output indexes start over with each response of the model."""
        for known in (self._messages, self._images, self._thoughts, self._summarized, self.parts):
            known.clear()
        return []

    def _announce(self, output_index: int) -> Events:
        """Opens the message at this place. Some providers stream text into one that they never added."""
        if output_index in self._messages:
            return []
        item = AssistantMessageItem(
            id=self._context.generate_id("message"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(UTC),
            content=[],
        )
        self._messages[output_index] = _Message(item)
        return [*self._close_workflow(), self._show(item.model_copy())]

    async def _output_item_added(self, event: Any) -> Events:
        match event.item.type:
            case "message":
                return self._announce(event.output_index)
            case "reasoning":
                return self._open_reasoning()
            case "image_generation_call":
                image = self._open_image(event.output_index)
                return [*self._close_workflow(), self._show(image.model_copy())]
        return []

    async def _output_item_done(self, event: Any) -> Events:
        match event.item.type:
            case "message":
                events = self._announce(event.output_index)
                message = self._messages[event.output_index]
                self._refused |= any(part.type == "refusal" for part in event.item.content or [])
                item = message.item.model_copy(update={"content": await self._final_content(message, event.item)})
                return [*events, ThreadItemDoneEvent(item=item)]
            case "image_generation_call" if event.item.result:
                image = self._open_image(event.output_index)
                url = await self._converter.base64_image_to_url(image_id=event.item.id, base64_image=event.item.result)
                image.image = GeneratedImage(id=event.item.id, url=url)
                return [ThreadItemDoneEvent(item=image)]
        return []

    # -- text

    async def _content_part_added(self, event: Any) -> Events:
        if event.part.type == "reasoning_text":
            return []
        return self._open_part(event, await self._content(event.part))

    def _open_part(self, event: Any, content: AssistantMessageContent | None = None) -> Events:
        """A client cannot put text into a part that it was never told of, as some providers do."""
        known = (event.output_index, event.content_index)
        if known in self.parts:
            return []
        events = self._announce(event.output_index)
        self.parts[known] = self._messages[event.output_index].item.id
        added = AssistantMessageContentPartAdded(
            content_index=event.content_index, content=content or AssistantMessageContent(text="")
        )
        return [*events, self._update(event, added)]

    async def _text_done(self, event: Any) -> Events:
        message = self._messages.get(event.output_index)
        annotations = list(message.annotations.get(event.content_index, [])) if message else []
        content = AssistantMessageContent(text=event.text, annotations=annotations)
        update = AssistantMessageContentPartDone(content_index=event.content_index, content=content)
        return [*self._open_part(event), self._update(event, update)]

    async def _unannounced_delta(self, event: Any) -> Events:
        events = self._open_part(event)
        return [*events, text_delta_event(self._messages[event.output_index].item.id, event)]

    async def _refusal_delta(self, event: Any) -> Events:
        return await self._unannounced_delta(event)

    async def _refusal_done(self, event: Any) -> Events:
        content = AssistantMessageContent(text=event.refusal)
        update = AssistantMessageContentPartDone(content_index=event.content_index, content=content)
        return [*self._open_part(event), self._update(event, update)]

    async def _annotation_added(self, event: Any) -> Events:
        annotation = await self._annotation(event.annotation)
        if annotation is None:
            return []
        # Our own index: one that cannot be converted leaves no gap.
        events = self._open_part(event)
        known = self._messages[event.output_index].annotations.setdefault(event.content_index, [])
        known.append(annotation)
        update = AssistantMessageContentPartAnnotationAdded(
            content_index=event.content_index, annotation_index=len(known) - 1, annotation=annotation
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
        annotations = [await self._annotation(raw) for raw in part.annotations or []]
        return AssistantMessageContent(text=part.text, annotations=[known for known in annotations if known])

    async def _annotation(self, raw: Any) -> Annotation | None:
        # The client may hand out a dict or the wrong class here, so it is validated anew.
        annotation = _ANNOTATION.validate_python(raw if isinstance(raw, dict) else raw.model_dump())
        match annotation.type:
            case "url_citation":
                return await self._converter.url_citation_to_annotation(annotation)
            case "file_citation":
                return await self._converter.file_citation_to_annotation(annotation)
            case "container_file_citation":
                return await self._converter.container_file_citation_to_annotation(annotation)
        return None

    # -- thinking

    def _open_reasoning(self) -> Events:
        if self._context.workflow_item is not None:
            return []
        item = self._context.new_workflow_item(Workflow(type="reasoning", tasks=[]))
        self._context.workflow_item = item
        return [self._show(item.model_copy(deep=True))]

    async def _summary_delta(self, event: Any) -> Events:
        self._summarized.add(event.output_index)
        return self._think((event.output_index, "summary", event.summary_index), event.delta)

    async def _summary_done(self, event: Any) -> Events:
        self._summarized.add(event.output_index)
        return self._think((event.output_index, "summary", event.summary_index), event.text, done=True)

    async def _reasoning_delta(self, event: Any) -> Events:
        if event.output_index in self._summarized:  # where there is a summary the raw text says it twice
            return []
        return self._think((event.output_index, "text", event.content_index), event.delta)

    async def _reasoning_done(self, event: Any) -> Events:
        if event.output_index in self._summarized:
            return []
        return self._think((event.output_index, "text", event.content_index), event.text, done=True)

    def _think(self, key: tuple[int, str, int], text: str, *, done: bool = False) -> Events:
        events = self._open_reasoning()
        workflow = self._context.workflow_item
        assert workflow is not None
        thought = self._thoughts.get(key)
        if thought is None or thought.workflow_id != workflow.id:
            if not text:
                return events
            return [*events, self._new_thought(key, workflow, text)]
        thought.task.content = text if done else thought.task.content + text
        if not done and monotonic() - thought.shown_at < THOUGHT_INTERVAL:
            return events
        thought.shown_at = monotonic()
        update = WorkflowTaskUpdated(task=thought.task.model_copy(), task_index=thought.index)
        return [*events, ThreadItemUpdatedEvent(item_id=workflow.id, update=update)]

    def _new_thought(self, key: tuple[int, str, int], workflow: WorkflowItem, text: str) -> ThreadItemUpdatedEvent:
        task = ThoughtTask(content=text)
        tasks = workflow.workflow.tasks
        tasks.append(task)
        self._thoughts[key] = _Thought(workflow.id, len(tasks) - 1, task, monotonic())
        update = WorkflowTaskAdded(task=task.model_copy(), task_index=len(tasks) - 1)
        return ThreadItemUpdatedEvent(item_id=workflow.id, update=update)

    def _close_workflow(self) -> Events:
        """Ends the open workflow; one that holds nothing is taken away again (T34)."""
        workflow = self._context.workflow_item
        if workflow is None:
            return []
        if workflow.workflow.tasks:
            return [self._context.close_workflow()]
        self._context.workflow_item = None
        return self._pass_on(ThreadItemRemovedEvent(item_id=workflow.id)) if workflow.id in self._shown else []

    def _suspend_workflow(self) -> Events:
        """A workflow goes on behind a client tool call: it is saved as it stands and opened again by the output."""
        workflow = self._context.workflow_item
        if workflow is None or not workflow.workflow.tasks:
            return self._close_workflow()
        return [ThreadItemDoneEvent(item=workflow.model_copy(deep=True))]

    # -- images, tools, failures

    def _open_image(self, output_index: int) -> GeneratedImageItem:
        if output_index not in self._images:
            self._images[output_index] = GeneratedImageItem(
                id=self._context.generate_id("message"),
                thread_id=self._context.thread.id,
                created_at=datetime.now(UTC),
            )
        return self._images[output_index]

    async def _partial_image(self, event: Any) -> Events:
        image = self._open_image(event.output_index)
        url = await self._converter.base64_image_to_url(
            image_id=event.item_id,
            base64_image=event.partial_image_b64,
            partial_image_index=event.partial_image_index,
        )
        image.image = GeneratedImage(id=event.item_id, url=url)
        progress = self._converter.partial_image_index_to_progress(event.partial_image_index)
        update = GeneratedImageUpdated(image=image.image, progress=progress)
        return [ThreadItemUpdatedEvent(item_id=image.id, update=update)]

    def _remember_tool_call(self, raw: Any) -> None:
        call = raw if isinstance(raw, dict) else {"name": getattr(raw, "name", None), "call_id": _call_id(raw)}
        if call.get("call_id"):
            self._tool_calls.append((str(call.get("name")), str(call["call_id"])))

    def _client_tool_call(self) -> ThreadItemDoneEvent:
        call = self._context.client_tool_call
        assert call is not None
        ids = [call_id for name, call_id in self._tool_calls if name == call.name]
        ids = ids or [call_id for _, call_id in self._tool_calls] or [self._context.generate_id("tool_call")]
        item = ClientToolCallItem(
            id=self._context.generate_id("tool_call"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(UTC),
            call_id=ids[-1],
            name=call.name,
            arguments=call.arguments,
        )
        return ThreadItemDoneEvent(item=item)

    async def _response_failed(self, event: Any) -> Events:
        error = getattr(event.response, "error", None)
        self._failure = ProviderFailure(getattr(error, "code", None))
        return []

    async def _response_incomplete(self, event: Any) -> Events:
        """The answer was cut: by its length, then what there is counts, or by the provider's content rules."""
        details = getattr(event.response, "incomplete_details", None)
        if getattr(details, "reason", None) == "content_filter":
            self._failure = ProviderFailure("content_filter")
        else:
            self._is_cut = True
        return []

    async def _stream_error(self, event: Any) -> Events:
        self._failure = ProviderFailure(getattr(event, "code", None))
        return []


def text_delta_event(item_id: str, event: Any) -> ThreadItemUpdatedEvent:
    """The hot path: one piece of text, of an answer or of a refusal."""
    update = AssistantMessageContentPartTextDelta(content_index=event.content_index, delta=event.delta)
    return ThreadItemUpdatedEvent(item_id=item_id, update=update)


def _call_id(raw: Any) -> str | None:
    return getattr(raw, "call_id", None)
