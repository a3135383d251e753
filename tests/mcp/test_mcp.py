"""The agent has the tools of an MCP server while it is connected, and works without them otherwise."""

import asyncio
import logging
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, function_tool
from pydantic import ValidationError

from chatkit_server.mcp.connection import McpTimeouts
from tests.mcp.conftest import STDIO, Process, Start, reported, until_reported
from tests.serving import Served, make_settings, serve
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer

NAMES = {"weather", "weather_tomorrow", "takes_long", "breaks", "dies"}

ports = pytest.mark.parametrize("process", ["streamable_http", "sse"], indirect=True)
http = pytest.mark.parametrize("process", ["streamable_http"], indirect=True)


def asks_weather() -> tuple[Answer, Answer]:
    return Answer(tool_calls=[ToolCall("weather", {"city": "Rome"})]), Answer("It rains.")


def offered(upstream: OpenAIServer, number: int = -1) -> set[str]:
    """Return the names of the tools in a request."""
    return {tool["name"] for tool in upstream.requests[number].body.get("tools", ())}


def tool_output(upstream: OpenAIServer) -> str:
    """Return the output of the last tool call as sent to the model."""
    outputs = [item for item in upstream.requests[-1].body["input"] if item.get("type") == "function_call_output"]
    return str(outputs[-1]["output"])


def pid_in(output: str) -> int:
    match = re.search(r"pid=(\d+)", output)
    assert match is not None, output
    return int(match[1])


async def ask_weather(served: Served, upstream: OpenAIServer) -> str:
    """Send a message whose answer calls the tool; return the tool's output."""
    upstream.script(*asks_weather())
    async with served.tab() as tab:
        reply = await tab.create("How is the weather?")
        assert (reply.text, reply.error) == ("It rains.", None)
        assert (await tab.reload(reply.thread_id)).texts()[-1] == ("assistant", "It rains.")
    return tool_output(upstream)


async def ask_plainly(served: Served) -> None:
    async with served.tab() as tab:
        reply = await tab.create("Hello")
        assert (reply.text, reply.error) == ("Hello from the fake model.", None)


async def test_the_agent_calls_a_tool_of_a_server_started_by_us(start: Start, upstream: OpenAIServer) -> None:
    os.environ["A_KEY"] = "our key"
    try:
        served = await start({"weather": {**STDIO, "env": {"GREETING": "hello"}}})
    finally:
        del os.environ["A_KEY"]
    assert await reported(served) == {"weather": "ok"}
    output = await ask_weather(served, upstream)
    assert "Rain in Rome." in output
    assert "greeting=hello key=None" in output, "the process gets the variables of its settings and none of our keys"
    assert offered(upstream) >= NAMES | {"current_time"}, "besides its own tools, by valid names"


@ports
async def test_the_agent_calls_a_tool_of_a_server_with_a_url(
    start: Start, upstream: OpenAIServer, process: Process
) -> None:
    await process.start()
    served = await start({"weather": process.spec})
    assert "Rain in Rome." in await ask_weather(served, upstream)


