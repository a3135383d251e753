"""Take all threads of a source, several at a time, and let a single one fail without the others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import groupby

from .import_report import ImportReport
from .source import Source, SourceFailed, SourceThread, ThreadGone, Unreadable

AT_A_TIME = 4
MAX_FAILURES = 3
"""Failures in a row that mean the source is away, and not that a thread is damaged."""
LONGEST_NAME = 100
"""Characters of an id in a problem."""

Take = Callable[[SourceThread], Awaitable[None]]


class SourceAway(Exception):
    """Thread after thread fails; the text is the last reason."""


class ThreadRun:
    """One pass over the threads of a source."""

    def __init__(self, source: Source, report: ImportReport, *, warn: Callable[[str], None]) -> None:
        """`warn` gets each problem as a sentence."""
        self._source = source
        self._report = report
        self._warn = warn
        self._failures = 0

    async def list_threads(self) -> list[SourceThread]:
        """Return the threads, and report what cannot be read at all. Raises `SetupError`."""
        threads = await self._source.threads()
        for problem in self._source.problems:
            self._add_problem(problem)
        return threads

    async def take_all(self, threads: list[SourceThread], take: Take, done: Callable[[], None]) -> None:
        """Take each thread; `done` is called after each. Raises `SourceAway`, and what `take` raises of other kinds."""
        # Threads of the same second one after the other: the order in which they arrive is the order of their list.
        seconds = groupby(threads, lambda thread: int(thread.created_at.timestamp()))
        waiting = iter([tuple(threads_of_second) for _, threads_of_second in seconds])
        workers = [asyncio.create_task(self._work(waiting, take, done)) for _ in range(AT_A_TIME)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, waiting: Iterator[tuple[SourceThread, ...]], take: Take, done: Callable[[], None]) -> None:
        for group in waiting:
            for thread in group:
                await self._take(thread, take)
                done()

    async def _take(self, thread: SourceThread, take: Take) -> None:
        try:
            await take(thread)
            self._failures = 0
        except ThreadGone:
            self._report.gone += 1
        except Unreadable as error:
            self._add_problem(f"Thread {_short(thread.id)}: {error}.")
        except SourceFailed as error:
            self._add_problem(f"Thread {_short(thread.id)}: {error}")
            self._failures += 1
            if self._failures == MAX_FAILURES:
                raise SourceAway(str(error)) from error

    def _add_problem(self, problem: str) -> None:
        self._report.problems.append(problem)
        self._warn(problem)


def _short(thread_id: str) -> str:
    return thread_id if len(thread_id) <= LONGEST_NAME else f"{thread_id[:LONGEST_NAME]}…"
