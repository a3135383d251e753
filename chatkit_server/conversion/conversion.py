"""Convert one run: dispatch each event to the class for its subject."""

from typing import Any, ClassVar

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
from agents.items import HandoffOutputItem, ToolCallItem, ToolCallOutputItem, TResponseStreamEvent
from chatkit.agents import ResponseStreamConverter
from chatkit.types import (
    NoticeEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
)
from openai.types.responses import ResponseOutputItemDoneEvent

from ..agent_context import AgentContext, HelperEvent
from ..errors.failures import NOTICES, LengthReached, ProviderFailure
from ..memory import Transcript
from ..memory.transcript import Cut
from .assistant_messages import AssistantMessages
from .hosted_tools import HostedTools
from .images import Images
from .open_workflow import OpenWorkflow
from .outputs import Outputs, OutputText
from .shown_items import Events, Handlers, ShownItems
from .thinking import Thoughts
from .tool_calls import ToolCalls
from .tool_display import ToolDisplays

_ITEM_EVENTS = (ThreadItemAddedEvent, ThreadItemDoneEvent, ThreadItemReplacedEvent, ThreadItemUpdatedEvent)
_GUARDRAILS = (InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered)
_CUTS: dict[str, Cut] = {"max_output_tokens": "length_limit", "content_filter": "content_filter"}


