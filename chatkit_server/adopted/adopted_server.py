"""`AdoptedServer`: an author's unchanged `ChatKitServer` class behind our turns, store and models."""

import inspect
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import cached_property
from typing import Any, get_args

from agents import Agent, RunResultStreaming
from chatkit.actions import Action
from chatkit.errors import CustomStreamError, ErrorCode, StreamError
from chatkit.server import ChatKitServer
from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AudioInput,
    ErrorEvent,
    FeedbackKind,
    StreamOptions,
    SyncCustomActionResponse,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    UserMessageItem,
    WidgetItem,
)

from ..agent_context import AgentContext
from ..auth.signing_keys import load_signing_keys
from ..composer.choices import NO_SELECTION, AuthorChoices, Selection
from ..composer.offers import Offers
from ..context import RequestContext
from ..errors.author_code import FunctionEnded
from ..errors.http import AssistantChanged, NotAvailable
from ..errors.setup import AgentSetupError
from ..files.user_files import turn_files
from ..interactions.approvals import ask_approvals
from ..interactions.saved_run import SavedRun
from ..memory import turn_transcript
from ..recording.recorded_turn import RecordedTurn
from ..recording.run_recording import RunRecording
from ..run.author_runs import AuthorRuns
from ..run.server import ChatServer
from ..run.server_parts import ServerParts
from .author_call import AuthorCall, calling, current_call, enter
from .author_cancellation import AuthorCancellation
from .author_context import AuthorContexts
from .author_files import AuthorFiles
from .author_links import AuthorLinks
from .author_store import adopt_store, without_upload
from .author_thread import AuthorThread
from .author_times import with_aware_times, with_naive_times
from .author_titles import with_first_title
from .outside_call import OutsideCalls
from .repeated_ids import RepeatedIds
from .stray_objects import StrayWatch, describe_strays

logger = logging.getLogger(__name__)

EVENTS: tuple[type, ...] = get_args(get_args(ThreadStreamEvent)[0])
"""The classes of all events."""

FAILURES = (Exception, FunctionEnded, BaseExceptionGroup)
"""How the author's method ends early, unless it is cancelled. A task group of it makes a group of `FunctionEnded`."""

HAS_MESSAGE = "has_message"
ACTION = "action"
SENDER = "sender"
THREAD = "thread"
IDS = "ids"
"""Keys of what is saved of a call that pauses."""

Events = AsyncIterator[ThreadStreamEvent]
Start = Callable[[ThreadMetadata, AuthorCall], Events]
"""Calls the author's method."""


