"""Other ways to run agents than that of the samples: sessions, response ids, whole answers, events read by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from agents import Agent, ItemHelpers, ModelSettings, RunConfig, Runner, SQLiteSession
from agents.mcp import MCPServerStdio, MCPServerStdioParams
from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdated,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from .memory_store import MemoryStore


class SwitchboardServer(ChatKitServer[dict[str, Any]]):
    """Runs its agent in the way that the constructor is told."""

    def __init__(self, way: str, mcp: MCPServerStdioParams | None = None) -> None:
        super().__init__(MemoryStore())
        self.way = getattr(self, f"_{way}")
        self.mcp = mcp
        self.sessions: dict[str, SQLiteSession] = {}
        self.agent = Agent(name="Operator", model="gpt-4.1-mini", instructions="Connect people.")

    async def respond(
        self, thread: ThreadMetadata, message: UserMessageItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        if not message:
            return
        async for event in self.way(thread, message.content[0].text, context):
            yield event

    def _item(self, thread: ThreadMetadata, context: dict[str, Any], text: str) -> AssistantMessageItem:
        return AssistantMessageItem(
            id=self.store.generate_item_id("message", thread, context),
            thread_id=thread.id,
            created_at=datetime.now(),
            content=[AssistantMessageContent(text=text)],
        )

    async def _session(
        self, thread: ThreadMetadata, text: str, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        """The Agents SDK remembers the conversation."""
        session = self.sessions.setdefault(thread.id, SQLiteSession(thread.id))
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(self.agent, text, context=agent_context, session=session)
        async for event in stream_agent_response(agent_context, result):
            yield event

    async def _response_id(
        self, thread: ThreadMetadata, text: str, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        """OpenAI remembers the conversation; the thread's metadata has the id of the last response."""
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(
            self.agent, text, context=agent_context, previous_response_id=thread.metadata.get("last_response")
        )
        async for event in stream_agent_response(agent_context, result):
            yield event
        thread.metadata["last_response"] = result.last_response_id

    async def _whole(
        self, thread: ThreadMetadata, text: str, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        """The answer comes at once."""
        page = await self.store.load_thread_items(thread.id, None, 10, "asc", context)
        agent = self.agent.clone(instructions="Connect people quickly.")
        config = RunConfig(model_settings=ModelSettings(temperature=0.1), workflow_name="switchboard")
        result = await Runner.run(agent, await simple_to_agent_input(page.data), run_config=config)
        yield ThreadItemDoneEvent(item=self._item(thread, context, ItemHelpers.text_message_outputs(result.new_items)))

    async def _by_hand(
        self, thread: ThreadMetadata, text: str, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        """It reads the run's events itself."""
        result = Runner.run_streamed(self.agent, text)
        item = self._item(thread, context, "")
        yield ThreadItemAddedEvent(item=item)
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                update = AssistantMessageContentPartTextDelta(content_index=0, delta=event.data.delta)
                yield ThreadItemUpdated(item_id=item.id, update=update)
        content = [AssistantMessageContent(text=str(result.final_output))]
        yield ThreadItemDoneEvent(item=item.model_copy(update={"content": content}))

    async def _mcp(
        self, thread: ThreadMetadata, text: str, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        """It connects to an MCP server for each message."""
        async with MCPServerStdio(self.mcp, client_session_timeout_seconds=30) as server:
            agent = self.agent.clone(mcp_servers=[server])
            agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
            result = Runner.run_streamed(agent, text, context=agent_context)
            async for event in stream_agent_response(agent_context, result):
                yield event
