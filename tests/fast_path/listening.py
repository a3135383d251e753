"""A run whose model is tapped, on real connections, with what its listener hears."""

from dataclasses import dataclass, field
from typing import Any

from agents import Agent, Runner
from openai.types.responses import ResponseTextDeltaEvent

from chatkit_server.fast_path.tap import close_tap, open_tap
from chatkit_server.models import Models
from tests.models.running import run_config

Place = tuple[int, int]


@dataclass
class Heard:
    """What a run's listener has heard, with texts of one content part merged."""

    events: list[Any] = field(default_factory=list)
    """The type of each event, or place and text."""
    output: Any = None
    error: str = ""

    def hear(self, event: Any) -> None:
        if isinstance(event, ResponseTextDeltaEvent):
            self.hear_text(event, event.delta)
        else:
            self.events.append(event.type)

    def hear_text(self, event: ResponseTextDeltaEvent, text: str, tokens: int = 1) -> None:
        place = (event.output_index, event.content_index)
        if self.events and self.events[-1][0] == place:
            self.events[-1] = (place, self.events[-1][1] + text)
        else:
            self.events.append((place, text))


async def listen(models: Models, *, is_fast: bool = True) -> Heard:
    """Run an agent and return what its listener hears, from the socket or from the model."""
    heard = Heard()
    result = Runner.run_streamed(Agent(name="A"), "hi", run_config=run_config(models))
    open_tap(result.run_loop_task, heard.hear, heard.hear_text if is_fast else None)
    try:
        async for _ in result.stream_events():
            pass
        heard.output = result.final_output
    except Exception as error:
        heard.error = type(error).__name__
    close_tap(result.run_loop_task)
    return heard
