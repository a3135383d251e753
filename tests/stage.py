"""A stage for the agent: tests script the model's answers, its tools, and the responses to actions."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from agents import Agent, FunctionTool, StopAtTools
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from agents.tool_context import ToolContext
from chatkit.actions import Action
from chatkit.types import (
    AudioInput,
    SyncCustomActionResponse,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot
from pydantic import TypeAdapter

from chatkit_server import AgentContext, ChatServer, RequestContext
from chatkit_server.run.server import ServerFactory

ToolBody = Callable[[AgentContext], Awaitable[Any]]
Handler = Callable[[ThreadMetadata, Action[str, Any], WidgetItem | None, RequestContext], AsyncIterator[Any]]

ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)


@dataclass
class Stage:
    """The script for the next requests; pass `agent` to `create_app`."""

    playing: Agent[Any] = field(default_factory=lambda: Agent(name="Nobody"))
    actions: dict[str, Handler] = field(default_factory=dict)
    sync_answer: Callable[[ThreadMetadata, WidgetItem | None], ThreadItem | None] | None = None
    transcript: str | None = None
    seen: list[Any] = field(default_factory=list)
    """What handlers record for a test."""

    def agent(self) -> Agent[Any]:
        """Return the current agent."""
        return self.playing

    def play(self, *steps: Any, tools: Sequence[FunctionTool] = (), **options: Any) -> ScriptedModel:
        """Answer the next model calls with `steps`; a string is a message."""
        model = ScriptedModel([[assistant_message(step)] if isinstance(step, str) else step for step in steps])
        self.playing = Agent(name="Actor", model=model, tools=list(tools), **options)
        return model

    def play_tool(self, body: ToolBody, *, before: str = "", after: str = "done") -> ScriptedModel:
        """Play a run that says `before`, calls a tool with this body, and says `after`."""
        call = function_call("act", {}, call_id="call-1")
        first = [assistant_message(before, item_id="before"), call] if before else [call]
        return self.play(first, after, tools=[tool("act", body)])

    def play_client_tool(self, body: ToolBody, *later: Any) -> ScriptedModel:
        """Play a run that ends with a client tool call; `later` are the steps of the next runs."""
        return self.play(
            [function_call("act", {}, call_id="call-of-the-model")],
            *later,
            tools=[tool("act", body)],
            tool_use_behavior=StopAtTools(stop_at_tool_names=["act"]),
        )

    def factory(self, folder: Path | None = None) -> ServerFactory:
        """Return the server factory for `create_app`."""
        return partial(StageServer, self)


class StageServer(ChatServer):
    """A `ChatServer` subclass as an integration writes it, with actions and dictation."""

    def __init__(self, stage: Stage, *parts: Any) -> None:
        super().__init__(*parts)
        self.stage = stage

    def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        handler = self.stage.actions.get(action.type)
        if handler is None:
            return super().action(thread, action, sender, context)
        return handler(thread, action, sender, context)

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
    ) -> SyncCustomActionResponse:
        if self.stage.sync_answer is None:
            return await super().sync_action(thread, action, sender, context)
        return SyncCustomActionResponse(updated_item=self.stage.sync_answer(thread, sender))

    async def transcribe(self, audio_input: AudioInput, context: RequestContext) -> TranscriptionResult:
        if self.stage.transcript is None:
            return await super().transcribe(audio_input, context)
        self.stage.seen.append(audio_input)
        return TranscriptionResult(text=self.stage.transcript)


def tool(name: str, body: ToolBody) -> FunctionTool:
    """Return a function tool without arguments, whose body gets the `AgentContext`."""

    async def invoke(context: ToolContext[Any], arguments: str) -> Any:
        return await body(context.context)

    schema = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    return FunctionTool(name, f"The test's tool {name}.", schema, invoke)


def make_item(kind: str, thread: ThreadMetadata, item_id: str, **fields: Any) -> ThreadItem:
    """Return a complete item of any type; `fields` override its defaults."""
    common = {"id": item_id, "thread_id": thread.id, "created_at": datetime.now(UTC), "type": kind}
    return ITEM.validate_python(common | EXAMPLES[kind] | fields)


async def stream_item(context: AgentContext, kind: str, **fields: Any) -> ThreadItem:
    """Send a finished item of a type from a tool, and return it."""
    item = make_item(kind, context.thread, context.generate_id("message"), **fields)
    await context.stream(ThreadItemDoneEvent(item=item))
    return item


# Like `WidgetTemplate.build`; the strict classes are deprecated in chatkit 1.6.5.
CARD = DynamicWidgetRoot.model_validate(
    {"type": "Card", "size": "sm", "children": [{"type": "Text", "id": "t", "value": "a widget", "size": "xl"}]}
)
CHOICE = {"type": "multiple_choice", "id": "q1", "question": "Which?", "options": [{"value": "a"}, {"value": "b"}]}
FREEFORM = {"type": "freeform", "id": "q2", "question": "Why?", "description": "In a word."}

EXAMPLES: dict[str, dict[str, Any]] = {
    "user_message": {"content": [{"type": "input_text", "text": "hello"}], "inference_options": {}},
    "assistant_message": {"content": [{"type": "output_text", "text": "hi", "annotations": []}]},
    "client_tool_call": {"call_id": "call-9", "name": "look", "arguments": {"at": "page"}},
    "widget": {"widget": CARD, "copy_text": "a widget"},
    "generated_image": {"image": {"id": "img-1", "url": "https://images.example/1.png"}},
    "structured_input": {"inputs": [CHOICE, FREEFORM]},
    "workflow": {
        "workflow": {
            "type": "custom",
            "tasks": [{"type": "custom", "title": "Step", "status_indicator": "complete"}],
            "summary": {"title": "Worked"},
            "expanded": False,
        }
    },
    "task": {"task": {"type": "web_search", "title": "Search", "queries": ["q"], "sources": []}},
    "hidden_context_item": {"content": {"only": "the model knows"}},
    "sdk_hidden_context": {"content": "only the model knows"},
    "end_of_turn": {},
}

__all__ = ["EXAMPLES", "ModelStep", "Stage", "make_item", "stream_item", "tool"]
