"""What the server keeps while a model is silent, which is most of the time."""

import gc

import pytest
from chatkit.types import StreamOptionsEvent, ThreadCreatedEvent, ThreadItemDoneEvent
from openai.types.responses import ResponseCreatedEvent, ResponseInProgressEvent

from tests.support.openai_answers import Answer
from tests.turns.coming_back import asking
from tests.turns.conftest import Start

SENT = (StreamOptionsEvent, ThreadCreatedEvent, ThreadItemDoneEvent)
READ = (ResponseCreatedEvent, ResponseInProgressEvent)


def events_in_memory() -> list[object]:
    """Return all events of these types in this process."""
    gc.collect()
    return [event for event in gc.get_objects() if type(event) in (*SENT, *READ)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("api", ["responses"])
async def test_an_open_answer_keeps_no_event_that_was_sent_or_read(start: Start, api: str) -> None:
    chat = await start()
    chat.upstream.default = Answer("one two three four", hang_after=3)
    earlier = events_in_memory()  # of other tests
    async with await chat.visitor() as tab, asking(tab, "Hello") as reply:
        await reply.wait_for("thread.item.updated")
        await (await chat.upstream.wait_for_request()).wait_hanging()
        assert [type(event) for event in events_in_memory() if not any(event is old for old in earlier)] == []
        chat.upstream.release()
