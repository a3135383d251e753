"""The server stops during an answer: the partial answer is kept, and the turn is interrupted."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_server import create_app
from chatkit_server.startup.stop_signal import on_stop_signal
from tests.conftest import checked_out
from tests.serving import SECRET, make_settings
from tests.support.chatkit import user_input
from tests.support.live_server import live
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer
from tests.support.sse import RawStream
from tests.turns.chat import Chat, all_tasks, thread_of

ROOT = Path(__file__).parents[2]
CREATE = {"type": "threads.create", "params": {"input": user_input("Count")}}
ANSWER = Answer("one two three", hang_after=2)


@asynccontextmanager
async def process(
    folder: Path, database_url: str, upstream: OpenAIServer, drain_seconds: float = 0, agent: str = ""
) -> AsyncIterator[tuple[str, Process]]:
    """Run `python -m chatkit_server serve`; yield it and its base URL."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "CHATKIT_DATABASE_URL": database_url,
        "CHATKIT_BASE_URL": upstream.base_url,
        "CHATKIT_MODEL": "gpt-test",
        "CHATKIT_TITLES": "false",
        "CHATKIT_SECRET": SECRET,
        "CHATKIT_DATA_DIR": str(folder),
        "CHATKIT_DRAIN_SECONDS": str(drain_seconds),
    }
    if agent:
        environment |= {"CHATKIT_AGENT": agent, "CHATKIT_STOP_SECONDS": "1"}
    command = [sys.executable, "-m", "chatkit_server", "serve", "--port", "0"]
    serving = await asyncio.create_subprocess_exec(*command, env=environment, cwd=folder, stderr=subprocess.PIPE)
    try:
        yield await announced_url(serving), serving
    finally:
        if serving.returncode is None:
            serving.kill()
            await serving.communicate()


async def announced_url(serving: Process) -> str:
    assert serving.stderr is not None
    log = ""
    async with asyncio.timeout(180):
        async for line in serving.stderr:
            log += line.decode()
            if match := re.search(r"running on (http://\S+)", log):
                return match[1]
    raise RuntimeError(log)


async def test_a_signal_ends_the_open_answer_and_then_the_process(
    engine: AsyncEngine, database_url: str, upstream: OpenAIServer, tmp_path: Path
) -> None:
    upstream.script(ANSWER)
    async with (
        process(tmp_path, database_url, upstream) as (url, serving),
        await RawStream.post(url, "/chatkit", CREATE) as stream,
    ):
        await stream.read_until(lambda frame: ' two"' in frame.data)
        serving.terminate()
        await stream.read_to_end(within=9)
        assert stream.ended, "the answer was cut off"
        assert [event["type"] for event in stream.events[-2:]] == ["thread.item.done", "error"]
        assert "restarted before the answer was complete" in stream.events[-1]["message"]
        assert stream.events[-1]["allow_retry"]
        await upstream.requests[0].wait_closed()
        async with asyncio.timeout(9):
            log = (await serving.communicate())[1].decode()
        assert serving.returncode == -signal.SIGTERM
        assert "Traceback" not in log
        assert " ERROR " not in log
        chat = Chat(create_app(make_settings(tmp_path, database_url=database_url)), url, upstream, engine)
        thread_id = thread_of(stream)
        assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two")]
        assert await chat.items(thread_id) == ["user_message", "assistant_message"]
        assert await chat.turns(thread_id) == [("interrupted", "shutdown")]


AGENT = """
import time
from agents import Agent, function_tool

@function_tool
def sleep() -> str:
    time.sleep(600)
    return "late"

@function_tool
def interrupt() -> str:
    raise KeyboardInterrupt

agent = Agent(name="test", tools=[sleep, interrupt])
"""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_keyboard_interrupt_ends_the_process_with_a_failure_and_waits_for_no_tool(
    engine: AsyncEngine, database_url: str, upstream: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / "interrupting.py").write_text(AGENT, encoding="utf-8")
    upstream.script(Answer(tool_calls=[ToolCall("sleep"), ToolCall("interrupt")]))
    async with (
        process(tmp_path, database_url, upstream, agent="interrupting:agent") as (url, serving),
        await RawStream.post(url, "/chatkit", CREATE) as stream,
    ):
        await stream.read_to_end()
        async with asyncio.timeout(60):
            log = (await serving.communicate())[1].decode()
        assert serving.returncode == 1
        assert "this process exits with code 1" in log


async def test_the_end_of_the_lifespan_keeps_the_partial_answer(
    engine: AsyncEngine, database_url: str, upstream: OpenAIServer, tmp_path: Path
) -> None:
    upstream.script(ANSWER)
    settings = make_settings(tmp_path, database_url=database_url, model="gpt-test", base_url=upstream.base_url)
    app = create_app(settings)
    async with live(app, graceful=0) as url:
        stream = await RawStream.post(url, "/chatkit", CREATE)
        await stream.read_until(lambda frame: ' two"' in frame.data)
    assert upstream.requests[0].client_gone
    await stream.read_to_end()  # ends, with or without an error
    stream.close()
    chat = Chat(app, url, upstream, engine)
    thread_id = thread_of(stream)
    assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two")]
    assert await chat.turns(thread_id) == [("interrupted", "shutdown")]
    assert checked_out(chat.services.engine) == 0


async def test_an_answer_cut_off_by_the_http_server_counts_as_interrupted(chat: Chat) -> None:
    chat.upstream.script(ANSWER)
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        await stream.read_until(lambda frame: ' two"' in frame.data)
        for task in all_tasks():
            if "run_asgi" in str(task.get_coro()):
                task.cancel()
        thread_id = thread_of(stream)
        await chat.ended(thread_id)
        assert await chat.messages(thread_id) == [("user", "Count"), ("assistant", "one two")]
        assert await chat.turns(thread_id) == [("interrupted", "shutdown")]


async def test_no_turn_starts_during_shutdown(chat: Chat) -> None:
    chat.upstream.script(ANSWER)
    async with await chat.visitor() as tab, await chat.ask(tab, "Count") as stream:
        await stream.read_until(lambda frame: ' two"' in frame.data)
        chat.services.turns.shutdown.interrupt()
        await stream.read_to_end()
        assert stream.ended
        reply = await tab.send(thread_of(stream), "Go on")
        assert (reply.status, reply.body["code"]) == (503, "server_stopping")
        assert await chat.messages(thread_of(stream)) == [("user", "Count"), ("assistant", "one two")]
        assert len(chat.upstream.requests) == 1


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """Install a server's own SIGINT handler; yield the signals that it received."""
    signals: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: signals.append(number))
    yield signals
    signal.signal(signal.SIGINT, before)


async def test_a_stop_signal_reaches_our_handler_and_then_the_servers(heard: list[int]) -> None:
    handler, stopped = signal.getsignal(signal.SIGINT), asyncio.Event()
    with on_stop_signal(stopped.set):
        signal.raise_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            await stopped.wait()
    assert heard == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is handler


async def test_a_signal_without_a_handler_is_left_alone() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with on_stop_signal(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_outside_the_main_thread_signals_are_left_alone(heard: list[int]) -> None:
    handler = signal.getsignal(signal.SIGINT)

    async def in_a_loop_of_its_own() -> object:
        with on_stop_signal(lambda: None):
            return signal.getsignal(signal.SIGINT)

    assert await asyncio.to_thread(lambda: asyncio.run(in_a_loop_of_its_own())) is handler
