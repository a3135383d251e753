"""A context as a turn makes one, and a run of an agent whose events are collected."""

import json
from collections.abc import AsyncIterator, Sequence
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
    """Hands out ids, and knows no item: its engine connects to nothing."""

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        raise NotFound("Item", item_id)


class Conversation:
    """One run at a time on one context; `events` are those of the last run, `picture` is what the widget shows."""

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
    ) -> AsyncIterator[ThreadStreamEvent]:
        """The events of a run, to be read by the test."""
        agent = Agent(name="Actor", model=ScriptedModel(steps), tools=list(tools), **options)
        result = Runner.run_streamed(agent, "Go", context=self.context, run_config=RunConfig(tracing_disabled=True))
        return stream_agent_response(self.context, result, converter=converter)

    async def run(self, *steps: ModelStep, **options: Any) -> list[Json]:
        """A run to its end; its events as they go to the client."""
        self.events = []
        async with aclosing(self.start(*steps, **options)) as events:  # type: ignore[type-var]  # it is a generator
            async for event in events:
                self.events.append(event)
                self.picture.apply(as_json(event))
        return [as_json(event) for event in self.events]

    @property
    def items(self) -> list[Json]:
        """The items that the client shows, without ids and times."""
        return [
            {name: value for name, value in item.items() if name not in ("id", "thread_id", "created_at")}
            for item in self.picture.items
        ]


def as_json(event: ThreadStreamEvent) -> Json:
    """An event as the client reads it."""
    value: Json = json.loads(serialize(event))
    return value


@pytest.fixture
def conversation() -> Conversation:
    """A new one."""
    return Conversation()
