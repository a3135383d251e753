"""One turn: one request that runs the agent, in a task of its own, apart from every connection (traps T1, T2).

The turn reads the events of `ChatServer.respond`, saves every item before it says that the item is done, and writes
frames to its log. Readers come and go. However it ends, what was said so far is saved.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from datetime import UTC, datetime
from functools import partial as partial_function
from time import monotonic

from chatkit.store import NotFoundError
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ClientToolCallItem,
    GeneratedImageUpdated,
    HiddenContextItem,
    SDKHiddenContextItem,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    WidgetComponentUpdated,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

from store import NotFound, SqlStore, StoreError, StoreUnavailable, TurnStatus, TurnStore

from ..context import RequestContext
from ..errors import AnswerInterrupted, ServerError, describe
from ..events.fold import is_empty, is_thought, settle
from ..failures import TurnTooLong, explain
from ..files.generated_images import inline_image
from ..memory import Transcript, turn_transcript
from ..settings import Settings
from ..shortcut import text_sink
from ..usage import TurnUsage, turn_usage
from .accept import Accepted, thread_response
from .end import finish_anyway
from .journal import Journal
from .live import LiveTurn, StopReason
from .log import TurnLog

logger = logging.getLogger(__name__)

FIRST_WAIT = 0.1
"""Seconds until the end of a turn is saved again; doubled each time."""
PAGE_SIZE = 500
UPDATES_OF_FINISHED_ITEMS = (
    GeneratedImageUpdated,
    WidgetComponentUpdated,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)
STOP_MARKER = "The user stopped the answer to the message before this. Do not go on with it unless asked to."


class Turn(LiveTurn):
    """A turn that this worker runs. `stop` may be called at any time and from anywhere in the process."""

    def __init__(
        self,
        turn_id: str,
        accepted: Accepted,
        context: RequestContext,
        store: SqlStore[RequestContext],
        turns: TurnStore,
        settings: Settings,
        journal: Journal,
    ) -> None:
        super().__init__(turn_id, accepted.thread.id, context.user_id, accepted.options)
        self.thread = accepted.thread
        self.context = context
        self.log = TurnLog(
            settings.flush_ms / 1000,
            settings.flush_tokens,
            still_open=self.added_events,
            page=journal.open(turn_id),
        )
        self.status: TurnStatus = "running"
        self.stop_reason: StopReason | None = None
        self.is_detached = False
        """Goes on without readers."""
        self.is_read_elsewhere = False
        """At another worker, by the journal."""
        self._journal = journal
        self._accepted = accepted
        self._store = store
        self._turns = turns
        self._settings = settings
        self._is_too_late = False
        self._open = self.items.open
        self._hidden: set[str] = set()
        self._saved: set[str] = set()
        self._thoughts: set[str] = set()
        self._usage = TurnUsage()
        self._transcript = Transcript()
        self.started = monotonic()
        self._first_token: float | None = None
        self._known_thread = accepted.thread.model_copy(deep=True)
        self._work: asyncio.Task[None] | None = None
        self._work_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- life

    async def run(self) -> None:
        """Runs the agent to its end, or until `stop`. Never raises an ordinary exception."""
        deadline = asyncio.get_running_loop().call_later(self._settings.turn_seconds, self._end_too_late)
        is_saved = False
        try:
            await self._run()
            is_saved = True
        except BaseException as error:  # the server's end may cut it off as well
            logger.error("request %s: the end of turn %s could not be saved", self.context.request_id, self.id)
            self.status = "failed"
            # Without a word the stream would look like an answer that is complete and kept.
            told = describe(error, self.context.request_id) if isinstance(error, Exception) else AnswerInterrupted()
            self._say(told.event(self.context.request_id))
            if not isinstance(error, Exception):
                raise
        finally:
            deadline.cancel()
            self._journal.shut(self.id, is_saved=is_saved)
            self.status = "failed" if self.status == "running" else self.status
            self.log.close()

    async def _run(self) -> None:
        for event in self._accepted.opening:
            self._say(event)
        self._work = asyncio.create_task(self._consume(), name=f"work of {self.id}")
        self._work.add_done_callback(lambda _: self._settle_work())
        if self.stop_reason is not None:
            self._cancel_work()
        await self._work_over
        if self.is_read_elsewhere:  # the last words of all but items reach readers there by the journal only
            await self._write_journal()
        await self._finish(self._work)

    def stop(self, reason: StopReason) -> None:
        """Ends the turn soon: its model call and tools are cancelled and the partial answer is saved.

        The first reason counts. Returns at once; the log's end says when it is done.
        """
        if self.stop_reason is None and self.status == "running":
            self.stop_reason = reason
            if self._work is not None:
                self._cancel_work()

    def detach(self) -> None:
        """As `LiveTurn.detach`."""
        self.is_detached = True

    def left(self) -> None:
        """A turn that nobody reads is stopped, as the SDK does, unless it is detached."""
        if not self.is_detached and not self.log.closed:
            self.stop("disconnected")

    def interrupt_reading(self) -> None:
        """The HTTP server stops and cuts its connections: the client has not left."""
        self.stop("shutdown")

    def is_hidden(self, item_id: str) -> bool:
        """As `LiveTurn.is_hidden`."""
        return item_id in self._hidden

    async def saved_ids(self) -> Collection[str]:
        """As `LiveTurn.saved_ids`."""
        return self._saved

    def _end_too_late(self) -> None:
        if self.stop_reason is None and self.status == "running":
            self._is_too_late = True
            self._cancel_work()

    def _cancel_work(self) -> None:
        assert self._work is not None
        self._work.cancel()
        # A tool that will not be cancelled must not keep the answer from being saved.
        last = asyncio.get_running_loop().call_later(self._settings.stop_seconds, self._settle_work)
        self._work_over.add_done_callback(lambda _: last.cancel())  # or the turn would be kept until then

    def _settle_work(self) -> None:
        if not self._work_over.done():
            self._work_over.set_result(None)

    # -- events

    async def _consume(self) -> None:
        turn_usage.set(self._usage)
        turn_transcript.set(self._transcript)
        if self._accepted.is_plain:
            text_sink.set(self._take_text)
        events = self._accepted.run()
        try:
            await self._take_all(events)
        finally:
            if isinstance(events, AsyncGenerator):  # `respond` may return any iterator
                await events.aclose()

    async def _take_all(self, events: AsyncIterator[ThreadStreamEvent]) -> None:
        async for event in events:
            if self._work_over.done():  # an agent that would not be stopped: the turn has ended without it
                return
            if (image := inline_image(event)) is not None and (images := self._accepted.images) is not None:
                event = await images.keep(event, image, self.thread, self.context)
            if type(event) is ThreadItemUpdatedEvent:
                if event.item_id not in self._open:
                    await self._reopen(event)
                self._take_update(event)
            else:
                await self._take(event)
                await self._save_thread()
        await self._save_thread()

    async def _reopen(self, event: ThreadItemUpdatedEvent) -> None:
        """An update of an item that was finished before, in this turn or in an earlier one: it is open again until it
        is done or the turn ends, and so is saved (T20)."""
        if not isinstance(event.update, UPDATES_OF_FINISHED_ITEMS):
            return
        with contextlib.suppress(NotFoundError):
            item = self.items.finished.get(event.item_id)
            item = item or await self._store.load_item(self.thread.id, event.item_id, self.context)
            await self._take(ThreadItemAddedEvent(item=item))
            if not await self._write_journal():  # a row that is open is only as good as the journal
                return
            await self._store.add_thread_items(self.thread.id, [item], self.context, still_open=[item.id])

    def _take_update(self, event: ThreadItemUpdatedEvent) -> None:
        update = event.update
        if type(update) is AssistantMessageContentPartTextDelta:
            self._take_text(event.item_id, update.content_index, update.delta)
            return
        self._open.update(event.item_id, update)
        if event.item_id not in self._hidden:
            self.log.append(event)

    def _take_text(self, item_id: str, content_index: int, delta: str) -> None:
        """The hot path: nothing is awaited, nothing is copied but the text."""
        if self._work_over.done():
            return
        self._open.add_text(item_id, content_index, delta)
        if item_id in self._hidden:
            return
        self.log.append_text(item_id, content_index, delta)
        if self._first_token is None:
            self._first_token = monotonic()

    async def _take(self, event: ThreadStreamEvent) -> None:
        match event:
            case ThreadItemAddedEvent():
                _make_aware(event.item)
                self._note(event.item)
                self._say_of(event.item, event)
            case ThreadItemDoneEvent():
                _make_aware(event.item)
                self._note(event.item)
                await self._save(event.item)
                self._say_of(event.item, event)
            case ThreadItemReplacedEvent():
                _make_aware(event.item)
                await self._store.save_item(self.thread.id, event.item, self.context)
                self._open.close(event.item.id)
                self._say_of(event.item, event)
            case ThreadItemRemovedEvent():
                await self._remove(event.item_id)
                if event.item_id not in self._hidden:
                    self._say(event)
                    await self._write_journal()
            case ThreadCreatedEvent() | ThreadUpdatedEvent():
                _make_aware(event.thread)
                self._say(event.model_copy(update={"thread": thread_response(event.thread)}))
            case _:
                self._say(event)

    def _note(self, item: ThreadItem) -> None:
        if isinstance(item, HiddenContextItem | SDKHiddenContextItem):  # before it is saved, and open meanwhile
            self._hidden.add(item.id)
        if is_thought(item) or item.id in self._transcript.traces:
            self._thoughts.add(item.id)

    async def _save(self, item: ThreadItem) -> None:
        """Saves a finished item. Open ones that appeared before it are saved with it as they stand: that reserves
        their positions, so that a reload shows the order in which things appeared (T25)."""
        items = [*self._open.before(item.id), item]
        self._open.add(item)  # a stop in the middle of the save finds it here, as it is now
        # Recovery takes an open row for a place that is kept for what the journal says.
        still_open = [known.id for known in items[:-1]] if self._journal.is_on else []
        try:
            await self._store.add_thread_items(
                self.thread.id,
                items,
                self.context,
                turn_id=self.id,
                still_open=still_open,
                worker_id=self._journal.worker_id,
            )
        except NotFound as error:
            if error.kind == "Turn":
                self.stop("lost")
                await asyncio.sleep(0)  # cancelled here
            raise
        self._saved.update(known.id for known in items)
        self._open.close(item.id)

    async def _remove(self, item_id: str) -> None:
        if item_id in self._saved or item_id not in self._open:
            with contextlib.suppress(NotFoundError):  # shown, but never saved
                await self._store.delete_thread_item(self.thread.id, item_id, self.context)
            self._saved.discard(item_id)
        self._open.close(item_id)
        self._thoughts.discard(item_id)

    async def _save_thread(self) -> None:
        """An agent may change the thread's title, status or metadata; only what it changed is written (T15)."""
        if self.thread != self._known_thread:
            self._known_thread = self.thread.model_copy(deep=True)
            await self._store.save_thread(self.thread, self.context)
            # Read again: the user may have renamed it while the agent held an older title.
            current = await self._store.load_thread(self.thread.id, self.context)
            self._say(ThreadUpdatedEvent(thread=thread_response(current)))

    def _say_of(self, item: ThreadItem, event: ThreadStreamEvent) -> None:
        """Hidden items never leave the server, in no event (T27)."""
        if isinstance(item, HiddenContextItem | SDKHiddenContextItem):
            self._hidden.add(item.id)
            if isinstance(event, ThreadItemAddedEvent):
                self._open.add(item)
            return
        if self._waits_for_another(item):
            return
        self._say(event)

    def _waits_for_another(self, item: ThreadItem) -> bool:
        """The page runs one tool at a time: a call behind another one is said when that has its answer."""
        if not isinstance(item, ClientToolCallItem) or item.status != "pending":
            return False
        others = (known for known in self.items.finished.values() if isinstance(known, ClientToolCallItem))
        return any(known.status == "pending" and known.id != item.id for known in others)

    def _say(self, event: ThreadStreamEvent) -> None:
        self.items.apply(event)
        self.log.append(event)

    async def _write_journal(self) -> bool:
        """At once, for what must not get lost by a crash, such as that an item was taken back. Says whether it was."""
        if self._journal.is_on:
            self.log.flush()
            with contextlib.suppress(StoreError):
                await self._journal.write()
                return True
        return False

    # -- the end

    async def _finish(self, work: asyncio.Task[None]) -> None:
        error = self._error_of(work)
        partial = [settle(item) for item in self._open if not is_empty(item)]
        dropped = [item.id for item in self._open if is_empty(item)]
        produced = {*(item.id for item in partial), *self._saved}.difference(dropped, self._thoughts)
        restore = self._accepted.replace_after is not None and not produced and self.status != "completed"
        if restore:  # thinking alone is no new answer
            partial, dropped = [], list({*dropped, *self._thoughts})
        if not await self._save_end(partial, error, restore):  # the thread was deleted meanwhile, or another's turn
            if error is not None:
                self._say(error.event(self.context.request_id))
            return
        for item_id in dropped:
            await self._drop(item_id)
        for item in partial:
            self._open.close(item.id)
            self._say_of(item, ThreadItemDoneEvent(item=item))
        if restore:
            await self._say_restored()
        if error is not None:
            self._say(error.event(self.context.request_id))

    async def _say_restored(self) -> None:
        """Shows the old answer again, which the widget took away by itself on Retry (T9)."""
        after, has_more = self._accepted.replace_after, True
        while has_more:
            page = await self._store.load_visible_items(self.thread.id, after, PAGE_SIZE, "asc", self.context)
            for item in page.data:
                if not isinstance(item, ClientToolCallItem):  # the page would run the tool once more
                    self._say(ThreadItemDoneEvent(item=item))
            after, has_more = page.after, page.has_more

    async def _drop(self, item_id: str) -> None:
        """An item that stayed empty goes; its position may have been reserved by a row."""
        with contextlib.suppress(NotFoundError):
            await self._store.delete_thread_item(self.thread.id, item_id, self.context)
        self._open.close(item_id)
        self.items.finished.pop(item_id, None)
        if item_id not in self._hidden:
            self._say(ThreadItemRemovedEvent(item_id=item_id))

    def _error_of(self, work: asyncio.Task[None]) -> ServerError | None:
        """How the work ended; sets the turn's status."""
        if self.stop_reason is not None and (not work.done() or work.cancelled() or work.exception() is not None):
            self.status = "interrupted" if self.stop_reason in ("shutdown", "lost") else "stopped"
            if not work.done():
                logger.error("request %s: turn %s did not stop in time", self.context.request_id, self.id)
            return AnswerInterrupted() if self.stop_reason in ("shutdown", "lost") else None
        error: BaseException | None = asyncio.CancelledError()
        if work.done() and not work.cancelled():
            error = work.exception()
        if error is not None and self._is_too_late:
            error = TurnTooLong()
        self.status = "failed" if error is not None else "completed"
        if error is None:
            return None
        cause = error if isinstance(error, Exception) else RuntimeError("the agent's task was cancelled from outside")
        return explain(cause, self.context.request_id)

    async def _save_end(self, partial: list[ThreadItem], error: ServerError | None, restore: bool) -> bool:
        # Not behind an old answer that comes back: that one was not stopped.
        marker = [self._stop_marker()] if self._was_stopped_by_user() and not restore else []
        finish = partial_function(
            self._turns.finish,
            self.id,
            self.context,
            status=self.status,
            stop_reason=self.stop_reason if self.status in ("stopped", "interrupted") else None,
            error_code=error.code if error is not None and self.status == "failed" else None,
            first_token_ms=_milliseconds(self.started, self._first_token),
            duration_ms=_milliseconds(self.started, monotonic()),
            input_tokens=self._usage.input_tokens,
            output_tokens=self._usage.output_tokens,
            transcript=None if restore else self._transcript.to_json(),
            retries=self._usage.retries,
            readers=self.readers,
            worker_id=self._journal.worker_id,
            restore_replaced=restore,
        )
        return await self._until_saved(lambda: finish_anyway(finish, [*partial, *marker]))

    async def _until_saved(self, save: Callable[[], Awaitable[bool]]) -> bool:
        """Tries for `stop_seconds`: a passing fault of the database must not cost the answer. `finish` may be repeated,
        it only updates and upserts."""
        loop = asyncio.get_running_loop()
        deadline, wait = loop.time() + self._settings.stop_seconds, FIRST_WAIT
        while True:
            try:
                return await save()
            except StoreUnavailable:
                if loop.time() + wait > deadline:
                    raise
                logger.warning("request %s: turn %s is not saved yet, trying again", self.context.request_id, self.id)
            await asyncio.sleep(wait)
            wait *= 2

    def _was_stopped_by_user(self) -> bool:
        return self.status == "stopped" and self.stop_reason == "user"

    def _stop_marker(self) -> SDKHiddenContextItem:
        """Only an explicit stop tells the model that the user did not want the rest (T4)."""
        return SDKHiddenContextItem(
            id=self._store.generate_item_id("sdk_hidden_context", self.thread, self.context),
            thread_id=self.thread.id,
            created_at=datetime.now(UTC),
            content=STOP_MARKER,
        )


def _make_aware(made: ThreadItem | ThreadMetadata) -> None:
    """chatkit stamps what it makes with a naive local time (T17); on the wire and in SQL there is only UTC."""
    made.created_at = made.created_at.astimezone(UTC)


def _milliseconds(start: float, end: float | None) -> int | None:
    return None if end is None else round((end - start) * 1000)
