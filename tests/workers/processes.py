"""Servers as separate processes, for tests that kill them."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.serving import SECRET, Tab

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0
COMMAND = "from chatkit_server.cli import app\n\nif __name__ == '__main__':\n    app()\n"
"""What pip writes as the script `chatkit-server`."""


def install_command(folder: Path) -> dict[str, str]:
    """Write the command `chatkit-server` of this checkout, as pip does; return the variables to run it in a shell."""
    folder.mkdir(exist_ok=True)
    command = folder / "chatkit-server"
    command.write_text(f"#!{sys.executable} -Wignore\n{COMMAND}", encoding="utf-8")
    command.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{ROOT / 'store'}"}


class Nursery:
    """The client of `nursery.py`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._turn = threading.Lock()

    def order(self, **order: Any) -> Any:
        """Have an order executed; blocks for some milliseconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Start a warm process; end it and all its children afterwards."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'store'}",
        "HOME": os.environ.get("HOME", "/"),
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.workers.nursery"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    ) as process:
        yield Nursery(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=10)


@dataclass
class Worker:
    """A server process."""

    nursery: Nursery
    number: int
    log: Path
    url: str = ""

    def kill(self) -> None:
        """Send SIGKILL, which allows no cleanup."""
        os.kill(self.number, signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM, for an orderly shutdown."""
        os.kill(self.number, signal.SIGTERM)

    def pause(self) -> None:
        """Stop the process, as on a machine that swaps or was suspended."""
        os.kill(self.number, signal.SIGSTOP)

    def go_on(self) -> None:
        """End the pause."""
        os.kill(self.number, signal.SIGCONT)

    async def gone(self, within: float = 60.0) -> int:
        """Wait for its end and return its exit code; until then a dead process is a zombie."""
        async with asyncio.timeout(within):
            while (code := await self._poll()) is None:  # noqa: ASYNC110 - it is another process's child
                await asyncio.sleep(0.02)
        return code

    async def ready(self) -> "Worker":
        """Wait until it serves. Raises `RuntimeError` with its log if it does not."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while (match := re.search(r"running on (http://\S+)", self.words())) is None:
                    if await self._poll() is not None:
                        raise RuntimeError(self.words())
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise RuntimeError(self.words()) from error
        self.url = match[1]
        return self

    async def _poll(self) -> int | None:
        code: int | None = await asyncio.to_thread(self.nursery.order, poll=self.number)
        return code

    def words(self) -> str:
        """Return its log."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def tab(self, other: Tab | None = None, *, same_frame: bool = False) -> Tab:
        """Return a browser at this worker: a new one, or that of `tab`, in a new frame unless it should be the same."""
        tab = Tab(self.url, cookies=None if other is None else other.cookies)
        if other is not None and same_frame:
            tab.frame_id = other.frame_id
            tab._headers["chatkit-frame-instance-id"] = other.frame_id
        return tab


async def fork(nursery: Nursery, folder: Path, name: str, settings: dict[str, Any]) -> Worker:
    """Start a server with these settings; it logs to `name`.log in `folder`."""
    values = {"secret": SECRET, "data_dir": folder, "model": "gpt-test", "titles": False, "model_retries": 0} | settings
    environment = {f"CHATKIT_{key.upper()}": str(value) for key, value in values.items()}
    log = folder / f"{name}.log"
    environment["PATH"] = os.environ["PATH"]
    return await (await run_command(nursery, ["serve", "--port", "0"], environment, folder, log)).ready()


async def run_command(
    nursery: Nursery, arguments: list[str], environment: dict[str, str], folder: Path, log: Path
) -> Worker:
    """Run `chatkit-server` with these arguments in a process of its own."""
    order = partial(nursery.order, run=arguments, environment=environment, folder=str(folder), log=str(log))
    return Worker(nursery, await asyncio.to_thread(order), log)
