"""Prepare the event loop for code of the agent's author, which may raise anything and may block."""

import asyncio
import atexit
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE
from itertools import takewhile
from pathlib import Path
from sysconfig import get_paths
from time import monotonic
from types import FrameType

import chatkit_store

from ..errors.author_code import TOOL_CALL, TOOL_VARIABLE, contain_tasks
from .tool_threads import ToolThreads

logger = logging.getLogger(__name__)

LONGEST_BLOCK = 0.5
"""Seconds that code may block the event loop before it is named in the log."""
CHECK_SECONDS = 0.2  # with 0.1, the watch was a third of what an idle server costs
LIBRARIES = tuple(os.path.join(get_paths()[name], "") for name in ("stdlib", "platstdlib", "purelib", "platlib"))
LOOP_FILES = (os.path.join("asyncio", "runners.py"), os.path.join("asyncio", "base_events.py"))
"""Below these frames of the event loop's thread, the stack is that of its start."""
OWN_CODE = tuple(
    os.path.join(folder, "") for folder in (str(Path(__file__).parents[1]), str(Path(chatkit_store.__file__).parent))
)

_COROUTINES = CO_COROUTINE | CO_ASYNC_GENERATOR


@contextmanager
def prepared_loop(tool_threads: int) -> Iterator[None]:
    """Contain what tasks raise, bound the threads of tools, and log what blocks the event loop, inside the block.

    Blocks of several apps on one loop may overlap in any order: they have one watch, and together their threads.
    """
    loop = asyncio.get_running_loop()
    prepared = _prepared.get(loop)
    if prepared is None:
        contain_tasks(loop)
        prepared = _prepared[loop] = _Prepared(ToolThreads(0), LoopWatch(loop))
        loop.set_default_executor(prepared.threads)
        prepared.watch.start()
    prepared.apps += 1
    prepared.threads.add(tool_threads)
    try:
        yield
    finally:
        prepared.apps -= 1
        if prepared.apps:
            prepared.threads.add(-tool_threads)
        else:
            prepared.watch.stop()
            del _prepared[loop]


@contextmanager
def exit_with_loop(seconds: float) -> Iterator[None]:
    """If the event loop ends inside the block, exit with code 1 after at most `seconds`: nothing can be served then.

    Only asyncio cancels the block, after something has stopped its loop, such as a tool's KeyboardInterrupt. Then the
    HTTP server would wait for tasks that cannot end, or exit with code 0.
    """
    try:
        yield
    except asyncio.CancelledError:
        logger.critical("the event loop was stopped from inside; this process exits with code 1")
        _exit_later(seconds)
        raise


def _exit_later(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
    atexit.register(os._exit, 1)


# What blocks the event loop


class LoopWatch:
    """Logs where the event loop's thread is when it has not returned to the loop for `LONGEST_BLOCK` seconds.

    In code of the author that is a warning, with how to change it. In this server's, all that the user can change is
    the machine.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._last_beat = monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start watching, from the event loop's thread."""
        self._beat()
        threading.Thread(target=self._watch, name="loop-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._last_beat = monotonic()
        self._timer = self._loop.call_later(CHECK_SECONDS, self._beat)

    def _watch(self) -> None:
        blocked: tuple[float, Block] | None = None
        while not self._stopped.wait(CHECK_SECONDS):
            beat = self._last_beat
            if blocked is not None and beat != blocked[0]:
                _report(beat - blocked[0], blocked[1])
                blocked = None
            elif blocked is None and monotonic() - beat > LONGEST_BLOCK:
                block = block_of(sys._current_frames().get(self._loop_thread))
                blocked = None if block is None else (beat, block)


@dataclass(frozen=True)
class Block:
    """What the event loop's thread was in while it was blocked."""

    location: str
    """A function with its file and line, and the tool that it is of."""
    is_authors: bool
    """Whether it is code of the agent's author, not of this server."""


def block_of(innermost: FrameType | None) -> Block | None:
    """Return what a stack is in; None if it has neither code of the author nor of this server.

    A function of this server that the author's code calls without `await` is the author's block: only the caller can
    call it less often. What a coroutine of this server does is its own, whoever awaits it.
    """
    stack = (frame for frame, _ in traceback.walk_stack(innermost))
    frames = list(takewhile(lambda frame: not frame.f_code.co_filename.endswith(LOOP_FILES), stack))
    own_frame = None
    for frame in frames:
        file = frame.f_code.co_filename
        if _is_authors(file):
            return Block(_location(frame, frames), is_authors=True)
        if file.startswith(OWN_CODE):
            own_frame = own_frame or frame
            if frame.f_code.co_flags & _COROUTINES:
                break
    return None if own_frame is None else Block(_location(own_frame, []), is_authors=False)


def _location(frame: FrameType, stack: Iterable[FrameType]) -> str:
    tool = next((outer.f_locals.get(TOOL_VARIABLE) for outer in stack if outer.f_code.co_name == TOOL_CALL), None)
    code = frame.f_code
    place = f"{code.co_qualname} ({code.co_filename}, line {frame.f_lineno})"
    return f"the tool {tool}: {place}" if tool else place


def _is_authors(file: str) -> bool:
    return not file.startswith((*LIBRARIES, *OWN_CODE, "<"))


def _report(seconds: float, block: Block) -> None:
    if block.is_authors:
        logger.warning(
            "the event loop was blocked for %.1f s by %s; all answers waited. Make it await, or a plain `def` tool, "
            "which runs in a thread",
            seconds,
            block.location,
        )
    else:
        logger.info(
            "the event loop was blocked for %.1f s in this server's %s; all answers waited. The machine, or the disk "
            "of the database or of files, is busy",
            seconds,
            block.location,
        )


@dataclass
class _Prepared:
    """What the apps on an event loop share."""

    threads: ToolThreads
    watch: LoopWatch
    apps: int = 0


_prepared: dict[asyncio.AbstractEventLoop, _Prepared] = {}
