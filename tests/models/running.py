"""Run an agent on models as the server does, and collect the events."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from agents import Agent, RunConfig, Runner
from agents.items import TResponseInputItem
from openai.types.responses import ResponseStreamEvent

from chatkit_server.models import Models


@dataclass
class Run:
    """The events and the result of a run."""

    events: list[ResponseStreamEvent] = field(default_factory=list)
    output: Any = None
    tokens: int = 0
    input_tokens: int = 0
    speaking: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first text has arrived."""

    @property
    def types(self) -> list[str]:
        """The types of the events, consecutive repeats left out."""
        types = [event.type for event in self.events]
        return [kind for index, kind in enumerate(types) if index == 0 or types[index - 1] != kind]

    @property
    def text(self) -> str:
        """All text deltas joined."""
        return "".join(event.delta for event in self.events if event.type == "response.output_text.delta")


def run_config(models: Models) -> RunConfig:
    return RunConfig(model_provider=models.provider, model_settings=models.model_settings, tracing_disabled=True)


async def run(
    models: Models, message: str | list[TResponseInputItem], agent: Agent[Any] | None = None, into: Run | None = None
) -> Run:
    """Run `agent` to its end. `into` collects the events, so a test can look at them if the run raises."""
    run = into or Run()
    result = Runner.run_streamed(agent or Agent(name="Test"), message, run_config=run_config(models))
    async for event in result.stream_events():
        if event.type == "raw_response_event":
            run.events.append(event.data)
            if event.data.type == "response.output_text.delta":
                run.speaking.set()
    run.output = result.final_output
    run.tokens = result.context_wrapper.usage.total_tokens
    run.input_tokens = result.context_wrapper.usage.input_tokens
    return run