class AdoptedServer(ChatServer):
    """Calls the author's server where `ChatServer` runs an agent."""

    refuses_withdrawn_actions = False  # chatkit asks the author's code, which may answer such a click

    def __init__(self, parts: ServerParts, author: ChatKitServer[Any], contexts: AuthorContexts) -> None:
        """Replace the store of `author`. Raises `SetupError` if that is impossible."""
        super().__init__(parts)
        self.author = author
        self._contexts = contexts
        self.choices = AuthorChoices(parts.settings.models, parts.settings.tools)
        links = AuthorLinks(load_signing_keys(parts.settings), parts.settings.public_url)
        files = author.attachment_store if parts.settings.attachments else None
        self.attachment_store = None if files is None else AuthorFiles(files, links, self._call_for)
        adopt_store(author.store, OutsideCalls(parts.store, links, parts.authenticate))
        self._strays = StrayWatch(author.store)
        self._unknown_kinds: set[str] = set()

    @property
    def author_name(self) -> str:
        """The name of the author's class."""
        return type(self.author).__name__

    @property
    def context_name(self) -> str:
        """What the author's code gets as its context, for `doctor`."""
        return self._contexts.describe()

    @property
    def strays(self) -> str:
        """What the store object held when it was replaced, such as `_threads (3 objects)`: nobody will see it."""
        return describe_strays(self._strays.at_start)

    # -- turns

    def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
    ) -> Events:
        """Return the events of the author's `respond`, then that of a title if the thread still has none."""
        recording = RunRecording({"memo": {HAS_MESSAGE: input_user_message is not None}})
        events = self._answer(thread, input_user_message, context, recording)
        return with_first_title(events, self.sql_store, thread.id, context)

    def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
    ) -> Events:
        """Answer an action with a handler of `create_app(actions=...)`, or else with the author's `action`."""
        if self.actions.find(action.type) is not None:
            return super().action(thread, action, sender, context)
        self._check_has("action", action)
        memo = {ACTION: action.model_dump(mode="json"), SENDER: None if sender is None else sender.id}
        recording = RunRecording({"memo": memo})
        return self._act(thread, action, sender, context, recording)

    def _answer(
        self, thread: ThreadMetadata, message: UserMessageItem | None, context: RequestContext, recording: RunRecording
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        own_message, selection = _own_copy(message), self.selection_for(message)
        return self._events(
            thread,
            context,
            lambda own, call: self.author.respond(own, own_message, call.author_context),
            recording,
            selection=selection,
        )

    def _act(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
        recording: RunRecording,
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        widget = _own_copy(sender)
        return self._events(
            thread, context, lambda own, call: self.author.action(own, action, widget, call.author_context), recording
        )

    async def restore_recorded(self, saved: SavedRun, context: AgentContext) -> RecordedTurn:
        """Return a paused `respond` or `action` of the author's."""
        thread, request_context = context.thread, context.request_context

        async def replay(recording: RunRecording) -> AsyncGenerator[ThreadStreamEvent, None]:
            memo = recording.memo
            if (action := memo.get(ACTION)) is not None:
                sender_id = memo[SENDER]
                item = sender_id and await self.sql_store.load_item(thread.id, sender_id, request_context)
                sender = item if isinstance(item, WidgetItem) else None
                return self._act(thread, Action.model_validate(action), sender, request_context, recording)
            items = (await self.sql_store.load_since_user(thread.id, request_context)).items
            messages = (item for item in items if isinstance(item, UserMessageItem))
            message = next(messages, None) if memo[HAS_MESSAGE] else None
            return self._answer(thread, message, request_context, recording)

        return RecordedTurn(saved, replay)

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
    ) -> SyncCustomActionResponse:
        """Answer an action with a single item, as `action` does."""
        if self.actions.find(action.type) is not None:
            return await super().sync_action(thread, action, sender, context)
        self._check_has("sync_action", action)
        with calling(await self._call_for(context)) as call:
            own = await AuthorThread.load(thread.id, call)
            response = await self.author.sync_action(own.thread, action, _own_copy(sender), call.author_context)
            self._strays.look()
            if response.updated_item is None:
                return response
            item = await call.ids.rename(with_aware_times(response.updated_item), thread.id)
            return response.model_copy(update={"updated_item": item})

    async def _events(
        self, thread: ThreadMetadata, context: RequestContext, start: Start, recording: RunRecording, **selected: Any
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yield the events of the author's method, in a replay only those after the place where it paused."""
        runs = self._runs_for(context, recording=None if self._decides_itself else recording, **selected)
        try:
            async with aclosing(self._all_events(thread, context, start, runs, recording)) as events:
                async for event in events:
                    if not recording.is_replaying:
                        yield event
        except FAILURES as error:
            if recording.divergence is not None:
                raise AssistantChanged from error
            if runs.paused is None:
                raise
        if runs.paused is not None:
            async for event in self._ask(thread, context, recording, *runs.paused):
                yield event
        elif recording.is_replaying:
            raise AssistantChanged

    async def _all_events(
        self,
        thread: ThreadMetadata,
        context: RequestContext,
        start: Start,
        runs: AuthorRuns,
        recording: RunRecording,
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        call = await self._call_for(context)
        call.runs = runs
        call.repeated_ids = RepeatedIds(recording.memo.setdefault(IDS, {}))
        enter(call)
        own = await self._through_outage(lambda: AuthorThread.load(thread.id, call, recording.memo.get(THREAD)))
        events, is_stopped = start(own.thread, call), True
        errors: list[ErrorEvent] = []
        cancellation = AuthorCancellation(self.author)
        try:
            async for event in events:
                if not isinstance(event, ThreadItemUpdatedEvent):  # that is nearly each: one per token
                    own.carry_over(thread, is_saved=recording.is_replaying)
                cancellation.note(event)
                if isinstance(event, ErrorEvent):
                    errors.append(event)
                    continue
                if not isinstance(event, EVENTS):
                    self._report_unknown(event)
                    continue
                for saved_event in await call.ids.translate(event, thread.id):
                    yield saved_event
            own.carry_over(thread)
            is_stopped = False
        except FAILURES:
            if runs.paused is not None:
                await runs.wait_for_others()
                recording.memo[THREAD] = own.pause(thread)
            await own.save(call)  # chatkit saves the thread, too
            raise
        except BaseException:  # the task was cancelled, or its generator closed
            await cancellation.tell(own.thread, call)
            raise
        finally:
            if (aclose := getattr(events, "aclose", None)) is not None:
                await aclose()
            self._note_model(runs)
            await runs.close(is_stopped=is_stopped)
            self._strays.look()
        if errors:  # so that the turn fails, and a reload says so
            raise _exception_for(errors[0])

    def _note_model(self, runs: AuthorRuns) -> None:
        """Record whose model answered, for the turn's row."""
        transcript, agent = turn_transcript.get(), runs.answering_agent
        if transcript is not None and agent is not None:
            transcript.model_of = lambda answering: self.models.name_for(answering, runs.chosen_model)
            transcript.add_agent(agent)

    async def _ask(
        self,
        thread: ThreadMetadata,
        context: RequestContext,
        recording: RunRecording,
        agent: Agent[Any],
        result: RunResultStreaming,
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Save a run that needs the user's approval, with the runs before it, and yield the cards."""
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        agent_context.record(recording)
        agent_context.set_starting_agent(agent)
        turn_files.set(self.files_of(context))
        async for event in ask_approvals(agent_context, result):
            yield event

    @cached_property
    def _decides_itself(self) -> bool:
        """Whether the author's code looks at runs that need an approval: then they are its business."""
        try:
            return "interruptions" in inspect.getsource(sys.modules[type(self.author).__module__])
        except (OSError, TypeError, KeyError):
            return False

    def first_title(self, message: UserMessageItem, context: RequestContext) -> str | None:
        """Return None: the author's code may name only threads without a title."""
        return None

    # -- other requests

    async def add_attachment(
        self, files: AttachmentStore[RequestContext], input: AttachmentCreateParams, context: RequestContext
    ) -> Attachment:
        """Save the attachment of the author's store as complete: nobody says when its bytes have arrived."""
        attachment = await files.create_attachment(input, context)
        await self.sql_store.save_attachment(without_upload(attachment), context)
        return attachment

    async def transcribe(self, audio_input: AudioInput, context: RequestContext) -> TranscriptionResult:
        """Transcribe with the author's method, or else with the model of the settings."""
        if not self._has("transcribe"):
            return await super().transcribe(audio_input, context)
        with calling(await self._call_for(context)) as call:
            return await self.author.transcribe(audio_input, call.author_context)

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: RequestContext
    ) -> None:
        """Store the votes, then tell the author's code."""
        await super().add_feedback(thread_id, item_ids, feedback, context)
        with calling(await self._call_for(context)) as call:
            await self.author.add_feedback(thread_id, item_ids, feedback, call.author_context)

    async def load_stream_options(self, thread: ThreadMetadata, context: RequestContext) -> StreamOptions:
        """Return what the author's `get_stream_options` returns, before a turn starts."""
        call = await self._call_for(context)
        enter(call)  # the turn, whose task is started from here, continues with it: one context for the whole request
        return self.author.get_stream_options(_own_copy(thread), call.author_context)

    def offers(self, context: RequestContext) -> Offers:
        """Return what the page may offer: no starter prompts but those of the settings, which know what it can do."""
        return super().offers(context).model_copy(update={"prompts": self.settings.prompts or []})

    @property
    def offers_attachments(self) -> bool:
        """Return whether the author's attachment store has `create_attachment`, without which files come by routes of
        the author's own alone."""
        files = self.author.attachment_store
        has_creation = type(files).create_attachment is not AttachmentStore.create_attachment if files else False
        return super().offers_attachments and has_creation

    @property
    def offers_dictation(self) -> bool:
        """Return whether the author's class implements `transcribe`, or a transcription model is configured."""
        return self._has("transcribe") or self.models.transcriber is not None

    async def configured_agent(self, context: RequestContext) -> Agent[Any]:
        """Raise `AgentSetupError`: the author's code chooses its agents."""
        raise AgentSetupError(f"{self.author_name} runs its own agents.")

    # -- calls

    async def _call_for(self, context: RequestContext) -> AuthorCall:
        """Return the call of a request: one for all methods, so that they get the same context."""
        call = current_call.get()
        if call is None or call.context is not context or call.store is not self.sql_store:
            call = AuthorCall(context, self.sql_store, self._runs_for(context))
            with calling(call):
                call.author_context = await self._contexts.context_for(context)
        return call

    def _runs_for(
        self, context: RequestContext, *, selection: Selection = NO_SELECTION, recording: RunRecording | None = None
    ) -> AuthorRuns:
        return AuthorRuns(self.run_config_for(selection, context), self.settings, self.deadlines, recording)

    def _report_unknown(self, event: object) -> None:
        """Log a kind of object that is not an event, once. chatkit sends it to the page, which ignores it."""
        kind = type(event).__name__
        if kind not in self._unknown_kinds:
            self._unknown_kinds.add(kind)
            logger.warning(
                "%s has yielded a %s, which is not an event and has no effect; an update of an item goes into a "
                "ThreadItemUpdatedEvent",
                self.author_name,
                kind,
            )

    def _has(self, method: str) -> bool:
        return getattr(type(self.author), method) is not getattr(ChatKitServer, method)

    def _check_has(self, method: str, action: Action[str, Any]) -> None:
        if not self._has(method):
            raise NotAvailable(f"This server has no handler for the action “{action.type}”.")


def _exception_for(event: ErrorEvent) -> CustomStreamError | StreamError:
    """Return what chatkit would have made the event of."""
    if event.message is not None:
        return CustomStreamError(event.message, allow_retry=event.allow_retry)
    return StreamError(ErrorCode.STREAM_ERROR, allow_retry=event.allow_retry)


def _own_copy(model: Any) -> Any:
    """Return a copy with naive times that the author's code may change."""
    return None if model is None else with_naive_times(model.model_copy(deep=True))
