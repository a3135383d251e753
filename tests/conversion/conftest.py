"""Run an agent with a context like that of a turn, and collect its events."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest
from agents import Agent, FunctionTool, RunConfig, Runner
from agents.testing import ModelStep, ScriptedModel
from chatkit.agents import ResponseStreamConverter
from chatkit.types import ThreadItem, ThreadMetadata, ThreadStreamEvent

from chatkit_server import AgentContext, RequestContext, stream_agent_response
from chatkit_server.events.frames import serialize
from chatkit_store import NotFound, SqlStore, open_engine
from tests.support.chatkit import Json, Picture


class EmptyStore(SqlStore[RequestContext]):
    """Generates ids and has no items. Its engine never connects."""

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        raise NotFound("Item", item_id)


class Conversation:
    """Runs on one context, one at a time. `events` are those of the last run, `picture` is what the widget shows."""

    def __init__(self) -> None:
        thread = ThreadMetadata(id="thr_1", created_at=datetime.now(UTC))
        store = EmptyStore(open_engine("sqlite:///:memory:"))
        self.context = AgentContext(thread=thread, store=store, request_context=RequestContext(user_id="user_1"))
        self.events: list[ThreadStreamEvent] = []
        self.picture = Picture()

    def start(
        self,
        *steps: ModelStep,
        tools: Sequence[FunctionTool] = (),
        converter: ResponseStreamConverter | None = None,
        **options: Any,
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Start a run and return its events, for the test to read."""
        agent = Agent(name="Actor", model=ScriptedModel(steps), tools=list(tools), **options)
        result = Runner.run_streamed(agent, "Go", context=self.context, run_config=RunConfig(tracing_disabled=True))
        return stream_agent_response(self.context, result, converter=converter)

    async def run(self, *steps: ModelStep, **options: Any) -> list[Json]:
        """Run to the end and return the events as JSON."""
        self.events = []
        async with aclosing(self.start(*steps, **options)) as events:
            async for event in events:
                self.events.append(event)
                self.picture.apply(as_json(event))
        return [as_json(event) for event in self.events]

    @property
    def items(self) -> list[Json]:
        """The items that the client shows, without ids and times, which vary."""
        return [
            {name: value for name, value in item.items() if name not in ("id", "thread_id", "created_at")}
            for item in self.picture.items
        ]


def as_json(event: ThreadStreamEvent) -> Json:
    """Return an event as the client reads it."""
    value: Json = json.loads(serialize(event))
    return value


@pytest.fixture
def conversation() -> Conversation:
    """A new conversation."""
    return Conversation()
