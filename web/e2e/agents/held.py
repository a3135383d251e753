"""The demo model, which a test can hold in the middle of an answer."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from agents.items import TResponseInputItem
from openai.types.responses import ResponseStreamEvent, ResponseTextDeltaEvent

from chatkit_server.models.demo import DemoModel
from chatkit_server.models.demo.conversation import read_conversation

TOKENS_PER_SECOND = 400
HELD_AT = "show:"
"""The token of the demo model's answer before the gate, outside any markdown."""


class HeldModel(DemoModel):
    """In the middle of the answer to "… hold 1234", waits for the gate at port 1234 (e2e/gate.js)."""

    def __init__(self) -> None:
        super().__init__(tokens_per_second=TOKENS_PER_SECOND)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[ResponseStreamEvent]:
        """Yield the events of the answer."""
        gate = re.search(r"\bhold (\d+)", read_conversation(input).text)
        events = super().stream_response(system_instructions, input, *args, **kwargs)
        async for event in events:
            yield event
            if gate and isinstance(event, ResponseTextDeltaEvent) and event.delta.endswith(HELD_AT):
                await opened(int(gate[1]))


async def opened(gate: int) -> None:
    """Return when the test has opened the gate: it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate)
    try:
        await reader.read()
    finally:
        writer.close()
