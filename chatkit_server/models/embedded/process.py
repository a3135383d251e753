"""Start and restart the embedded model's child process.

It is started on demand, at the latest by the first request, and never in a loop: a model that cannot be loaded costs
at most one attempt per request, with exponential backoff.
"""

import asyncio
import contextvars
import json
import logging
import os
import secrets
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import openai

from ...errors.failures import EmbeddedModelError
from ...errors.setup import ModelSetupError
from ..client.openai_client import make_client
from . import engine
from .engine import EngineOptions

logger = logging.getLogger(__name__)

LOAD_SECONDS = 120.0
"""How long the model may take to load."""
STOP_SECONDS = 2.0
EXIT_SECONDS = 0.5
"""How long to wait for the exit of a child whose connection broke."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
STEADY_SECONDS = 10.0
"""A child that lived this long was not broken from the start, so the backoff is reset."""


@dataclass(slots=True)
class Child:
    """One running child."""

    process: Process
    logs: asyncio.Task[None]
    last_lines: deque[str]
    """The end of its log."""
    started: float = field(default_factory=time.monotonic)
    url: str = ""
    client: openai.AsyncOpenAI | None = None

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None

    async def has_ended(self) -> bool:
        """Return whether the child has exited. Waits a moment: its connection may break before its exit is seen."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), EXIT_SECONDS)
        return not self.is_alive

    async def aclose(self) -> None:
        """Close the child's stdin, which makes it exit; kill it after `STOP_SECONDS`. Frees all its resources."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        await self.logs
        if self.client:
            await self.client.close()


class EmbeddedProcess:
    """Provides the running child process.

    `find_weights` runs in an OS thread: it may block and may raise `ModelSetupError`.
    """

    def __init__(
        self,
        find_weights: Callable[[], Path],
        *,
        name: str,
        context: int,
        timeout: float,
        load: float = LOAD_SECONDS,
        merged_tokens: int = 0,
    ) -> None:
        self._find_weights = find_weights
        self._name = name
        self._context = context
        self._timeout = timeout
        self._load = load
        self._merged_tokens = merged_tokens
        self._child: Child | None = None
        self._launching: asyncio.Task[Child] | None = None
        self._failures = 0
        self._failed_at = 0.0
        self._failure: EmbeddedModelError | None = None

    async def start(self) -> None:
        """Begin to load the model, without waiting for it."""
        self._launch_task()

    async def child(self) -> Child:
        """Return the running child, once it has loaded. Raises `EmbeddedModelError`."""
        if self._child and self._child.is_alive and not self._launching:
            return self._child
        if self._failure and time.monotonic() < self._failed_at + self._pause():
            raise EmbeddedModelError(self._failure.message)
        # Shielded: a caller that is cancelled must not cancel the load for the others.
        return await asyncio.shield(self._launch_task())

    async def aclose(self) -> None:
        """End the child. It may be restarted."""
        task, self._launching = self._launching, None
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError, EmbeddedModelError):
                await task
        child, self._child = self._child, None
        if child:
            await child.aclose()

    def _launch_task(self) -> asyncio.Task[Child]:
        if self._launching is None:
            context = contextvars.Context()  # it outlives the request that starts it, and must not log under its id
            self._launching = asyncio.create_task(self._launch(), name="embedded-model", context=context)
            self._launching.add_done_callback(self._launched)
        return self._launching

    def _launched(self, task: asyncio.Task[Child]) -> None:
        if self._launching is task:
            self._launching = None
        if not task.cancelled() and (error := task.exception()):
            logger.warning("the embedded model did not start: %s", error)

    async def _launch(self) -> Child:
        if self._child:
            await self._discard(self._child)
        try:
            path = await _in_daemon_thread(self._find_weights)
            self._child = await self._load_child(path)
        except (ModelSetupError, EmbeddedModelError) as error:
            self._failures, self._failed_at = self._failures + 1, time.monotonic()
            self._failure = EmbeddedModelError(str(error))
            raise self._failure from error
        self._failure = None
        return self._child

    async def _discard(self, child: Child) -> None:
        self._child = None
        await child.aclose()
        self._failures = 1 if time.monotonic() - child.started > STEADY_SECONDS else self._failures + 1
        logger.warning("the embedded model ended with code %s; restarting it", child.process.returncode)
        await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        return min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE) if self._failures else 0.0

    async def _load_child(self, path: Path) -> Child:
        key = secrets.token_urlsafe(32)
        child = await _spawn(EngineOptions(str(path), self._name, self._context, key, count_threads()))
        try:
            child.url = await asyncio.wait_for(_read_url(child), self._load)
        except TimeoutError:
            await child.aclose()
            raise EmbeddedModelError(f"The embedded model was not loaded after {self._load:.0f} s.") from None
        except BaseException:
            await child.aclose()
            raise
        # Connection: close, because one in twelve reused connections failed with this engine (xllamacpp).
        child.client = make_client(
            base_url=f"{child.url}/v1",
            api_key=key,
            timeout=self._timeout,
            max_retries=0,
            headers={"Connection": "close"},
            is_our_child=True,
            merged_tokens=self._merged_tokens,
        )
        logger.info("the embedded model is loaded")
        return child


def count_threads() -> int:
    """Return the number of cores minus one, which is left to the server."""
    return max(1, (os.cpu_count() or 2) - 1)


async def _in_daemon_thread(find: Callable[[], Path]) -> Path:
    """Run `find()` in a daemon OS thread: unlike with `to_thread`, a download cannot keep the process alive."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Path] = loop.create_future()

    def settle(path: Path | None, error: Exception | None) -> None:
        if result.done():
            return
        if error:
            result.set_exception(error)
        elif path:
            result.set_result(path)

    def work() -> None:
        path, failure = None, None
        try:
            path = find()
        except Exception as error:  # the caller handles it, whatever it is
            failure = error
        with suppress(RuntimeError):  # the loop is closed, so no caller is left
            loop.call_soon_threadsafe(settle, path, failure)

    threading.Thread(target=work, name="embedded-model-weights", daemon=True).start()
    return await result


async def _spawn(options: EngineOptions) -> Child:
    # In its own session, so that Ctrl-C in the terminal reaches only the server, which then closes the child.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", engine.__file__),  # -P: do not import from its folder
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    assert process.stdin
    process.stdin.write(options.to_line().encode() + b"\n")
    last_lines: deque[str] = deque(maxlen=5)
    return Child(process, asyncio.create_task(_read_logs(process, last_lines)), last_lines)


async def _read_url(child: Child) -> str:
    assert child.process.stdout
    line = await child.process.stdout.readline()
    if not line:
        await child.logs
        output = " ".join(child.last_lines) or "it wrote no log"
        raise EmbeddedModelError(f"The embedded model could not be loaded: {output}")
    return str(json.loads(line)["url"])


async def _read_logs(process: Process, last_lines: deque[str]) -> None:
    assert process.stderr
    async for line in process.stderr:
        text = line.decode(errors="replace").rstrip()
        last_lines.append(text)
        logger.debug("embedded model: %s", text)
