"""The journal: write events of running turns to `turn_events` in batches, one transaction for all turns of a worker.

After a crash an open answer is recovered from it, and other workers follow it. Text is merged within a batch. The same
transaction writes changed transcripts (long ones less often), so that after a crash the model knows which tools ran,
and fetches the signals that other workers have sent to our turns, unless notifications announce them.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from chatkit_store import JournalStore, StoreError, StoreUnavailable

from ..errors.log_format import redacted_traceback
from ..errors.outage import database_outage
from ..loops import background, backoff
from ..memory import Transcript
from .journal_page import Page

logger = logging.getLogger(__name__)

SHARE_OF_INTERVAL = 0.8
"""The pause between batches, as a share of the interval; the rest is left for the commit."""
SIGNALS_INTERVAL = 0.25
"""Pause between two fetches of signals if the journal is off."""
LISTENING_INTERVAL = 2.0
"""Pause between two fetches of signals while notifications announce them: one may be lost."""
FIRST_PAUSE = 0.5
LAST_PAUSE = 10.0
"""Backoff after a failed write, in seconds."""
JOURNAL = "the journal"

OnSignal = Callable[[str, str | None], None]
"""Called with a turn's id and the reason to stop it, or None to let it run without readers here."""


class Journal:
    """Write the pages of the turns that run on this worker."""

    def __init__(self, store: JournalStore, worker_id: str, interval: float, on_signal: OnSignal) -> None:
        """`interval` is how many seconds text may wait for its commit; with 0 nothing is written, and only signals are
        fetched."""
        self.worker_id = worker_id
        self._store = store
        self.is_on = interval > 0
        """Whether events are written, and not only signals fetched."""
        self._pause = interval * SHARE_OF_INTERVAL or SIGNALS_INTERVAL
        self._on_signal = on_signal
        self._is_listening: Callable[[], bool] = bool
        self._signals_read_at = -math.inf
        self._has_signals = asyncio.Event()
        self._pages: dict[str, Page] = {}
        self._unsaved: set[str] = set()
        self._has_work = asyncio.Event()
        self._writing = asyncio.Lock()

    def open_page(self, turn_id: str, transcript: Transcript) -> Page | None:
        """Begin a turn: return its page, or None if the journal is off."""
        page = self._pages[turn_id] = Page(turn_id, transcript)
        self._has_work.set()
        return page if self.is_on else None

    def close_page(self, turn_id: str, *, is_saved: bool) -> None:
        """End a turn. If its end is not saved, the rest of its page is still written, since recovery reads the turn
        from there."""
        if not is_saved and self.is_on:
            self._unsaved.add(turn_id)
        else:
            self._remove([turn_id])

    def listen(self, is_listening: Callable[[], bool]) -> None:
        """Fetch signals when `fetch_signals` is called, and with batches only now and then while `is_listening`."""
        self._is_listening = is_listening

    def fetch_signals(self) -> None:
        """Fetch the signals soon; return at once."""
        self._has_signals.set()

    def follow(self, turn_id: str) -> None:
        """Notify other workers of the turn's batches from now on."""
        if self.is_on and (page := self._pages.get(turn_id)) is not None:
            page.follow()

    def count_reader(self, turn_id: str) -> None:
        """Have the next batch tell the database that the turn has a reader."""
        if self.is_on and (page := self._pages.get(turn_id)) is not None:
            page.count_reader()

    def counted_readers(self, turn_id: str) -> int:
        """Return how many readers of the turn the journal has counted."""
        page = self._pages.get(turn_id)
        return 0 if page is None else page.counted_readers

    def _remove(self, turn_ids: Iterable[str]) -> None:
        for turn_id in turn_ids:
            self._pages.pop(turn_id, None)
        if not self._pages:
            self._has_work.clear()

    @asynccontextmanager
    async def running(self, last_write_seconds: float) -> AsyncIterator[None]:
        """Write batches inside the block.

        At its end, take at most `last_write_seconds` to write what is left of turns whose end was not saved.
        """
        try:
            async with background("journal", self._run), background("signals", self._fetch):
                yield
        finally:
            if self._unsaved:
                with contextlib.suppress(StoreError, TimeoutError):
                    async with asyncio.timeout(last_write_seconds):
                        await self.write()

    def has_page(self, turn_id: str) -> bool:
        """Return whether events of the turn may still have to be written."""
        return turn_id in self._pages

    async def write(self) -> None:
        """Write one batch now. Raises `StoreError`; the batch is then kept for the next write."""
        async with self._writing:
            ended = self._unsaved.copy()
            pages, now = list(self._pages.values()) if self.is_on else [], time.monotonic()
            batch = [(page, page.take(now, is_last=page.turn_id in ended)) for page in pages]
            try:
                entries = [entry for _, part in batch for entry in part.entries]
                transcripts = {page.turn_id: page.transcript.to_json() for page, part in batch if part.has_transcript}
                read_ids = [page.turn_id for page, part in batch if part.has_reader]
                changed_ids = [page.turn_id for page, part in batch if part.is_announced]
                reads_signals = self._signals_are_due(now)
                signals = await self._store.write(
                    entries, self.worker_id, transcripts, read_ids, changed_ids=changed_ids, reads_signals=reads_signals
                )
                if reads_signals:
                    self._signals_read_at = now
            except BaseException:
                for page, part in batch:
                    page.give_back(part)
                raise
            self._unsaved -= ended
            self._remove(ended)
        for signal in signals:
            self._on_signal(signal.turn_id, signal.reason)

    def _signals_are_due(self, now: float) -> bool:
        return not self._is_listening() or now - self._signals_read_at > LISTENING_INTERVAL

    async def _fetch(self) -> None:
        """Fetch signals when they are announced; the next batch fetches them again, for turns that just start."""
        while True:
            await self._has_signals.wait()
            self._has_signals.clear()
            self._signals_read_at = -math.inf
            with contextlib.suppress(StoreError):
                for signal in await self._store.read_signals(self.worker_id):
                    self._on_signal(signal.turn_id, signal.reason)

    async def _run(self) -> None:
        pauses = backoff(FIRST_PAUSE, LAST_PAUSE)
        while True:
            await self._has_work.wait()
            await asyncio.sleep(self._pause)
            try:
                await self.write()
                database_outage().worked(JOURNAL)
                pauses = backoff(FIRST_PAUSE, LAST_PAUSE)
            except Exception as error:
                pause = next(pauses)
                if isinstance(error, StoreUnavailable):
                    database_outage().failed(JOURNAL, error)
                else:
                    cause = redacted_traceback(error)
                    logger.warning("the journal could not be written; retry in %s s\n%s", pause, cause)
                await asyncio.sleep(pause)
