"""One run: each event goes to the part that knows its subject."""

from typing import Any

from agents import (
    AgentUpdatedStreamEvent,
    InputGuardrailTripwireTriggered,
    ModelBehaviorError,
    ModelRefusalError,
    OutputGuardrailTripwireTriggered,
    RunItemStreamEvent,
    RunResultStreaming,
    StreamEvent,
)
from agents.items import HandoffOutputItem, ToolCallItem, TResponseStreamEvent
from chatkit.agents import ResponseStreamConverter
from chatkit.types import (
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
)
from openai.types.responses import ResponseOutputItemDoneEvent

from ..agent_context import AgentContext, HelperEvent
from ..errors.failures import ProviderFailure
from ..memory import Transcript
from .assistant_messages import AssistantMessages
from .hosted_tools import HostedTools
from .images import Images
from .open_workflow import OpenWorkflow
from .shown_items import Events, Handlers, ShownItems
from .thinking import Thoughts
from .tool_calls import ToolCalls
from .tool_display import ToolDisplays

_ITEM_EVENTS = (ThreadItemAddedEvent, ThreadItemDoneEvent, ThreadItemReplacedEvent, ThreadItemUpdatedEvent)
_GUARDRAILS = (InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered)


class Conversion:
    """State of one run. Output items are known by their place in the current response, never by their id."""

    def __init__(
        self,
        context: AgentContext,
        converter: ResponseStreamConverter,
        transcript: Transcript,
        displays: ToolDisplays | None = None,
    ) -> None:
        self._context = context
        self._transcript = transcript
        self._shown = ShownItems(context, transcript)
        self._workflow = OpenWorkflow(context, self._shown)
        self._messages = AssistantMessages(context, converter, self._shown, self._workflow)
        self._thoughts = Thoughts(self._workflow)
        self._images = Images(context, converter, self._shown, self._workflow)
        self._tools = ToolCalls(context, self._workflow, displays)
        self._hosted = HostedTools(self._workflow, displays is not None)
        self.parts = self._messages.parts
        self._failure: ProviderFailure | None = None
        self._is_cut = False
        self._was_helped = False
        self._is_taken_back = False
        own: Handlers = {
            "response.created": self._response_created,
            "response.output_item.added": self._output_item_added,
            "response.output_item.done": self._output_item_done,
            "response.failed": self._response_failed,
            "response.incomplete": self._response_incomplete,
            "error": self._stream_error,
        }
        self._handlers = own | self._messages.handlers | self._thoughts.handlers | self._images.handlers

    async def begin(self) -> Events:
        """What there is to say before the run: its workflow goes on where the last turn left it."""
        workflow = self._context.workflow_item
        return [] if workflow is None else await self._shown.reopen(workflow.model_copy(deep=True))

    async def convert(self, event: HelperEvent | StreamEvent | TResponseStreamEvent) -> Events:
        """What one event of the model, of the run or of a helper means for the thread; often nothing."""
        match event:
            case HelperEvent():
                self._was_helped |= isinstance(event.event, _ITEM_EVENTS)
                return await self._shown.forward(event.event)
            case RunItemStreamEvent(name="tool_called"):
                return self._tools.called(event.item) if isinstance(event.item, ToolCallItem) else []
            case RunItemStreamEvent(name="tool_output"):
                self.remember(event)
                return self._tools.answered(event.item.raw_item)
            case RunItemStreamEvent(name="handoff_occured", item=HandoffOutputItem() as handoff):
                self.remember(event)
                return self._tools.handed_over(handoff.target_agent)
            case RunItemStreamEvent() | AgentUpdatedStreamEvent():
                self.remember(event)
                return []
            case _:
                handler = self._handlers.get(event.type)
                return await handler(event) if handler else []

    def remember(self, event: HelperEvent | StreamEvent | TResponseStreamEvent) -> None:
        """Keeps what the event says of the model's own work, and shows nothing."""
        if self._is_taken_back:
            return
        match event:
            case RunItemStreamEvent(name="tool_output" | "handoff_occured"):
                self._transcript.add_item(event.item.to_input_item())
            case AgentUpdatedStreamEvent():
                self._transcript.add_agent(event.new_agent)
            case ResponseOutputItemDoneEvent() if event.item.type not in ("message", "image_generation_call"):
                self._transcript.add_item(event.item)

    def end(self, error: BaseException | None) -> Events:
        """What is left to say when the run is over."""
        if isinstance(error, _GUARDRAILS):
            self._workflow.forget()
            self._transcript.clear()
            self._is_taken_back = True
            return self._shown.revert()
        calls = [] if error is not None else self._tools.client_calls()
        return [*self._workflow.suspend(), *calls] if calls else self._workflow.close()

    def is_silent(self, result: RunResultStreaming) -> bool:
        """Whether a run that ended well was of no use: no words, no tool, and no item but the model's.

        Thoughts alone are no answer. What a run does without words is: the tools that it calls may be all it is for.
        """
        kinds = {item.type for item in result.new_items}
        output = result.final_output
        # An output of the agent's own type is an answer, whatever it is; some providers stream text that is in no item.
        has_words = bool(output.strip()) if isinstance(output, str) else output is not None
        has_words |= bool(self.parts) and "message_output_item" not in kinds
        return kinds <= {"message_output_item", "reasoning_item"} and not has_words and not self._was_helped

    def is_answered(self, error: BaseException) -> bool:
        """A refusal that the user has read is the answer, and so is text that ended at its length limit; the SDK raises
        for both (agents 0.24)."""
        is_cut = isinstance(error, ModelBehaviorError) and self._is_cut and bool(self.parts)
        return is_cut or (isinstance(error, ModelRefusalError) and self._messages.refused)

    def cause(self, error: BaseException) -> BaseException:
        """The provider's own error event says more than the exception that the SDK makes of it."""
        if self._failure is not None and isinstance(error, ModelBehaviorError):
            self._failure.__cause__ = error
            return self._failure
        return error

    async def _response_created(self, event: Any) -> Events:
        """Output indexes start over with each response of the model."""
        for part in (self._messages, self._thoughts, self._images, self._hosted):
            part.clear()
        return []

    async def _output_item_added(self, event: Any) -> Events:
        match event.item.type:
            case "message":
                return self._messages.announce(event.output_index)
            case "reasoning":
                return self._workflow.open()
            case "image_generation_call":
                return self._images.added(event)
        return self._hosted.added(event)

    async def _output_item_done(self, event: Any) -> Events:
        match event.item.type:
            case "message":
                return await self._messages.done(event)
            case "image_generation_call":
                return await self._images.done(event)
        self.remember(event)
        return self._hosted.done(event)

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
