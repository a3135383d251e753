"""A turn whose end could not be saved: no client takes its text for an answer that is kept."""

import pytest

from tests.plain.plain import Plain, sqlite_only
from tests.support.openai_answers import Answer
from tests.turns.conftest import Start
from tests.turns.test_unsaved_end import ALWAYS, Unreliable

pytestmark = sqlite_only


@pytest.fixture(autouse=True)
def _unreliable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatkit_server.app.TurnStore", Unreliable)
    monkeypatch.setattr(Unreliable, "failures", ALWAYS)


async def test_every_way_of_reading_says_that_it_failed(start: Start) -> None:
    chat = await start(stop_seconds=0.2)
    chat.upstream.script(*[Answer("one two three")] * 3)
    async with await chat.visitor() as tab:
        plain = Plain(chat, tab)
        stream = await plain.stream("Count")
        assert (stream.text, stream.error["code"], stream.done["status"]) == (
            "one two three",
            "database_unavailable",
            "failed",
        )
        status, answer = await plain.answer("Count")
        assert (status, answer["code"], answer["status"]) == (503, "database_unavailable", "failed")
        assert answer["text"] == "one two three"
        async with plain.socket() as socket:
            await socket.say("Count")
            await socket.started()
            told = await socket.told()
            assert (told.text, told.error["code"]) == ("one two three", "database_unavailable")
