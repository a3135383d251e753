"""The journal: what running turns said, written to `turn_events` in batches, one transaction for all turns of a worker.

It is what a crash leaves of an open answer, and how other workers follow it. Text is merged within a batch. The same
transaction writes the transcripts that have changed, long ones less often, so that the model knows after a crash which
tools ran, and brings what other workers want of our turns.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable

from chatkit_store import JournalStore, StoreError, StoreUnavailable

from ..errors.log_format import redacted_traceback
from ..errors.outage import database_outage
from ..memory import Transcript
from .journal_page import Page

logger = logging.getLogger(__name__)

SHARE_OF_INTERVAL = 0.8
"""A batch begins this early, so that with its commit no text waits for longer than the interval."""
SMALLEST_SHARE = 0.2
"""Batches are no closer than this, however much of the interval the flush window takes."""
SIGNALS_INTERVAL = 0.25
"""Seconds between two looks for signals where the journal is off."""
FIRST_PAUSE = 0.5
LAST_PAUSE = 10.0
"""Seconds without a try after the database has failed; doubled each time."""
JOURNAL = "the journal"

OnSignal = Callable[[str, str | None], None]
"""Is told a turn's id, and why it shall stop; None where it shall only go on without readers here."""


class Journal:
    """Writes the pages of the turns that run here. `start` and `close` bracket its use."""

    def __init__(self, store: JournalStore, worker_id: str, interval: float, flush: float, on_signal: OnSignal) -> None:
        """`interval`: the most seconds that text waits, of which `flush` are over when it reaches its page; 0 writes
        nothing, and only looks for signals."""
        self.worker_id = worker_id
        self._store = store
        self.is_on = interval > 0
        """Whether anything is written."""
        self._pause = max(interval * SHARE_OF_INTERVAL - flush, interval * SMALLEST_SHARE) or SIGNALS_INTERVAL
        self._on_signal = on_signal
        self._pages: dict[str, Page] = {}
        self._unsaved: set[str] = set()
        self._has_work = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def open(self, turn_id: str, transcript: Transcript) -> Page | None:
        """The page of a turn that begins; None where nothing is written."""
        page = self._pages[turn_id] = Page(turn_id, transcript)
        self._has_work.set()
        return page if self.is_on else None

    def shut(self, turn_id: str, *, is_saved: bool) -> None:
        """The turn has ended. What is left on its page is needed only where the end could not be saved: written as soon
        as the database takes it, it is what the turn is recovered from."""
        if not is_saved and self.is_on:
            self._unsaved.add(turn_id)
        else:
            self._remove([turn_id])

    def _remove(self, turn_ids: Iterable[str]) -> None:
        for turn_id in turn_ids:
            self._pages.pop(turn_id, None)
        if not self._pages:
            self._has_work.clear()

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._run(), name="journal")

    async def close(self, patience: float) -> None:
        """Ends the task, and writes for at most `patience` seconds what is left of turns whose end was not saved."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._unsaved:
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(patience):
                    await self.write()

    def has_page(self, turn_id: str) -> bool:
        """Whether something of the turn may still have to be written."""
        return turn_id in self._pages

    async def write(self) -> None:
        """Writes one batch now. Raises `StoreError`; then nothing of it is lost."""
        async with self._writing:
            last = self._unsaved.copy()
            pages, now = list(self._pages.values()) if self.is_on else [], time.monotonic()
            taken = [(page, page.take(now, is_last=page.turn_id in last)) for page in pages]
            try:
                entries = [entry for _, part in taken for entry in part.entries]
                transcripts = {page.turn_id: page.transcript.to_json() for page, part in taken if part.has_transcript}
                signals = await self._store.write(entries, self.worker_id, transcripts)
            except BaseException:
                for page, part in taken:
                    page.give_back(part)
                raise
            self._unsaved -= last
            self._remove(last)
        for signal in signals:
            self._on_signal(signal.turn_id, signal.reason)

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._has_work.wait()
            await asyncio.sleep(self._pause)
            try:
                await self.write()
                database_outage.worked(JOURNAL)
                pause = FIRST_PAUSE
            except Exception as error:
                if isinstance(error, StoreUnavailable):
                    database_outage.failed(JOURNAL, error)
                else:
                    cause = redacted_traceback(error)
                    logger.warning("the journal could not be written, and is tried again in %s s\n%s", pause, cause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)
