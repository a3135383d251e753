"""A thread in an agent's event is sent like any other: times in UTC, without the integration's metadata."""

from datetime import UTC, datetime, timedelta

import pytest
from chatkit.types import Page, Thread, ThreadCreatedEvent, ThreadUpdatedEvent

from chatkit_server import AgentContext
from tests.stage import Stage
from tests.turns.conftest import Start


@pytest.mark.parametrize("kind", [ThreadUpdatedEvent, ThreadCreatedEvent])
async def test_naive_times_become_utc_and_metadata_is_not_sent(
    start: Start, kind: type[ThreadUpdatedEvent | ThreadCreatedEvent]
) -> None:
    moment = datetime.now(UTC) - timedelta(days=1)
    naive = moment.astimezone().replace(tzinfo=None)

    async def act(context: AgentContext) -> str:
        thread = Thread(
            id=context.thread.id,
            created_at=naive,
            title="From the tool",
            metadata={"customer": "number 7"},
            items=Page(),
        )
        await context.stream(kind(thread=thread))
        return "shown"

    stage = Stage()
    chat = await start(stage.agent)
    stage.play_tool(act)
    async with await chat.visitor() as tab:
        reply = await tab.create("Show it")  # the tab itself refuses a time without an offset
        assert reply.error is None
        threads = [event["thread"] for event in reply.events if "thread" in event]
        (listed,) = [thread for thread in threads if thread["title"] == "From the tool"]
        assert listed["created_at"].endswith("Z")
        assert datetime.fromisoformat(listed["created_at"]) == moment
        assert not listed.get("metadata")
        assert "number 7" not in str(reply.events)
