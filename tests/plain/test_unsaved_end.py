"""If the end of a turn could not be saved, every client learns that it failed."""

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


async def test_every_transport_reports_the_failure(start: Start) -> None:
    chat = await start(outage_seconds=0.2)
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
            await socket.send("Count")
            await socket.started()
            messages = await socket.messages()
            assert (messages.text, messages.error["code"]) == ("one two three", "database_unavailable")
