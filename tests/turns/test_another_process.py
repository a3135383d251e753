"""Two processes serve one database: a turn can be stopped only where it runs."""

from tests.support.openai_answers import Answer
from tests.turns.chat import thread_of
from tests.turns.conftest import Start


async def test_a_turn_that_runs_elsewhere_is_not_said_to_be_stopped(start: Start) -> None:
    here, there = await start(), await start()
    here.upstream.script(Answer("one two three", hang_after=2))
    async with await here.visitor() as tab, await here.ask(tab, "Count") as stream:
        await stream.read_until(lambda frame: '"delta":" two"' in frame.data)
        thread_id, turn_id = thread_of(stream), stream.headers["x-chatkit-turn-id"]
        status, body = await there.stop(tab, turn_id)
        assert (status, body["code"]) == (409, "conflict")
        assert "does not run in this process" in body["message"]
        assert await here.turns(thread_id) == [("running", None)]
        async with await there.visitor() as stranger:
            assert (await there.stop(stranger, turn_id))[0] == 404

        assert (await here.stop(tab, turn_id))[0] == 200
        status, body = await there.stop(tab, turn_id)
        assert (status, body["status"], body["stop_reason"]) == (200, "stopped", "user")
