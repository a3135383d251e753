"""The processes of a run: the fake model endpoint, the stock server and ours, each started as a user would."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp
import psutil  # type: ignore[import-untyped]  # it ships no types

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0

Kind = Literal["stock", "stock-uvloop", "ours"]


@dataclass(frozen=True)
class Server:
    """A running server: where it is and what it has used."""

    kind: Kind
    url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children up to now."""
        times = [p.cpu_times() for p in self._family()]
        return float(sum(t.user + t.system for t in times))

    def memory_bytes(self) -> int:
        """Resident memory of the process and its children."""
        return int(sum(p.memory_info().rss for p in self._family()))

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@asynccontextmanager
async def upstream(folder: Path) -> AsyncIterator[str]:
    """The fake model endpoint in a process of its own; gives its base URL."""
    command = ["-m", "tests.support.openai_server"]
    with _started(command, {}, folder / "upstream.log", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(await asyncio.to_thread(process.stdout.readline))
        yield f"http://127.0.0.1:{port}/v1"


@asynccontextmanager
async def server(kind: Kind, model_url: str, folder: Path) -> AsyncIterator[Server]:
    """One of the servers; it listens when this returns."""
    port = _free_port()
    work = folder / f"{kind}-{port}"
    work.mkdir()
    command, environment = _ours(port, model_url) if kind == "ours" else _stock(kind, port, model_url)
    with _started(command, environment, work / "server.log") as process:
        url = f"http://127.0.0.1:{port}/chatkit"
        if not await _listening(process, url):
            log = await asyncio.to_thread((work / "server.log").read_text, encoding="utf-8")
            raise RuntimeError(f"the {kind} server did not start; its log ends with:\n{log[-3000:]}")
        yield Server(kind, url, psutil.Process(process.pid))


def _ours(port: int, model_url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    environment = {
        "CHATKIT_BASE_URL": model_url,
        "CHATKIT_API": "responses",
        "CHATKIT_MODEL": "gpt-bench",
        "CHATKIT_TITLES": "false",  # the stock way makes none
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
    arguments: Sequence[str], environment: Mapping[str, str], log: Path, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of this repository, in the folder of its log; ended at the end."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHATKIT_", "OPENAI_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=log.parent,
            env={**kept, "PYTHONPATH": str(ROOT), **environment},
            stdout=stdout or output,
            stderr=output,
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _listening(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server answers a request; False where it ends, or does not."""
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
