"""Start the processes of a run: the model endpoint, the relay, the stock server and ours, as a user would."""

import asyncio
import compileall
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.client import TooSlow
from bench.machine import (
    ROOT,
    cpu_seconds,
    load_cores,
    memory_bytes,
    private_bytes,
    server_cores,
    unsent_bytes,
    waited_seconds,
)

START_SECONDS = 60.0
POLL_SECONDS = 0.01

KINDS: dict[str, tuple[str, Mapping[str, str]]] = {
    "stock": ("stock, asyncio + h11", {}),
    "ours": ("ours", {}),
    "relay": ("bare relay", {}),
    "ours-slow-path": ("ours, CHATKIT_FAST_PATH=false", {"CHATKIT_FAST_PATH": "false"}),
    "ours-flush-40": ("ours, CHATKIT_FLUSH_MS=40", {"CHATKIT_FLUSH_MS": "40"}),
    "ours-flush-100": ("ours, CHATKIT_FLUSH_MS=100", {"CHATKIT_FLUSH_MS": "100"}),
    "ours-no-journal": ("ours, CHATKIT_JOURNAL_MS=0", {"CHATKIT_JOURNAL_MS": "0"}),
    "stock-uvloop": ("stock, uvloop + httptools", {}),
    "ours-titles": ("ours, with titles", {"CHATKIT_TITLES": "true"}),
    "ours-limited": ("ours, with a limit per user", {"CHATKIT_TURNS_PER_MINUTE": "30"}),
    "ours-postgres": ("ours, PostgreSQL", {}),
}
"""Names of the servers, and of the settings with which ours is measured."""

STOCK_SERVERS = {"stock": ("asyncio", "h11"), "stock-uvloop": ("uvloop", "httptools")}
"""uvicorn's event loop and protocol: those of openai-chatkit's samples, and the fastest that it has."""

HEADER_LOGIN = {"CHATKIT_AUTH": "header", "CHATKIT_TRUSTED_PROXIES": "127.0.0.1"}
"""Lets a client say who it is, in X-Forwarded-User."""


@dataclass(frozen=True)
class Program:
    """A running process that listens on `port`."""

    kind: str
    port: int
    process: int

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process)

    def waited_seconds(self) -> float:
        return waited_seconds(self.process)

    def memory_bytes(self) -> int:
        return memory_bytes(self.process)

    def private_bytes(self) -> int:
        return private_bytes(self.process)

    def unsent_bytes(self) -> int | None:
        return unsent_bytes(self.port)


@dataclass(frozen=True)
class Server(Program):
    """A running server."""

    start_seconds: float
    """From its start until it listened."""
    start_cpu: float
    """The CPU seconds of that."""
    folder: Path


@asynccontextmanager
async def endpoint(folder: Path) -> AsyncIterator[Program]:
    """Run a model endpoint."""
    log = folder / "endpoint.log"
    with _started(["-m", "bench.endpoint"], {}, log, load_cores(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(await asyncio.to_thread(process.stdout.readline))
        yield Program("endpoint", port, process.pid)


@asynccontextmanager
async def server(
    kind: str, endpoint_port: int, folder: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """Run a server; yields once it listens.

    `settings` are more variables of its environment. Raises `RuntimeError` if it exits instead, `TooSlow` if it takes
    longer than `START_SECONDS`, both with the end of its log.
    """
    port = _free_port()
    work = folder / f"{kind}-{port}"
    work.mkdir()
    command, environment = _command(kind, port, endpoint_port)
    _compile_sources()
    began = time.monotonic()
    with _started(command, {**environment, **(settings or {})}, work / "server.log", server_cores()) as process:
        if not await _wait_until_listening(process, port):
            log = await asyncio.to_thread((work / "server.log").read_text, encoding="utf-8")
            raise not_started(kind, process.poll(), log)
        cpu = cpu_seconds(process.pid)
        yield Server(kind, port, process.pid, time.monotonic() - began, cpu, work)


def not_started(kind: str, exit_code: int | None, log: str) -> Exception:
    """Return the error of a server that exited or, without an exit code, does not listen yet."""
    end = f"the end of its log:\n{log[-3000:]}" if log.strip() else "its log is empty"
    if exit_code is not None:
        return RuntimeError(f"the {kind} server exited with {exit_code} before it listened; {end}")
    return TooSlow(f"the {kind} server did not listen within {START_SECONDS:.0f} s, the machine may be busy; {end}")


@cache
def _compile_sources() -> None:
    """Compile what the servers import from this repository, as an installation does.

    Where Python may not write compiled modules (PYTHONDONTWRITEBYTECODE), each of our starts would compile 500 files.
    Those of stock are installed.
    """
    for folder in ("chatkit_server", "store/chatkit_store", "bench"):
        compileall.compile_dir(ROOT / folder, quiet=2)


def _command(kind: str, port: int, endpoint_port: int) -> tuple[Sequence[str], Mapping[str, str]]:
    model_url = f"http://127.0.0.1:{endpoint_port}/v1"
    if kind == "relay":
        return ["-m", "bench.relay", str(port), str(endpoint_port)], {}
    if kind in STOCK_SERVERS:
        command = ["-m", "uvicorn", "--factory", "bench.stock_app:from_environment", "--port", str(port)]
        loop, http = STOCK_SERVERS[kind]
        return [*command, "--no-access-log", "--loop", loop, "--http", http], {"BENCH_UPSTREAM": model_url}
    environment = {
        "CHATKIT_BASE_URL": model_url,
        "CHATKIT_API": "responses",
        "CHATKIT_MODEL": "gpt-bench",
        "CHATKIT_NEW_USERS_PER_MINUTE": "1000000",  # each client is one
        "CHATKIT_RUNNING_TURNS": "1000000",
        "CHATKIT_TITLES": "false",  # the stock server makes none
        "OPENAI_API_KEY": "bench",
    }
    command = ["-m", "chatkit_server", "serve", "--host", "127.0.0.1", "--port", str(port)]
    return command, {**environment, **KINDS[kind][1]}


@contextmanager
def _started(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path, cores: set[int], stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python process of this repository in the folder of its log; end it on exit."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("CHATKIT_", "OPENAI_"))}
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "store")])}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=log.parent,
            env={**inherited, **paths, **environment},
            stdout=stdout or output,
            stderr=output,
        )
        try:
            if cores:  # before it starts threads, which inherit this
                os.sched_setaffinity(process.pid, cores)
            yield process
        finally:
            process.kill()  # a server would wait for its answers
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


async def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server accepts a connection. Returns False if it exits or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(POLL_SECONDS)
        else:
            writer.close()
            return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
