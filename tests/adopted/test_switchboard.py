"""Ways to run agents that public servers have besides that of OpenAI's samples."""

from typing import Any, cast

import pytest

from tests.adopted.hosts import Host, check_reload
from tests.adopted.servers.switchboard import SwitchboardServer
from tests.mcp.conftest import STDIO
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer


@pytest.mark.parametrize("way", ["session", "response_id", "whole", "by_hand"])
async def test_both_messages_are_answered(host: Host, upstream: OpenAIServer, way: str) -> None:
    upstream.script(Answer("Whom do you want?"), Answer("One moment."))
    async with host.serve(SwitchboardServer(way)) as tab:
        reply = await tab.create("Good morning")
        assert (reply.error, reply.text) == (None, "Whom do you want?")
        assert (await tab.send(reply.thread_id, "The police")).text == "One moment."
        await check_reload(tab, reply.thread_id)
    first, second = (request.body for request in upstream.requests)
    assert "Good morning" in str(first["input"])
    match way:
        case "session" | "whole":
            assert "Whom do you want?" in str(second["input"])
        case "response_id":
            assert second["previous_response_id"].startswith("resp_")
    if way == "whole":
        assert (first["temperature"], first["instructions"]) == (0.1, "Connect people quickly.")


@pytest.mark.parametrize("host", ["ours"], indirect=True)
async def test_a_connection_to_an_mcp_server_lasts_as_long_as_the_answer(host: Host, upstream: OpenAIServer) -> None:
    upstream.script(Answer(tool_calls=[ToolCall("weather", {"city": "Bonn"})]), Answer("It rains."))
    async with host.serve(SwitchboardServer("mcp", cast(Any, STDIO))) as tab:
        reply = await tab.create("How is Bonn?")
        assert (reply.error, reply.text) == (None, "It rains.")
    assert "Rain in Bonn" in str(upstream.requests[1].body)
