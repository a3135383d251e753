"""The walk of docs/deploy.md with two workers and half a CPU: start, restart by SIGHUP under load, and stop."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.serving import SECRET, Tab
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer
from tests.turns.coming_back import asking, read_up_to
from tests.workers.processes import ROOT
from tests.workers.sql import select
from tests.workers.test_serve_workers import COMMAND

PERIOD_SECONDS = 0.1
"""As a container's CPU quota: the processes run in one half of each period, and wait in the other."""
PATIENCE = 180
"""Seconds for anything: half a core of a machine that runs other tests as well."""
TALKERS = 3

pytestmark = [
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
    pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin processes to a core"),
]


class Serving:
    """`chatkit-server serve --workers 2` with half a core of the machine."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def pids(self, words: str) -> list[int]:
        """Return the process ids in the log after these words."""
        return [int(number) for number in re.findall(rf"{words} \[(\d+)\]", self.log)]

    async def logged(self, words: str, times: int = 1) -> None:
        """Wait until the log has these words."""
        async with asyncio.timeout(PATIENCE):
            while len(re.findall(words, self.log)) < times:
                assert self.process.returncode is None, self.log
                await asyncio.sleep(0.05)

    async def throttle(self) -> None:
        """Let the processes run for half of the time."""
        try:
            while True:
                await asyncio.sleep(PERIOD_SECONDS / 2)
                os.killpg(self.process.pid, signal.SIGSTOP)
                await asyncio.sleep(PERIOD_SECONDS / 2)
                os.killpg(self.process.pid, signal.SIGCONT)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGCONT)


@asynccontextmanager
async def serving(folder: Path, environment: dict[str, str]) -> AsyncIterator[Serving]:
    (folder / "chatkit-server").write_text(COMMAND, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "chatkit-server", "serve", "--workers", "2", "--port", "0"]
    log = folder / "log"
    core = min(os.sched_getaffinity(0))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environment | {"PATH": os.environ["PATH"], "PYTHONPATH": f"{folder}:{ROOT}:{ROOT / 'store'}"},
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    server = Serving(process, log)
    throttle = asyncio.create_task(server.throttle())
    try:
        yield server
    finally:
        throttle.cancel()
        with suppress(asyncio.CancelledError, ProcessLookupError):
            await throttle
        with suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(PATIENCE):
            await process.wait()


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
            server.process.send_signal(signal.SIGHUP)
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