async def test_a_server_started_by_us_is_restarted_when_it_dies(
    start: Start, upstream: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    served = await start({"weather": STDIO})
    with caplog.at_level(logging.INFO, "chatkit_server"):
        first = pid_in(await ask_weather(served, upstream))
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(10):
            while "the MCP server weather is away" not in caplog.text:  # noqa: ASYNC110 - the log has no event
                await asyncio.sleep(0.01)
        await until_reported(served, {"weather": "ok"})
        assert pid_in(await ask_weather(served, upstream)) != first


@ports
async def test_a_server_that_comes_back_is_used_again_and_its_tools_are_missing_until_then(
    start: Start, upstream: OpenAIServer, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    await process.start()
    served = await start({"weather": process.spec})
    await ask_weather(served, upstream)
    await process.kill()
    await until_reported(served, {"weather": "away"})
    await ask_plainly(served)
    assert offered(upstream) & NAMES == set()
    assert "its tools are missing" in caplog.text
    await process.start()
    await until_reported(served, {"weather": "ok"})
    assert "Rain in Rome." in await ask_weather(served, upstream)


@http
async def test_a_server_that_starts_later_is_used_from_then_on(
    start: Start, upstream: OpenAIServer, process: Process
) -> None:
    served = await start({"weather": process.spec, "nothing": {"command": "/no/such/program"}})
    assert await reported(served) == {"weather": "away", "nothing": "away"}
    await ask_plainly(served)
    await process.start()
    await until_reported(served, {"weather": "ok", "nothing": "away"})
    assert "Rain in Rome." in await ask_weather(served, upstream)


async def test_a_server_that_dies_during_a_call_fails_only_that_call(start: Start, upstream: OpenAIServer) -> None:
    served = await start({"weather": STDIO})
    await until_reported(served, {"weather": "ok"}, within=120)
    upstream.script(Answer(tool_calls=[ToolCall("dies")]), Answer("It is gone."))
    async with served.tab() as tab:
        reply = await tab.create("Die")
        assert (reply.text, reply.error) == ("It is gone.", None)
    assert "error" in tool_output(upstream).lower()
    await until_reported(served, {"weather": "ok"})
    assert "Rain in Rome." in await ask_weather(served, upstream)


async def test_the_model_reads_the_error_of_a_tool_that_fails(
    start: Start, upstream: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    served = await start({"weather": STDIO})
    upstream.script(Answer(tool_calls=[ToolCall("breaks")]), Answer("It broke."))
    with caplog.at_level(logging.DEBUG, "chatkit_server"):
        async with served.tab() as tab:
            assert (await tab.create("Break")).text == "It broke."
    assert "no thermometer" not in caplog.text
    await until_reported(served, {"weather": "ok"})


async def test_the_agents_own_tool_takes_precedence_over_one_of_the_same_name(
    start: Start, upstream: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    @function_tool
    def weather(city: str) -> str:
        """Return the weather, as the agent's own tool."""
        return f"Snow in {city}."

    agent = Agent[Any](name="Weather", tools=[weather])
    served = await start({"one": STDIO, "two": {**STDIO, "tools": ["weather", "breaks"]}}, agent)
    await until_reported(served, {"one": "ok", "two": "ok"}, within=120)
    assert "Snow in Rome." in await ask_weather(served, upstream)
    names = [tool["name"] for tool in upstream.requests[0].body["tools"]]
    assert sorted(names) == sorted(NAMES)
    assert agent.tools == [weather], "the user's agent is unchanged"
    assert "the tool breaks of an MCP server is left out" in caplog.text


async def test_a_tool_with_an_invalid_name_is_called_by_a_cleaned_name(start: Start, upstream: OpenAIServer) -> None:
    served = await start({"weather": STDIO})
    upstream.script(Answer(tool_calls=[ToolCall("weather_tomorrow", {"city": "Rome"})]), Answer("Sun."))
    async with served.tab() as tab:
        assert (await tab.create("And tomorrow?")).text == "Sun."
    assert "Sun in Rome." in tool_output(upstream)


async def test_a_server_that_hangs_delays_one_answer_briefly_and_is_replaced(
    start: Start, upstream: OpenAIServer, timeouts: McpTimeouts
) -> None:
    timeouts.check = 60.0
    served = await start({"weather": {**STDIO, "seconds": 1}})
    first = pid_in(await ask_weather(served, upstream))
    timeouts.list_tools = 0.2
    os.kill(first, signal.SIGSTOP)
    await ask_plainly(served)
    assert offered(upstream) & NAMES == set()
    await until_reported(served, {"weather": "away"})
    timeouts.list_tools = 20.0
    await until_reported(served, {"weather": "ok"})
    assert pid_in(await ask_weather(served, upstream)) != first


async def test_a_busy_server_is_not_reconnected(
    start: Start, upstream: OpenAIServer, timeouts: McpTimeouts, tmp_path: Path
) -> None:
    timeouts.list_tools = 0.1
    served = await start({"weather": STDIO})
    done = tmp_path / "done"
    upstream.script(Answer(tool_calls=[ToolCall("takes_long", {"until": str(done)})]))
    async with served.tab() as tab:
        reply = asyncio.create_task(tab.create("Take your time"))
        await upstream.wait_for_request(1)
        while await reported(served) == {"weather": "ok"}:
            await ask_plainly(served)  # without its tools
        done.touch()
        assert (await reply).error is None
    assert "done at last" in str(upstream.requests[-1].body["input"])
    await until_reported(served, {"weather": "ok"})


@pytest.mark.parametrize("approve", [True, ["weather"]], ids=["all", "by name"])
async def test_a_call_waits_for_approval_if_the_settings_require_it(
    start: Start, upstream: OpenAIServer, approve: Any
) -> None:
    served = await start({"weather": {**STDIO, "approve": approve}})
    upstream.script(asks_weather()[0])
    async with served.tab() as tab:
        thread_id = (await tab.create("How is the weather?")).thread_id
        (card,) = tab.pictures[thread_id].of_type("widget")
        upstream.script(asks_weather()[1])
        action = find_action(card["widget"], "Approve")
        reply = await tab.action(thread_id, action["type"], action["payload"], card["id"])
        assert (reply.text, reply.error) == ("It rains.", None)
    assert "Rain in Rome." in tool_output(upstream)
    assert offered(upstream) >= NAMES


def find_action(component: Any, label: str) -> Any:
    """Return the action of the button with this label."""
    if component.get("label") == label:
        return component["onClickAction"]
    actions = (find_action(child, label) for child in component.get("children", ()))
    return next((action for action in actions if action is not None), None)


async def test_only_the_tools_named_in_the_settings_are_used(start: Start, upstream: OpenAIServer) -> None:
    served = await start({"weather": {**STDIO, "tools": ["weather"]}})
    await ask_plainly(served)
    assert offered(upstream) & NAMES == {"weather"}


async def test_users_can_choose_a_tool_of_a_server_and_a_missing_tool_is_ignored(
    start: Start, upstream: OpenAIServer
) -> None:
    served = await start({"weather": STDIO}, tools="weather")
    choice = {"inference_options": {"tool_choice": {"id": "weather"}}}
    upstream.script(*asks_weather())
    async with served.tab() as tab:
        assert (await tab.create("Weather?", **choice)).text == "It rains."
    assert upstream.requests[0].body["tool_choice"] == {"type": "function", "name": "weather"}
    other = await start({"weather": {"command": "/no/such/program"}}, tools="weather")
    async with other.tab() as tab:
        assert (await tab.create("Weather?", **choice)).text == "Hello from the fake model."


async def test_closing_ends_the_servers_processes_and_leaves_no_task(upstream: OpenAIServer, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    servers = {"weather": STDIO}
    async with serve(
        tmp_path, mcp_servers=servers, model="gpt-test", base_url=upstream.base_url, api="responses"
    ) as served:
        pid = pid_in(await ask_weather(served, upstream))
    async with asyncio.timeout(10):
        while is_alive(pid):  # noqa: ASYNC110 - the other process has no event
            await asyncio.sleep(0.02)
    leftovers = {task for task in asyncio.all_tasks() - before if "RequestHandler.start" not in str(task.get_coro())}
    assert leftovers == set()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_without_servers_there_are_no_problems(tmp_path: Path) -> None:
    async with serve(tmp_path, mcp_servers={}) as served:
        assert served.services.server.mcp.problems() == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "either a command or a url"),
        ({"command": "a", "url": "http://b"}, "either a command or a url"),
        ({"url": "nowhere"}, "match pattern"),
        ({"url": "http://b", "transport": "carrier pigeon"}, "'streamable_http' or 'sse'"),
        ({"comand": "a"}, "has no comand; did you mean command"),
    ],
)
def test_invalid_servers_are_rejected(tmp_path: Path, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_settings(tmp_path, mcp_servers={"x": spec})


def test_the_repr_of_the_settings_contains_no_keys_of_servers(tmp_path: Path) -> None:
    servers = {"x": {"url": "http://b/mcp?token=hidden", "headers": {"Authorization": "Bearer hidden"}}}
    settings = make_settings(tmp_path, mcp_servers=servers)
    assert "hidden" not in repr(settings)
    assert "hidden" not in repr(settings.mcp_servers)
