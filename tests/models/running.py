"""Runs an agent on models as the server does, and gathers what comes out."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from agents import Agent, RunConfig, Runner
from agents.items import TResponseInputItem
from openai.types.responses import ResponseStreamEvent

from chatkit_server.models import Models


@dataclass
class Run:
    """A finished run."""

    events: list[ResponseStreamEvent] = field(default_factory=list)
    output: Any = None
    tokens: int = 0
    input_tokens: int = 0
    speaking: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first words came."""

    @property
    def types(self) -> list[str]:
        """Types of the events, each run of equal ones once."""
        types = [event.type for event in self.events]
        return [kind for at, kind in enumerate(types) if at == 0 or types[at - 1] != kind]

    @property
    def text(self) -> str:
        """All text deltas, joined."""
        return "".join(event.delta for event in self.events if event.type == "response.output_text.delta")


def run_config(models: Models) -> RunConfig:
    return RunConfig(model_provider=models.provider, model_settings=models.model_settings, tracing_disabled=True)


async def run(
    models: Models, message: str | list[TResponseInputItem], agent: Agent[Any] | None = None, into: Run | None = None
) -> Run:
    """The run of `agent` to its end; `into` has what came so far where it raises."""
    done = into or Run()
    result = Runner.run_streamed(agent or Agent(name="Test"), message, run_config=run_config(models))
    async for event in result.stream_events():
        if event.type == "raw_response_event":
            done.events.append(event.data)
            if event.data.type == "response.output_text.delta":
                done.speaking.set()
    done.output = result.final_output
    done.tokens = result.context_wrapper.usage.total_tokens
    done.input_tokens = result.context_wrapper.usage.input_tokens
    return done
