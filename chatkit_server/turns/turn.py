"""One turn: one request that runs the agent, in a task of its own, apart from every connection (traps T1, T2).

The turn runs `ChatServer.respond`, whose events its `Output` takes. Readers come and go. However it ends, what was said
so far is saved.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from datetime import UTC, datetime
from functools import partial as partial_function
from time import monotonic

from chatkit.types import SDKHiddenContextItem, ThreadItem

from chatkit_store import SqlStore, StoreUnavailable, TurnEnd, TurnStatus, TurnStore

from ..context import RequestContext
from ..errors.failures import TurnTooLong, to_turn_failure
from ..errors.http import AnswerInterrupted, ServerError, to_server_error
from ..memory import Transcript, turn_transcript
from ..models.tap import text_sink
from ..models.usage import TurnUsage, turn_usage
from ..settings import Settings
from .accept import Accepted
from .journal import Journal
from .live_turn import LiveTurn, StopReason
from .output import Output
from .turn_end import finish_anyway
from .turn_log import TurnLog

logger = logging.getLogger(__name__)

FIRST_WAIT = 0.1
"""Seconds until the end of a turn is saved again; doubled each time."""
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
        self.context = context
        transcript = Transcript()
        self.log = TurnLog(
            settings.flush_ms / 1000,
            settings.flush_tokens,
            still_open=self.added_events,
            page=journal.open(turn_id, transcript),
        )
        self.status: TurnStatus = "running"
        self.stop_reason: StopReason | None = None
        self.is_detached = False
        """Goes on without readers."""
        self.is_read_elsewhere = False
        """At another worker, by the journal."""
        self._journal = journal
        self._accepted = accepted
        self._output = Output(
            turn_id,
            accepted,
            context,
            store,
            journal,
            self.items,
            self.log,
            transcript,
            on_lost=lambda: self.stop("lost"),
        )
        self._store = store
        self._turns = turns
        self._settings = settings
        self._is_too_late = False
        self._usage = TurnUsage()
        self.started = monotonic()
        self._work: asyncio.Task[None] | None = None
        self._work_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def first_token_ms(self) -> int | None:
        """How long the first words took; None until they have come."""
        return _milliseconds(self.started, self._output.first_token)

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
            told = to_server_error(error) if isinstance(error, Exception) else AnswerInterrupted()
            self._output.say(told.event(self.context.request_id))
            if not isinstance(error, Exception):
                raise
        finally:
            deadline.cancel()
            self._journal.shut(self.id, is_saved=is_saved)
            self.status = "failed" if self.status == "running" else self.status
            self.log.close()

    async def _run(self) -> None:
        for event in self._accepted.opening:
            self._output.say(event)
        self._work = asyncio.create_task(self._consume(), name=f"work of {self.id}")
        self._work.add_done_callback(lambda _: self._settle_work())
        if self.stop_reason is not None:
            self._cancel_work()
        await self._work_over
        if self.is_read_elsewhere:  # the last words of all but items reach readers there by the journal only
            await self._output.write_journal()
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
        return self._output.is_hidden(item_id)

    async def saved_ids(self) -> Collection[str]:
        """As `LiveTurn.saved_ids`."""
        return self._output.saved

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
            self._output.is_shut = True
            self._work_over.set_result(None)

    async def _consume(self) -> None:
        turn_usage.set(self._usage)
        turn_transcript.set(self._output.transcript)
        if self._accepted.allows_fast_path:
            text_sink.set(self._output.take_text)
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
        partial, dropped = output.partial()
        is_unanswered = self.status != "completed" and not output.answered(partial, dropped)
        restore = self._accepted.replace_after is not None and is_unanswered
        if restore:  # thinking alone is no new answer
            partial, dropped = [], list({*dropped, *output.thoughts})
        if await self._save_end(partial, error, restore):  # else the thread was deleted meanwhile, or another's turn
            for item_id in dropped:
                await output.drop(item_id)
            for item in partial:
                output.say_kept(item)
            if restore:
                await output.say_restored(self._accepted.replace_after)
        if error is not None:
            output.say(error.event(self.context.request_id))

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
        return to_turn_failure(cause)

    async def _save_end(self, partial: list[ThreadItem], error: ServerError | None, restore: bool) -> bool:
        # Not behind an old answer that comes back: that one was not stopped.
        marker = [self._stop_marker()] if self._was_stopped_by_user() and not restore else []
        end = TurnEnd(
            status=self.status,
            model=self._output.transcript.model,
            stop_reason=self.stop_reason if self.status in ("stopped", "interrupted") else None,
            error_code=error.code if error is not None and self.status == "failed" else None,
            first_token_ms=self.first_token_ms,
            duration_ms=_milliseconds(self.started, monotonic()),
            input_tokens=self._usage.input_tokens,
            output_tokens=self._usage.output_tokens,
            transcript=None if restore else self._output.transcript.to_json(),
            retries=self._usage.retries,
            readers=self.readers,
        )
        finish = partial_function(
            self._turns.finish,
            self.id,
            end,
            self.context,
            restore_replaced=restore,
            worker_id=self._journal.worker_id,
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
            id=self._store.generate_item_id("sdk_hidden_context", self._accepted.thread, self.context),
            thread_id=self.thread_id,
            created_at=datetime.now(UTC),
            content=STOP_MARKER,
        )


def _milliseconds(start: float, end: float | None) -> int | None:
    return None if end is None else round((end - start) * 1000)
