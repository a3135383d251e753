"""A `ChatKitServer` of somebody else answers through POST /chatkit."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

from agents import Agent, Runner
from agents.testing import ScriptedModel, assistant_message
from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem

from tests.adopted.servers.memory_store import MemoryStore
from tests.serving import serve

model = ScriptedModel([])


class SampleServer(ChatKitServer[dict[str, Any]]):
    """As in chatkit's samples: a constructor without arguments, and a run of the Agents SDK."""

    def __init__(self) -> None:
        self.store: MemoryStore = MemoryStore()
        super().__init__(self.store)
        self.agent = Agent[AgentContext[dict[str, Any]]](name="Sample", model=model)
        self.ages: list[float] = []

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        page = await self.store.load_thread_items(thread.id, None, 20, "desc", context)
        items = list(reversed(page.data))
        self.ages += [(datetime.now() - item.created_at).total_seconds() for item in items]  # noqa: DTZ005 - as samples
        agent_context: AgentContext[dict[str, Any]] = AgentContext(
            thread=thread, store=self.store, request_context=context
        )
        result = Runner.run_streamed(self.agent, await simple_to_agent_input(items), context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event


async def test_an_unchanged_server_answers_and_its_thread_is_stored(tmp_path: Path) -> None:
    model.extend([[assistant_message("Hi!", item_id="m1")], [assistant_message("Still here.", item_id="m2")]])
    async with serve(tmp_path, server=SampleServer) as served, served.tab() as tab:
        reply = await tab.create("Hello there")
        again = await tab.send(reply.thread_id, "And again")
        assert [reply.text, again.text, again.error] == ["Hi!", "Still here.", None]
        loaded = await tab.reload(reply.thread_id)
        assert loaded.texts() == [
            ("user", "Hello there"),
            ("assistant", "Hi!"),
            ("user", "And again"),
            ("assistant", "Still here."),
        ]
        assert loaded.thread["title"] == "Hello there"
