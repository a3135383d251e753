"""Start the processes of a run: the fake model endpoint, the stock server and ours, as a user would."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import aiohttp
import psutil  # type: ignore[import-untyped]  # it ships no types

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0

Kind = Literal[
    "stock",
    "stock-uvloop",
    "ours",
    "ours-unflushed",
    "ours-limited",
    "ours-no-journal",
    "ours-postgres",
    "ours-postgres-no-journal",
]

OVERRIDES: dict[Kind, Mapping[str, str]] = {
    "ours-unflushed": {"CHATKIT_FLUSH_MS": "0"},
    "ours-limited": {"CHATKIT_TURNS_PER_MINUTE": "30"},
    "ours-no-journal": {"CHATKIT_JOURNAL_MS": "0"},
    "ours-postgres-no-journal": {"CHATKIT_JOURNAL_MS": "0"},
}
"""Settings of the variants of our server."""


def server_cores() -> set[int]:
    """Return the core reserved for servers, or an empty set if there is only one core."""
    cores = sorted(_available())
    return set(cores[:1]) if len(cores) > 1 else set()


def load_cores() -> set[int]:
    """Return the cores for everything else."""
    return _available() - server_cores()


@cache
def _available() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@dataclass(frozen=True)
class Endpoint:
    """A fake model endpoint."""

    url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Return the user and system time of the process so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@dataclass(frozen=True)
class Server:
    """A running server and its resource usage."""

    kind: Kind
    url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Return the user and system time of the process and its children so far."""
        times = [p.cpu_times() for p in self._family()]
        return float(sum(t.user + t.system for t in times))

    def memory_bytes(self) -> int:
        """Return the resident memory of the process and its children."""
        return int(sum(p.memory_info().rss for p in self._family()))

    def waited_seconds(self) -> float:
        """Return how long the process was ready to run while others used its core; 0 if the system does not say."""
        with suppress(OSError):
            return int(Path(f"/proc/{self.process.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return 0.0

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@asynccontextmanager
async def upstream(folder: Path, module: str) -> AsyncIterator[Endpoint]:
    """Run a fake model endpoint in a separate process."""
    with _started(["-m", module], {}, folder / f"{module}.log", load_cores(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(await asyncio.to_thread(process.stdout.readline))
        yield Endpoint(f"http://127.0.0.1:{port}/v1", psutil.Process(process.pid))


@asynccontextmanager
async def server(kind: Kind, model_url: str, folder: Path, database: str | None = None) -> AsyncIterator[Server]:
    """Run a server; yields once it listens. `database` is a URL for ours to use instead of SQLite."""
    port = _free_port()
    work = folder / f"{kind}-{port}"
    work.mkdir()
    is_stock = kind in ("stock", "stock-uvloop")
    command, environment = _stock(kind, port, model_url) if is_stock else _ours(kind, port, model_url, database)
    with _started(command, environment, work / "server.log", server_cores()) as process:
        url = f"http://127.0.0.1:{port}/chatkit"
        if not await _wait_until_listening(process, url):
            log = await asyncio.to_thread((work / "server.log").read_text, encoding="utf-8")
            raise RuntimeError(f"the {kind} server did not start; the end of its log:\n{log[-3000:]}")
        yield Server(kind, url, psutil.Process(process.pid))


def _ours(kind: Kind, port: int, model_url: str, database: str | None) -> tuple[Sequence[str], Mapping[str, str]]:
    environment = {
        **OVERRIDES.get(kind, {}),
        **({"CHATKIT_DATABASE_URL": database} if database else {}),
        "CHATKIT_BASE_URL": model_url,
        "CHATKIT_API": "responses",
        "CHATKIT_MODEL": "gpt-bench",
        "CHATKIT_NEW_USERS_PER_MINUTE": "1000000",  # each client is one
        "CHATKIT_RUNNING_TURNS": "1000000",
        "CHATKIT_TITLES": "false",  # the stock server makes none
        "OPENAI_API_KEY": "bench",
    }
    return ["-m", "chatkit_server", "serve", "--host", "127.0.0.1", "--port", str(port)], environment


def _stock(kind: Kind, port: int, model_url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    wire = (
        ["--loop", "uvloop", "--http", "httptools"]
        if kind == "stock-uvloop"
        else ["--loop", "asyncio", "--http", "h11"]
    )
    command = ["-m", "uvicorn", "--factory", "bench.stock_app:from_environment", "--port", str(port), *wire]
    return command, {"BENCH_UPSTREAM": model_url}


@contextmanager
def _started(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    cores: set[int],
    stdout: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python process of this repository in the folder of its log; terminate it on exit."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("CHATKIT_", "OPENAI_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=log.parent,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            stdout=stdout or output,
            stderr=output,
        )
        if cores:  # before it starts threads, which inherit this
            os.sched_setaffinity(process.pid, cores)
        try:
            yield process
        finally:
            _terminate(process)


def _terminate(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _wait_until_listening(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server answers a request. Returns False if it exits or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    body = {"type": "threads.list", "params": {"limit": 1}}
    async with aiohttp.ClientSession() as session:
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(aiohttp.ClientConnectionError):
                async with session.post(url, json=body) as response:
                    if response.status == 200:
                        return True
            await asyncio.sleep(0.1)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
