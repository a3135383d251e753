"""Text that cannot be encoded, from a model or a tool, neither fails the turn nor a later one."""

import json
from typing import Any

import pytest
from agents import Agent, function_tool

from tests.support.openai_answers import Answer, Text, ToolCall
from tests.turns.chat import model_input
from tests.turns.conftest import (  # noqa: F401  fixtures and a hook, found by their names
    Start,
    api,
    pytest_asyncio_loop_factories,
    start,
    upstream,
)

both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@function_tool
def echo(text: str) -> Any:
    """Return the text and half a character, in parts."""
    return {"text": text, "half": "\ud83d", "nul": "\0"}


@both_apis
@sqlite_only
async def test_half_a_character_in_a_call_and_its_output(start: Start) -> None:  # noqa: F811  the fixture
    chat = await start(Agent(name="test", instructions="Echo \ud83d.", tools=[echo]))
    chat.upstream.script(
        Answer(tool_calls=[ToolCall("echo", r'{"text": "a \ud83d b"}')]),
        Answer(Text("", tokens=["x \ud83e", "\udd8a y \udd8a"])),
    )
    async with await chat.visitor() as tab:
        reply = await tab.create("Echo")
        assert reply.error is None
        assert reply.text == "x 🦊 y \ufffd"
        assert (await tab.send(reply.thread_id, "Again \ud83d")).error is None
    request = chat.upstream.requests[-1]
    sent = json.dumps(request.body, ensure_ascii=False)
    assert "a \ufffd b" in sent
    assert not any("\ud800" <= character <= "\udfff" for character in sent)
    assert ("assistant", "x 🦊 y \ufffd") in model_input(request)
    assert ("user", "Again \ufffd") in model_input(request)
