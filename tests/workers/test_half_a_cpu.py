"""The walk of docs/deploy.md with two workers and half a CPU: start, restart by SIGHUP under load, and stop.

Its commands are those of the document.
"""

import asyncio
import os
import re
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.deploy.document import block
from tests.serving import SECRET, Tab
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.turns.coming_back import asking, read_up_to
from tests.workers.processes import install_command
from tests.workers.sql import select

PERIOD_SECONDS = 0.1
"""As a container's CPU quota: the processes run in one half of each period, and wait in the other."""
PATIENCE = 180
"""Seconds for anything: half a core of a machine that runs other tests as well."""
TALKERS = 3
START, RESTART = block("sh", "chatkit-server serve --workers 2"), block("sh", "kill -HUP")

pytestmark = [
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
    pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin processes to a core"),
]


class Serving:
    """A shell that runs `chatkit-server serve --workers 2`, with half a core of the machine."""

    def __init__(self, shell: Process, folder: Path) -> None:
        self.shell = shell
        self._folder = folder

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(encoding="utf-8")

    def pids(self, words: str) -> list[int]:
        """Return the process ids in the log after these words."""
        return [int(number) for number in re.findall(rf"{words} \[(\d+)\]", self.log)]

    async def logged(self, words: str, times: int = 1) -> None:
        """Wait until the log has these words."""
        async with asyncio.timeout(PATIENCE):
            while len(re.findall(words, self.log)) < times:
                assert self.shell.returncode is None, self.log
                await asyncio.sleep(0.05)

    async def throttle(self) -> None:
        """Let the processes run for half of the time."""
        try:
            while True:
                await asyncio.sleep(PERIOD_SECONDS / 2)
                os.killpg(self.shell.pid, signal.SIGSTOP)
                await asyncio.sleep(PERIOD_SECONDS / 2)
                os.killpg(self.shell.pid, signal.SIGCONT)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.shell.pid, signal.SIGCONT)

    async def run(self, commands: str) -> None:
        """Run commands beside the server."""
        process = await asyncio.create_subprocess_exec("sh", "-euc", commands, cwd=self._folder)
        assert await process.wait() == 0

    def stop(self) -> None:
        """Send SIGTERM to the server; the shell waits for its end."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self._folder / "chat.pid").read_text(encoding="utf-8")), signal.SIGTERM)


@asynccontextmanager
async def serving(folder: Path, environment: dict[str, str]) -> AsyncIterator[Serving]:
    core = min(os.sched_getaffinity(0))
    with (folder / "log").open("wb") as output:
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-euc", f"{START}\nwait"),
            cwd=folder,
            env=environment | install_command(folder),
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    server = Serving(shell, folder)
    throttle = asyncio.create_task(server.throttle())
    try:
        yield server
    finally:
        throttle.cancel()
        with suppress(asyncio.CancelledError, ProcessLookupError):
            await throttle
        server.stop()
        async with asyncio.timeout(PATIENCE):
            await shell.wait()


async def test_two_workers_are_restarted_at_half_a_cpu_without_a_lost_or_refused_message(
    engine: AsyncEngine, database_url: str, upstream: OpenAIServer, tmp_path: Path
) -> None:
    environment = {
        "CHATKIT_DATABASE_URL": database_url,
        "CHATKIT_SECRETS": SECRET,
        "CHATKIT_MODEL": "gpt-test",
        "CHATKIT_BASE_URL": upstream.base_url,
        "CHATKIT_TITLES": "false",
        "CHATKIT_DRAIN_SECONDS": str(PATIENCE),
        "CHATKIT_PORT": "0",
        "OPENAI_API_KEY": "sk-test",
    }
    async with serving(tmp_path, environment) as server:
        await server.logged("running on")
        url = re.findall(r"running on (http://\S+)", server.log)[0]
        await server.logged("Application startup complete", 2)
        first = server.pids("Started server process")
        upstream.script(Answer("one two three four", hang_after=2))
        replaced = asyncio.Event()
        talks: list[int] = []

        async def talk() -> None:
            while not replaced.is_set():
                async with Tab(url, timeout=PATIENCE) as tab:  # a new connection
                    reply = await tab.create("Hello")
                assert (reply.status, reply.error, reply.text) == (200, None, "Hello from the fake model.")
                talks.append(reply.status)

        async with Tab(url, timeout=PATIENCE) as tab, asking(tab, "Count") as answer, asyncio.TaskGroup() as tasks:
            await read_up_to(answer, "one two", within=PATIENCE)
            for _ in range(TALKERS):
                tasks.create_task(talk())
            await server.run(RESTART)
            await server.logged("Terminated child process")
            await server.logged("Application startup complete", 3)
            upstream.release()
            await answer.read()
            await server.logged("Finished server process", 2)
            replaced.set()
        assert (answer.error, answer.text) == (None, "one two three four")
        assert len(talks) >= TALKERS
        assert sorted(server.pids("Terminated child process")) == sorted(first)
        assert "died" not in server.log
        assert set(await select(engine, "SELECT status, stop_reason FROM turns")) == {("completed", None)}
        assert len(server.pids("Started server process")) == 4
        (tmp_path / ".env").write_text("CHATKIT_AGENT=nothing:here\n", encoding="utf-8")
        await server.run(RESTART)
        await server.logged("keeping worker")
        assert "CHATKIT_AGENT=nothing:here: there is no module" in server.log
        async with Tab(url, timeout=PATIENCE) as tab:
            assert (await tab.create("Hello")).text == "Hello from the fake model."
