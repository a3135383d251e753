"""A map of trams beside the chat: client tool calls by a tool and by an action, client effects, workflows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from agents import Agent, RunContextWrapper, Runner, StopAtTools, function_tool
from chatkit.agents import AgentContext, ClientToolCall, ThreadItemConverter, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.types import (
    Action,
    AssistantMessageContent,
    AssistantMessageItem,
    ClientEffectEvent,
    ClientToolCallItem,
    CustomSummary,
    CustomTask,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
    Workflow,
)
from chatkit.widgets import DynamicWidgetRoot
from pydantic import ConfigDict, Field

from .memory_store import MemoryStore

LINES = {"red": ["Harbour", "Market", "Mill"], "blue": ["Castle", "Market"]}
PICK_LINE = "line.pick"
DISMISS = "line.dismiss"


class TramContext(AgentContext):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    store: Annotated[MemoryStore, Field(exclude=True)]
    lines: dict[str, list[str]]
    request_context: Annotated[dict[str, Any], Field(exclude=True)]


@function_tool(description_override="Plan a way between two stops.")
async def plan_way(ctx: RunContextWrapper[TramContext], start: str, end: str) -> str:
    await ctx.context.start_workflow(Workflow(type="custom", tasks=[], expanded=True))
    for line, stops in ctx.context.lines.items():
        await ctx.context.add_workflow_task(CustomTask(title=f"Looking at the {line} line", status_indicator="loading"))
        done = CustomTask(title=f"{line}: {', '.join(stops)}", status_indicator="complete")
        await ctx.context.update_workflow_task(done, task_index=len(ctx.context.workflow_item.workflow.tasks) - 1)
    await ctx.context.end_workflow(CustomSummary(title=f"From {start} to {end}"))
    await ctx.context.stream(ClientEffectEvent(name="map.show_way", data={"start": start, "end": end}))
    return "red line, then blue line"


@function_tool(description_override="Ask which line a stop belongs to.")
async def ask_for_line(ctx: RunContextWrapper[TramContext]) -> None:
    await ctx.context.stream_widget(build_picker())


@function_tool(description_override="Add a stop. The map of the user's page draws it and says whether it fits.")
async def add_stop(ctx: RunContextWrapper[TramContext], line: str, name: str) -> None:
    ctx.context.lines[line].append(name)
    ctx.context.client_tool_call = ClientToolCall(name="draw_stop", arguments={"line": line, "name": name})


def build_picker() -> DynamicWidgetRoot:
    buttons = [
        {
            "type": "Button",
            "label": line,
            "onClickAction": {"type": PICK_LINE, "payload": {"line": line}, "handler": "server"},
        }
        for line in LINES
    ]
    dismiss = {"type": "Button", "label": "Never mind", "onClickAction": {"type": DISMISS, "handler": "server"}}
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": [*buttons, dismiss]})


tram_agent = Agent[TramContext](
    name="Trams",
    model="gpt-4.1-mini",
    instructions="You plan ways and add stops.",
    tools=[plan_way, ask_for_line, add_stop],
    tool_use_behavior=StopAtTools(stop_at_tool_names=[ask_for_line.name, add_stop.name]),
)


class TramServer(ChatKitServer[dict[str, Any]]):
    """The server of the map."""

    def __init__(self) -> None:
        self.store: MemoryStore = MemoryStore()
        super().__init__(self.store)
        self.lines = {line: list(stops) for line, stops in LINES.items()}
        self.converter = ThreadItemConverter()

    async def respond(
        self, thread: ThreadMetadata, item: UserMessageItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        if item and not thread.title:
            thread.title = "Tram plans"
            await self.store.save_thread(thread, context=context)

        page = await self.store.load_thread_items(thread.id, after=None, limit=20, order="desc", context=context)
        items = list(reversed(page.data))
        last = items[-1] if items else None
        if not item and isinstance(last, ClientToolCallItem) and last.name == "zoom_to_line":
            return  # the map has zoomed; there is nothing to say

        agent_context = TramContext(thread=thread, store=self.store, lines=self.lines, request_context=context)
        result = Runner.run_streamed(tram_agent, await self.converter.to_agent_input(items), context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        if action.type == DISMISS and sender:
            yield ThreadItemRemovedEvent(item_id=sender.id)
        if action.type != PICK_LINE:
            return
        line = action.payload["line"]
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(
                thread_id=thread.id,
                id=self.store.generate_item_id("message", thread, context),
                created_at=datetime.now(),
                content=[AssistantMessageContent(text=f"The {line} line. Where shall the stop be?")],
            )
        )
        yield ThreadItemDoneEvent(
            item=ClientToolCallItem(
                id=self.store.generate_item_id("tool_call", thread, context),
                thread_id=thread.id,
                name="zoom_to_line",
                arguments={"line": line},
                created_at=datetime.now(),
                call_id=self.store.generate_item_id("tool_call", thread, context),
            )
        )
