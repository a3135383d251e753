"""The OS threads of tools: what was submitted always runs, whatever threads have ended in the meantime."""

import threading
import time
from concurrent.futures import wait

import pytest

from chatkit_server.startup import tool_threads
from chatkit_server.startup.tool_threads import ToolThreads

SECONDS = 30.0


def tool_threads_alive() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("tool-")}


def test_a_tool_runs_after_more_tools_than_threads_and_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads end in the pause; a job that had waited for one must not count as an idle thread for ever."""
    monkeypatch.setattr(tool_threads, "IDLE_SECONDS", 0.05)
    threads = ToolThreads(2)
    before = tool_threads_alive()
    released = threading.Event()
    futures = [threads.submit(released.wait, SECONDS) for _ in range(5)]
    assert len(tool_threads_alive() - before) == 2
    released.set()
    assert not wait(futures, SECONDS).not_done
    deadline = time.monotonic() + SECONDS
    while tool_threads_alive() - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads.submit(lambda: "ran").result(SECONDS) == "ran"


def test_tools_one_after_the_other_share_a_thread() -> None:
    threads = ToolThreads(8)
    names = set()
    for _ in range(5):
        names.add(threads.submit(lambda: threading.current_thread().name).result(SECONDS))
        while threads._idle_count == 0:  # the thread takes a moment to wait again
            time.sleep(0.001)
    assert len(names) == 1
