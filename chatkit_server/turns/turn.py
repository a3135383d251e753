"""One turn: one request that runs the agent, in a task of its own, independent of every connection.

The turn runs what was accepted (for a message `ChatServer.respond`) and passes the events to its `Output`. Readers come
and go. However the turn ends, the partial answer is saved.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from weakref import ReferenceType, ref

from chatkit.store import NotFoundError
from chatkit.types import SDKHiddenContextItem, ThreadItem, UserMessageItem, WidgetItem

from chatkit_store import StoreError, StoreUnavailable, TurnEnd, TurnStatus

from ..agents.turn_traces import begin_traces
from ..context import RequestContext
from ..errors.failures import TurnTooLong, to_turn_failure
from ..errors.http import AnswerInterrupted, ServerError
from ..errors.mapping import to_server_error
from ..fast_path.shared_clock import clock
from ..fast_path.tap import set_text_sink
from ..interactions.notice_card import cut_notice, failure_notice
from ..loops import backoff, through_outage
from ..memory import Transcript, turn_transcript
from ..memory.first_message import FirstMessage, first_message
from ..models.usage import TurnUsage, turn_usage
from .accept import Accepted, opening_events
from .late_items import done_loader
from .live_turn import LiveTurn, StopReason
from .output import Output, TurnServices
from .turn_end import finish_anyway
from .turn_log import TurnLog

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.05
"""Seconds until the second look at a turn that another worker is closing."""
STOP_NOTE = "The user stopped the answer to the message before this. Do not go on with it unless asked to."


class Turn(LiveTurn):
    """A turn that this worker runs. `stop` may be called at any time and from anywhere in the process."""

    def __init__(
        self,
        turn_id: str,
        accepted: Accepted,
        context: RequestContext,
        services: TurnServices,
        is_set_up: Callable[[], object],
    ) -> None:
        """`is_set_up` is called when the first request to the model leaves, or the agent has ended without one."""
        super().__init__(turn_id, accepted.thread.id, context.owner, accepted.options)
        self.context = context
        self._settings = services.settings
        transcript = Transcript()
        self.log = TurnLog(still_open=self.added_events, page=services.journal.open_page(turn_id, transcript))
        self.status: TurnStatus = "running"
        self.stop_reason: StopReason | None = None
        self.is_detached = False
        """Goes on without readers."""
        self.is_read_remotely = False
        """Has readers at another worker, through the journal."""
        self.is_awaited_remotely = False
        """Another worker waits for its end."""
        self.started = monotonic()
        self._services = services
        self._accepted = accepted
        self._output = Output(self, accepted, context, services, transcript, on_lost=partial(_lose, ref(self)))
        self._usage = TurnUsage(on_request=is_set_up)
        self._is_set_up = is_set_up
        self._is_too_late = False
        self._has_begun = False
        self._work: asyncio.Task[None] | None = None
        self._work_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the agent's task has ended, or has not ended in time after it was cancelled."""

    @property
    def first_token_ms(self) -> int | None:
        """Milliseconds until the first text; None before it."""
        return _milliseconds(self.started, self._output.first_token)

    # -- life

    def begin(self) -> None:
        """As `LiveTurn.begin`: what the request itself shows. It is saved."""
        if self._has_begun:
            return
        self._has_begun = True
        for event in opening_events(self._accepted):
            self._output.send(event)
        self._accepted.opening = tuple  # it would keep the thread until the answer ends
        self.opening_frames = self.log.last

    async def run(self) -> None:
        """Run the agent until it ends, or until `stop`; save the result. Raises only if the task is cancelled."""
        deadline = clock().call_later(self._settings.turn_seconds, self._time_is_up)
        is_saved = False
        try:
            self.begin()
            await self._run()
            is_saved = True
        except BaseException as error:  # at shutdown this task may be cancelled, too
            logger.error("the end of turn %s could not be saved", self.id)
            self.status = "failed"
            # Without an error event the stream would look like a complete, saved answer.
            failure = to_server_error(error) if isinstance(error, Exception) else AnswerInterrupted()
            self._output.send(failure.event(self.context.request_id))
            if not isinstance(error, Exception):
                raise
        finally:
            deadline.cancel()
            self._services.journal.close_page(self.id, is_saved=is_saved)
            self.status = "failed" if self.status == "running" else self.status
            self.log.close(done_loader(self._services.store, self.thread_id, self.context) if is_saved else None)
            self.release_readers()

    async def _run(self) -> None:
        self._work = asyncio.create_task(self._run_agent(), name=f"work of {self.id}")
        self._work.add_done_callback(lambda _: self._mark_work_over())
        if self.stop_reason is not None:
            self._cancel_work()
        await self._work_over
        if self.is_read_remotely:  # remote readers get the last text of an item from the journal only
            await self._output.write_journal()
        await self._finish(self._work)

    def stop(self, reason: StopReason) -> None:
        """Cancel the model call and the tools, and have the partial answer saved. The first reason counts.

        Returns at once; the turn has ended when its log is closed.
        """
        if self.stop_reason is None and self.status == "running":
            self.stop_reason = reason
            if self._work is not None:
                self._cancel_work()

    def detach(self) -> None:
        """As `LiveTurn.detach`."""
        self.is_detached = True

    def last_reader_left(self) -> None:
        """Stop a turn without readers, as the SDK does, unless it is detached."""
        if not self.is_detached and not self.log.closed:
            self.stop("disconnected")

    def connection_was_cut(self) -> None:
        """Stop as interrupted: the HTTP server shuts down and cuts its connections, the client has not left."""
        self.stop("shutdown")

    def may_send(self) -> bool:
        """As `LiveTurn.may_send`; not what another worker may not have saved."""
        return self._services.claim.is_certain() and (self.stop_reason != "lost" or self.log.closed)

    async def confirm(self) -> None:
        """As `LiveTurn.confirm`. Of a lost turn, return when it has ended and what was sent is saved."""
        await self._services.claim.confirm()
        if self.stop_reason == "lost":
            await self.ended()

    def was_read(self) -> None:
        """Have the journal tell the other workers."""
        self._services.journal.count_reader(self.id)

    def is_hidden(self, item_id: str) -> bool:
        """As `LiveTurn.is_hidden`."""
        return self._output.is_hidden(item_id)

    async def saved_ids(self) -> Collection[str]:
        """As `LiveTurn.saved_ids`."""
        return self._output.saved

    def _time_is_up(self) -> None:
        if self.stop_reason is None and self.status == "running":
            self._is_too_late = True
            self._cancel_work()

    def _cancel_work(self) -> None:
        assert self._work is not None
        self._work.cancel()
        # A tool that ignores its cancellation must not keep the partial answer from being saved.
        time_limit = clock().call_later(self._settings.stop_seconds, self._mark_work_over)
        self._work_over.add_done_callback(lambda _: time_limit.cancel())  # the timer would keep the turn in memory

    def _mark_work_over(self) -> None:
        if not self._work_over.done():
            self._is_set_up()
            self._output.is_shut = True
            self._work_over.set_result(None)

    async def _run_agent(self) -> None:
        turn_usage.set(self._usage)
        turn_transcript.set(self._output.transcript)
        if self._accepted.is_new_thread and isinstance(message := self._accepted.items[0], UserMessageItem):
            first_message.set(FirstMessage(message, self.id))
        begin_traces(allowed=self._accepted.allows_traces, key=self._settings.openai_api_key)
        if self._accepted.allows_fast_path and self._settings.fast_path:
            set_text_sink(self._output.take_text)
        self._output.note_thread()
        events = self._accepted.run()
        try:
            await self._output.take_all(events)
        finally:
            if isinstance(events, AsyncGenerator):  # `respond` may return any iterator
                await events.aclose()

    # -- the end

    async def _finish(self, work: asyncio.Task[None]) -> None:
        output = self._output
        error = self._error_of(work)
        kept_items, empty_ids = output.partial()
        is_unanswered = self.status != "completed" and not output.is_answered(kept_items, empty_ids)
        restore = self._accepted.replace_after is not None and is_unanswered
        if restore:  # a retry that only shows thoughts has no answer to keep: the old one comes back
            kept_items, empty_ids = [], list({*empty_ids, *output.thoughts})
        try:
            is_saved = await self._save_end(kept_items, error, restore)
        except StoreError as refusal:
            if self.status != "completed" or isinstance(refusal, StoreUnavailable):
                raise
            self.status, error = "failed", to_turn_failure(refusal)
            is_saved = await self._save_end(kept_items, error, restore)
        if self.stop_reason == "lost" and not is_saved:
            self._cut_readers()  # they re-attach and get what is stored
        if is_saved:  # else the thread was deleted, or another worker has closed the turn
            for item_id in empty_ids:
                await output.remove_empty(item_id)
            for item in kept_items:
                output.send_kept(item)
            if restore:
                await output.send_restored(self._accepted.replace_after)
        if error is not None:
            output.send(error.event(self.context.request_id))

    def _error_of(self, work: asyncio.Task[None]) -> ServerError | None:
        """Set the turn's status from how the work ended; return the error to show, or None."""
        if self.stop_reason is not None and not _has_succeeded(work):
            return self._error_of_stopped(work, is_interrupted=self.stop_reason in ("shutdown", "lost"))
        if _has_succeeded(work):
            self.status = "completed"
            return None
        self.status = "failed"
        if self._is_too_late:
            return to_turn_failure(TurnTooLong())
        error = work.exception() if work.done() and not work.cancelled() else None
        if isinstance(error, Exception):
            return to_turn_failure(error, last_url=self._usage.last_url)
        return to_turn_failure(RuntimeError("the agent's task was cancelled from outside"))

    def _error_of_stopped(self, work: asyncio.Task[None], *, is_interrupted: bool) -> ServerError | None:
        self.status = "interrupted" if is_interrupted else "stopped"
        if not work.done():
            logger.error("turn %s did not stop in time", self.id)
        return AnswerInterrupted() if is_interrupted else None

    async def _save_end(self, kept_items: list[ThreadItem], error: ServerError | None, restore: bool) -> bool:
        """Save the end of the turn with its partial items; return False if what is stored must stay as it is.

        Raises what the store raises if it refuses the answer of a completed turn.
        """
        # No stop note after a restored answer: that one was complete.
        stop_note = [self._stop_note()] if self._was_stopped_by_user() and not restore else []
        end = TurnEnd(
            status=self.status,
            model=self._output.transcript.model,
            stop_reason=self.stop_reason if self.status in ("stopped", "interrupted") else None,
            error_code=self._error_code(error),
            first_token_ms=self.first_token_ms,
            duration_ms=_milliseconds(self.started, monotonic()),
            input_tokens=self._usage.input_tokens,
            output_tokens=self._usage.output_tokens,
            transcript=None if restore else self._output.transcript.to_json(),
            retries=self._usage.retries,
            readers=self.readers - self._services.journal.counted_readers(self.id),
        )
        finish = partial(
            self._services.turns.finish,
            self.id,
            end,
            self.context,
            restore_replaced=restore,
            worker_id=self._services.journal.worker_id,
            notifies=self.is_read_remotely or self.is_awaited_remotely,
        )
        items = [*kept_items, *stop_note, *self._notices(error)]
        # A stopping server does not wait long: the journal has the answer, and the next server recovers it.
        is_stopping = self.stop_reason == "shutdown"
        seconds = self._settings.stop_seconds if is_stopping else self._settings.outage_seconds
        name = f"the end of turn {self.id}"
        is_complete = self.status == "completed" and self._output.has_unsaved_answer
        save = finish if is_complete else partial(finish_anyway, finish)
        if await through_outage(lambda: save(items=items), seconds, name):
            return True
        if self.stop_reason == "deleted" or restore:
            return False
        # Another worker took this one for dead, and closed the turn with what the journal had. Readers here have got
        # more: save that, unless the conversation has continued.
        return await through_outage(lambda: self._finish_closed(end, items), seconds, name)

    def _notices(self, error: ServerError | None) -> list[WidgetItem]:
        """Return the notice for those who load the thread later, if there is one. Readers get the error itself."""
        if error is not None:
            return [failure_notice(error, self.id, self.thread_id, self._accepted.user_item_id)]
        cut = self._error_code(None)
        return [] if cut is None else [cut_notice(cut, self.id, self.thread_id)]

    async def _finish_closed(self, end: TurnEnd, items: list[ThreadItem]) -> bool:
        turns, pauses, waited = self._services.turns, backoff(FIRST_PAUSE), 0.0
        while not await turns.finish_closed(self.id, end, self.context, items=items):
            pause = next(pauses)
            waited += pause
            try:
                record = await turns.load(self.id, self.context)
            except NotFoundError:
                return False
            if record.status != "running" or waited > self._settings.stop_seconds:
                self.stop_reason = self.stop_reason or "lost"  # an answer that was complete before that was noticed
                return False
            await asyncio.sleep(pause)  # the other worker is just closing it
        return True

    def _cut_readers(self) -> None:
        for reader in self._reading:
            reader.is_cut = True
        self.log.wake()

    def _error_code(self, error: ServerError | None) -> str | None:
        """Return why the turn failed, or why its complete answer is cut."""
        if self.status == "completed":
            return self._output.transcript.cut
        return error.code if error is not None and self.status == "failed" else None

    def _was_stopped_by_user(self) -> bool:
        return self.status == "stopped" and self.stop_reason == "user"

    def _stop_note(self) -> SDKHiddenContextItem:
        """Return the stop note, a hidden item: it tells the model that the user stopped the answer."""
        return SDKHiddenContextItem(
            id=self._services.store.generate_item_id("sdk_hidden_context", self._accepted.thread, self.context),
            thread_id=self.thread_id,
            created_at=datetime.now(UTC),
            content=STOP_NOTE,
        )


def _lose(turn: ReferenceType[Turn]) -> None:
    if (lost := turn()) is not None:  # a strong reference would be circular, and keep an ended turn in memory
        lost.stop("lost")


def _has_succeeded(work: asyncio.Task[None]) -> bool:
    return work.done() and not work.cancelled() and work.exception() is None


def _milliseconds(start: float, end: float | None) -> int | None:
    return None if end is None else round((end - start) * 1000)