class Conversion:
    """The state of one run. Output items are identified by their index in the current response, never by their id."""

    def __init__(
        self,
        context: AgentContext,
        converter: ResponseStreamConverter,
        transcript: Transcript,
        displays: ToolDisplays | None = None,
        output_text: OutputText | None = None,
    ) -> None:
        self._context = context
        self._transcript = transcript
        self._mark = transcript.mark()  # the turn may have had other runs
        self._shown_items = ShownItems(context, transcript)
        self._workflow = OpenWorkflow(context, self._shown_items)
        self._messages = AssistantMessages(context, converter, self._shown_items, self._workflow)
        self._thoughts = Thoughts(self._workflow)
        self._images = Images(context, converter, self._shown_items, self._workflow)
        self._tools = ToolCalls(context, self._workflow, displays)
        self._hosted = HostedTools(self._workflow, displays is not None)
        self.parts = self._messages.parts
        self._failure: ProviderFailure | None = None
        self._outputs = Outputs(output_text)
        self._completed_items: dict[str, int] = {}
        """How many items of each type, other than messages, the current response has completed."""
        self._has_helper_items = False
        self._has_shown_item = False
        """Whether a tool has shown something visible since the current response began."""
        self._is_reverted = False

    async def begin(self) -> Events:
        """Return the events before the run: they reopen the workflow that the previous turn left open."""
        self._messages.render = self._outputs.renderer_of(self._transcript.agent)
        workflow = self._context.workflow_item
        return [] if workflow is None else await self._shown_items.reopen(workflow.model_copy(deep=True))

    async def convert(self, event: HelperEvent | StreamEvent | TResponseStreamEvent) -> Events:
        """Convert one event of the model, the run or a helper. Often returns nothing."""
        match event:
            case HelperEvent():
                self._has_helper_items |= isinstance(event.event, _ITEM_EVENTS)
                self._has_shown_item |= _shows_item(event.event)
                return await self._shown_items.forward(event.event)
            case RunItemStreamEvent(name="tool_called"):
                return self._tools.start(event.item) if isinstance(event.item, ToolCallItem) else []
            case RunItemStreamEvent(name="tool_output"):
                self._messages.is_shown = False
                self.remember(event)
                return self._tools.finish(event.item.raw_item)
            case RunItemStreamEvent(name="handoff_occured", item=HandoffOutputItem() as handoff):
                self.remember(event)
                return self._tools.hand_over(handoff.target_agent)
            case AgentUpdatedStreamEvent():
                events = self._tools.take_over(event.new_agent, self._transcript)
                self.remember(event)
                self._messages.render = self._outputs.renderer_of(event.new_agent)
                return events
            case RunItemStreamEvent():
                self.remember(event)
                return []
            case _:
                for part in (self, self._messages, self._thoughts, self._images):
                    if (handler := part.HANDLERS.get(event.type)) is not None:
                        return await handler(part, event)
                return []

    def remember(self, event: HelperEvent | StreamEvent | TResponseStreamEvent) -> None:
        """Record the event in the transcript without showing it."""
        if self._is_reverted:
            return
        match event:
            case RunItemStreamEvent(name="tool_output" | "handoff_occured"):
                self._transcript.add_item(event.item.to_input_item())
            case AgentUpdatedStreamEvent():
                self._transcript.add_agent(event.new_agent)
            case ResponseOutputItemDoneEvent() if event.item.type not in ("message", "image_generation_call"):
                self._transcript.add_item(event.item)

    def end(self, error: BaseException | None) -> Events:
        """Return the last events of a run that ended with `error`, or with None."""
        if isinstance(error, _GUARDRAILS):
            self._workflow.forget()
            self._transcript.revert(self._mark)
            self._is_reverted = True
            return self._shown_items.revert()
        if isinstance(error, LengthReached):
            self._transcript.cut = "length_limit"
        if error is not None:
            return [*self._tools.fail_running(), *self._workflow.close()]
        calls = self._tools.client_calls()
        return [*self._workflow.suspend(), *calls] if calls else self._workflow.close()

    def final_answer(self, result: RunResultStreaming) -> Events:
        """Show the output of a successful run if nothing has shown it: an agent may stop with the output of a tool.

        A tool that shows something itself, or asks the user or the page, needs no text.
        """
        context = self._context
        is_waiting = context.client_calls or context.page_call or context.question_ids or result.interruptions
        if self._messages.is_shown or self._has_shown_item or is_waiting:
            return []
        text = self._outputs.render(_final_output(result))
        return self._messages.show(text) if text.strip() else []

    def is_silent(self, result: RunResultStreaming) -> bool:
        """Return whether a successful run produced nothing: no text, no tool call, and no item from a helper.

        Thoughts alone are not an answer. A tool call without text is: it may be all that the run is for.
        """
        types = {item.type for item in result.new_items}
        output = result.final_output
        # An output of the agent's `output_type` always counts. Some providers stream text that is not part of any item.
        has_text = bool(output.strip()) if isinstance(output, str) else output is not None
        has_text |= bool(self.parts) and "message_output_item" not in types
        return types <= {"message_output_item", "reasoning_item"} and not has_text and not self._has_helper_items

    def is_answered(self, error: BaseException) -> bool:
        """Return whether the user has an answer despite the error: a refusal, or text that is cut.

        The SDK raises for both (agents 0.24).
        """
        is_cut = isinstance(error, ModelBehaviorError | LengthReached) and self._transcript.cut is not None
        is_refused = isinstance(error, ModelRefusalError) and self._messages.refused
        return (is_cut and bool(self.parts)) or is_refused

    def cause(self, error: BaseException) -> BaseException:
        """Return the provider's error event if there was one, as it says more than the SDK's exception."""
        failure: Exception | None = self._failure
        if failure is None and self._transcript.cut is not None:
            failure = LengthReached() if self._transcript.cut == "length_limit" else ProviderFailure("content_filter")
        if failure is not None and isinstance(error, ModelBehaviorError):
            failure.__cause__ = error
            return failure
        return error

    def notices(self) -> Events:
        """Return the notice below an answer that is cut."""
        cut = self._transcript.cut
        return [] if cut is None else [NoticeEvent(level="warning", message=NOTICES[cut])]

    async def _response_created(self, event: Any) -> Events:
        """Start the next response of the model: output indexes start at 0 again."""
        for part in (self._messages, self._thoughts, self._images, self._hosted):
            part.clear()
        self._has_shown_item = False
        self._completed_items.clear()
        return []

    async def _output_item_added(self, event: Any) -> Events:
        match event.item.type:
            case "message":
                return self._messages.announce(event.output_index)
            case "reasoning":
                return self._workflow.open()
            case "image_generation_call":
                return self._images.start(event)
        return self._hosted.start(event)

    async def _output_item_done(self, event: Any) -> Events:
        match event.item.type:
            case "message":
                return await self._messages.finish(event)
            case "image_generation_call":
                return await self._images.finish(event)
        kind = event.item.type
        self._completed_items[kind] = self._completed_items.get(kind, 0) + 1
        self.remember(event)
        return self._hosted.finish(event)

    async def _response_completed(self, event: Any) -> Events:
        """Take what only the finished response contains. It may be incomplete nevertheless (Chat Completions)."""
        self._note_cut(event.response)
        return await self._take_unannounced(event.response)

    async def _take_unannounced(self, response: Any) -> Events:
        """Take the items of a response that no event announced: some endpoints send only the finished response."""
        items = [item for item in response.output or [] if item.type != "image_generation_call"]
        messages = [item for item in items if item.type == "message"]
        for item in items:
            if item.type != "message" and self._completed_items.get(item.type):
                self._completed_items[item.type] -= 1
            elif item.type != "message":
                self._transcript.add_item(item)
        return await self._messages.finish_unannounced(messages)

    async def _response_failed(self, event: Any) -> Events:
        error = getattr(event.response, "error", None)
        self._failure = ProviderFailure(getattr(error, "code", None), getattr(error, "message", None))
        return []

    async def _response_incomplete(self, event: Any) -> Events:
        self._note_cut(event.response, "length_limit")
        return await self._take_unannounced(event.response)

    def _note_cut(self, response: Any, default: Cut | None = None) -> None:
        """Note why the answer is incomplete: at the length limit, or by the provider's content filter."""
        reason = getattr(getattr(response, "incomplete_details", None), "reason", None)
        self._transcript.cut = _CUTS.get(reason or "", default)

    async def _stream_error(self, event: Any) -> Events:
        self._failure = ProviderFailure(getattr(event, "code", None), getattr(event, "message", None))
        return []

    HANDLERS: ClassVar[Handlers] = {
        "response.created": _response_created,
        "response.output_item.added": _output_item_added,
        "response.output_item.done": _output_item_done,
        "response.completed": _response_completed,
        "response.failed": _response_failed,
        "response.incomplete": _response_incomplete,
        "error": _stream_error,
    }


def _shows_item(event: Any) -> bool:
    """Return whether the event shows the user something that may stand for a tool's output."""
    return isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent | ThreadItemReplacedEvent) and (
        event.item.type not in {"workflow", "task", "hidden_context_item", "sdk_hidden_context"}
    )


def _final_output(result: RunResultStreaming) -> Any:
    """Return the final output; if it is a tool's, what the tool returned, and not the text that the SDK made of it."""
    last = result.new_items[-1] if result.new_items else None
    if isinstance(last, ToolCallOutputItem) and str(last.output) == result.final_output:
        return last.output
    return result.final_output
