"""A picture that the model rejects fails its own turn only."""

import pytest

from chatkit_server.models.fit_messages import UNREADABLE
from tests.files.uploading import picture
from tests.support.openai_answers import Answer, Failure
from tests.support.openai_server import ModelRequest
from tests.turns.conftest import (  # noqa: F401  fixtures and a hook, found by their names
    Start,
    api,
    pytest_asyncio_loop_factories,
    start,
    upstream,
)

both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

REFUSED = Failure(400, None, "This model does not support image inputs.")


def answer(request: ModelRequest) -> Answer:
    return Answer(fail=REFUSED) if "data:image/png" in str(request.body) else Answer("I cannot see it.")


@both_apis
@sqlite_only
async def test_the_next_message_of_the_thread_is_answered(start: Start) -> None:  # noqa: F811  the fixture
    chat = await start()
    chat.upstream.default = answer
    async with await chat.visitor() as tab:
        data = picture(size=(1, 1))
        created = await tab.post("attachments.create", {"name": "a.png", "size": len(data), "mime_type": "image/png"})
        assert isinstance(created.body, dict)
        upload = created.body["upload_descriptor"]
        async with tab.session.request(upload["method"], upload["url"], data=data) as response:
            assert response.status < 300
        reply = await tab.create("What is it?", attachments=[created.body["id"]])
        assert reply.error is not None
        assert "cannot read a picture" in reply.error["message"]
        reply = await tab.send(reply.thread_id, "Tell me more")
        assert reply.error is None
        assert reply.text == "I cannot see it."
    assert UNREADABLE in str(chat.upstream.requests[-1].body)
