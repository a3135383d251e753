"""The OS threads of synchronous tools: the event loop's default executor, which the Agents SDK uses for them.

Files and previews have executors of their own (`files/file_threads.py`), and so have name lookups, so tools that wait
for long delay nothing but other synchronous tools.
"""

import itertools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from ..errors.author_code import as_exception

LOOKUP_THREADS = 4
IDLE_SECONDS = 10.0
"""How long a thread waits for another tool before it ends."""


class ToolThreads(ThreadPoolExecutor):
    """At most `limit` daemon threads, so that a tool that never returns cannot keep the process from ending.

    Differs from its base class, which the event loop requires, in three ways: its threads are not awaited at exit; what
    a tool raises always arrives (a future refuses StopIteration, and the turn would wait for its time limit); name
    lookups do not wait for tools.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(LOOKUP_THREADS, "lookup")
        self._limit = limit
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        """Guards the following."""
        self._jobs: deque[Callable[[], None]] = deque()
        self._idle_count = 0
        self._thread_count = 0

    def add(self, count: int) -> None:
        """Change the limit by a number of threads; a lower one ends none that work."""
        with self._changed:
            self._limit += count

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` in a thread. A function of the module `socket` runs in a thread for name lookups."""
        if getattr(fn, "__module__", None) in ("socket", "_socket"):
            return super().submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        with self._changed:
            self._jobs.append(partial(_run, future, partial(fn, *args, **kwargs)))
            if len(self._jobs) <= self._idle_count:
                self._changed.notify()
            elif self._thread_count < self._limit:
                self._start_thread()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads for name lookups. Does not wait for tools, which cannot be stopped."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)

    def _start_thread(self) -> None:
        threading.Thread(target=self._work, name=f"tool-{next(self._numbers)}", daemon=True).start()
        self._thread_count += 1

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            job()
            del job  # frees the tool's arguments while this thread waits

    def _next_job(self) -> Callable[[], None] | None:
        """Return a job, or None if the thread is to end: there was none for a while."""
        with self._changed:
            self._idle_count += 1
            has_job = self._changed.wait_for(lambda: self._jobs, IDLE_SECONDS)
            self._idle_count -= 1
            if has_job:
                return self._jobs.popleft()
            self._thread_count -= 1
            return None


def _run(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except KeyboardInterrupt as error:
        future.set_exception(error)  # raised again in the event loop: it ends the process, wherever it was raised
    except BaseException as error:
        future.set_exception(as_exception(error))
