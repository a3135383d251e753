"""A model that yields many events at once does not hold up the event loop."""

import asyncio

from chatkit_server.fast_path.tap import EVENTS_PER_TURN
from tests.conversion.conftest import Conversation
from tests.conversion.raw import message, response


async def test_the_event_loop_gets_its_turn_within_a_burst(conversation: Conversation) -> None:
    loop = asyncio.get_running_loop()
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(count)

    loop.call_soon(count)
    turns_at_delta: list[int] = []
    async for event in conversation.start(response(*message(0, *["word "] * (10 * EVENTS_PER_TURN)))):
        if event.type == "thread.item.updated" and event.update.type == "assistant_message.content_part.text_delta":
            turns_at_delta.append(turns)
    assert len(turns_at_delta) == 10 * EVENTS_PER_TURN
    assert turns_at_delta[-1] - turns_at_delta[0] >= 8
