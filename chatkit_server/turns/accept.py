"""Check a streaming request before its first byte, and say what it starts.

Most refusals happen here, before a turn exists: an unknown or locked thread, an invalid attachment, a question that has
been answered already. `Turns.start` also refuses: a thread that is still answering, a stopping server, a decided
approval.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import assert_never

from chatkit.types import (
    Attachment,
    ClientToolCallItem,
    Page,
    StreamingReq,
    StreamOptions,
    StreamOptionsEvent,
    StructuredInputAnswer,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputSubmission,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    UserMessageInput,
    UserMessageItem,
)

from chatkit_store import ApprovalDecision
from chatkit_store.turns import RETRY

from ..context import RequestContext
from ..errors.http import (
    AlreadyAnswered,
    Conflict,
    InvalidItem,
    InvalidParams,
    NotFound,
    ServerError,
    TooManyFiles,
)
from ..events.snapshot import without_calls
from ..files.generated_images import GeneratedImages
from ..files.upload_limits import check_uploads, count_limit
from ..interactions.approvals import accept_click, is_approval, resume_run
from ..interactions.notice_card import is_retry, message_to_retry
from ..interactions.pending import PendingInput, load_pending
from ..interactions.preconditions import check_writable, current_item, submitted_sender, writable_thread
from ..run.server import ChatServer

DEFAULT_OPTIONS = StreamOptions(allow_cancel=True)


@dataclass
class Accepted:
    """A request that may start a turn: what to save at the start, which events to send first, and what to run."""

    kind: str
    thread: ThreadMetadata
    run: Callable[[], AsyncIterator[ThreadStreamEvent]]
    is_new_thread: bool = False
    allows_fast_path: bool = True
    """Whether `run` is just `respond`, so that text deltas may go directly to the turn's log."""
    items: list[ThreadItem] = field(default_factory=list)
    opening: Callable[[], Sequence[ThreadStreamEvent]] = tuple
    """Makes the events that show what the request itself has changed. Its client has the response's head by then."""
    options: StreamOptions = field(default_factory=lambda: DEFAULT_OPTIONS)
    gone_ids: Sequence[str] = ()
    """The ids of the items that the start of the turn has removed, as far as its readers have to know."""
    user_item_id: str | None = None
    model: str | None = None
    """The model that the user chose; None for the one in the settings."""
    replace_after: str | None = None
    sends_replaced: bool = False
    """Whether readers are sent the removal of what the turn replaces. On its own Retry, the widget removes it."""
    decisions: Sequence[ApprovalDecision] = ()
    """Decisions about tool calls, saved when the turn starts."""
    seen_position: int | None = None
    """The thread's last position when it was checked; None if `items` do not depend on what was pending."""
    images: GeneratedImages | None = None
    """Stores the images that the turn's model generates."""
    allows_traces: bool = False


async def accept(request: StreamingReq, server: ChatServer, context: RequestContext) -> Accepted:
    """Check the request against its thread; write nothing.

    Raises a `ServerError` with the reason of a refusal, or `chatkit.store.NotFoundError`.
    """
    match request:
        case ThreadsCreateReq():
            accepted = await _create(request, server, context)
        case ThreadsAddUserMessageReq():
            accepted = await _add_user_message(request, server, context)
        case ThreadsAddClientToolOutputReq():
            accepted = await _add_client_tool_output(request, server, context)
        case ThreadsAddStructuredInputReq():
            accepted = await _add_structured_input(request, server, context)
        case ThreadsRetryAfterItemReq():
            accepted = await _retry_after_item(request, server, context)
        case ThreadsCustomActionReq():
            accepted = await _custom_action(request, server, context)
        case _:
            assert_never(request)
    return await completed(accepted, server, context)


async def completed(accepted: Accepted, server: ChatServer, context: RequestContext) -> Accepted:
    """Add to a checked request what every turn has, whatever started it."""
    accepted.images = server.generated_images
    accepted.allows_traces = server.allows_traces(context)
    accepted.options = await server.load_stream_options(accepted.thread, context)
    return accepted


def opening_events(accepted: Accepted) -> list[ThreadStreamEvent]:
    """Return the events with which the turn of a request begins, before its agent runs."""
    options = StreamOptionsEvent(stream_options=accepted.options)
    return [*accepted.opening(), options, *(ThreadItemRemovedEvent(item_id=item_id) for item_id in accepted.gone_ids)]


async def accept_unanswered(accept: Callable[[], Awaitable[Accepted]], error: ServerError) -> Accepted:
    """Accept a message whose turn fails with `error` at once: it is saved, and its user can retry.

    Raises the error for anything but a message, and what `accept` raises.
    """
    accepted = await accept()
    if accepted.user_item_id is None or accepted.replace_after is not None:
        raise error
    accepted.run, accepted.allows_fast_path = lambda: _fail(error), False
    return accepted


async def _fail(error: ServerError) -> AsyncIterator[ThreadStreamEvent]:
    events: Sequence[ThreadStreamEvent] = ()
    for event in events:  # makes it a generator
        yield event
    raise error


def thread_response(thread: ThreadMetadata) -> Thread:
    """Return the thread as the widget gets it in events and lists: without items and without the metadata."""
    return Thread(
        id=thread.id,
        title=thread.title,
        created_at=thread.created_at,
        status=thread.status,
        allowed_image_domains=thread.allowed_image_domains,
        items=Page(data=[]),
    )


async def _create(request: ThreadsCreateReq, server: ChatServer, context: RequestContext) -> Accepted:
    thread = ThreadMetadata(id=server.store.generate_thread_id(context), created_at=datetime.now(UTC))
    message = await _user_message(request.params.input, server, thread, context)
    thread.title = server.first_title(message, context)
    return Accepted(
        kind=request.type,
        thread=thread,
        is_new_thread=True,
        items=[message],
        user_item_id=message.id,
        model=server.selection_for(message).model,
        opening=lambda: [ThreadCreatedEvent(thread=thread_response(thread)), ThreadItemDoneEvent(item=message)],
        run=lambda: server.respond(thread, message, context),
    )


async def _add_user_message(request: ThreadsAddUserMessageReq, server: ChatServer, context: RequestContext) -> Accepted:
    state = await server.sql_store.load_thread_state(request.params.thread_id, context)
    thread = state.thread
    check_writable(thread)
    message = await _user_message(request.params.input, server, thread, context)
    pending = PendingInput(position=state.position)
    if state.may_wait:
        pending = await load_pending(server.sql_store, thread, context)
    changed, notes = pending.expire(thread)
    return Accepted(
        kind=request.type,
        thread=thread,
        items=[*changed, *notes, message],
        user_item_id=message.id,
        model=server.selection_for(message).model,
        opening=lambda: [ThreadItemDoneEvent(item=message), *replaced_events(changed)],
        seen_position=pending.position,
        run=lambda: server.respond(thread, message, context),
    )


async def _add_client_tool_output(
    request: ThreadsAddClientToolOutputReq, server: ChatServer, context: RequestContext
) -> Accepted:
    """The output has no call id, so it belongs to the first pending call, which is the one that the page runs (T30).

    While another call is pending, this cannot recognise a repeated post whose turn has ended, nor a late output of a
    call that has expired.
    """
    thread = await writable_thread(server, request.params.thread_id, context)
    pending = await load_pending(server.sql_store, thread, context)
    if not pending.calls:
        raise Conflict("No tool of this conversation is waiting for an output.")
    call = pending.calls[0].model_copy(update={"output": request.params.result, "status": "completed"})
    return _continue(request, thread, call, pending, server, context)


async def _add_structured_input(
    request: ThreadsAddStructuredInputReq, server: ChatServer, context: RequestContext
) -> Accepted:
    thread = await writable_thread(server, request.params.thread_id, context)
    item = await current_item(server, thread, request.params.item_id, context)
    if not isinstance(item, StructuredInputItem):
        raise InvalidItem("Only a question from the assistant can be answered.")
    if item.status != "pending":
        raise AlreadyAnswered
    answered = with_answers(item, request.params.input)
    pending = await load_pending(server.sql_store, thread, context)
    return _continue(request, thread, answered, pending, server, context)


def _continue(
    request: ThreadsAddClientToolOutputReq | ThreadsAddStructuredInputReq,
    thread: ThreadMetadata,
    answered: ClientToolCallItem | StructuredInputItem,
    pending: PendingInput,
    server: ChatServer,
    context: RequestContext,
) -> Accepted:
    """Accept an answer: run the agent if nothing else is pending, else have the page run its next tool."""
    remaining = pending.without(answered.id)
    accepted = Accepted(
        kind=request.type,
        thread=thread,
        items=[answered],
        model=server.selection_for(None, pending.since).model,
        opening=lambda: replaced_events([answered]),
        seen_position=pending.position,
        run=lambda: server.respond(thread, None, context),
    )
    if not remaining.is_complete:
        accepted.run, accepted.allows_fast_path = remaining.send_next_call, False
    elif (run := remaining.run_to_resume) is not None:
        accepted.run, accepted.allows_fast_path = lambda: resume_run(server, thread, run, context), False
    return accepted


def replaced_events(items: Sequence[ThreadItem]) -> list[ThreadStreamEvent]:
    """Return the events that show changed items. Client tool calls are left out: the page would run them again."""
    return [ThreadItemReplacedEvent(item=item) for item in without_calls(items)]


async def _retry_after_item(request: ThreadsRetryAfterItemReq, server: ChatServer, context: RequestContext) -> Accepted:
    thread = await writable_thread(server, request.params.thread_id, context)
    message = await current_item(server, thread, request.params.item_id, context)
    if not isinstance(message, UserMessageItem):
        raise InvalidItem("Only an answer to one of your messages can be retried.")
    return _retry(thread, message, server, context)


def _retry(thread: ThreadMetadata, message: UserMessageItem, server: ChatServer, context: RequestContext) -> Accepted:
    return Accepted(
        kind=RETRY,
        thread=thread,
        user_item_id=message.id,
        model=server.selection_for(message).model,
        replace_after=message.id,
        run=lambda: server.respond(thread, message, context),
    )


async def _custom_action(request: ThreadsCustomActionReq, server: ChatServer, context: RequestContext) -> Accepted:
    params = request.params
    thread = await writable_thread(server, params.thread_id, context)
    if is_approval(params.action):
        return await _approval(request, thread, server, context)
    if is_retry(params.action):
        message = await message_to_retry(server, thread, params.action, params.item_id, context)
        accepted = _retry(thread, message, server, context)
        accepted.sends_replaced = True
        return accepted
    # Read before the widget: a copy of the widget is saved, so a later change must be noticed.
    position = await server.sql_store.last_position(thread.id, context)
    sender, items = await submitted_sender(server, thread, params.item_id, params.action, context)
    events = server.action(thread, params.action, sender, context)
    return Accepted(
        kind=request.type,
        thread=thread,
        items=items,
        seen_position=position,
        run=lambda: events,
        allows_fast_path=False,
    )


async def _approval(
    request: ThreadsCustomActionReq, thread: ThreadMetadata, server: ChatServer, context: RequestContext
) -> Accepted:
    """Accept a button of an approval card. A closed approval is refused before a running turn is stopped for it."""
    click = await accept_click(server, thread, request.params.action, request.params.item_id, context)
    return Accepted(
        kind=request.type,
        thread=thread,
        items=list(click.cards),
        opening=lambda: replaced_events(click.cards),
        decisions=click.decisions,
        seen_position=click.pending.position,
        run=click.run,
        allows_fast_path=False,
    )


async def _user_message(
    message: UserMessageInput, server: ChatServer, thread: ThreadMetadata, context: RequestContext
) -> UserMessageItem:
    if message.attachments:
        check_uploads(context)
    limit = count_limit(server.settings, context)
    if len(message.attachments) > limit:
        raise TooManyFiles(f"A message takes at most {limit} files. Please send them in several messages.")
    if not message.attachments and not any(part.text.strip() for part in message.content):
        raise InvalidParams("The message is empty.")
    server.choices.check(message.inference_options)
    return UserMessageItem(
        id=server.store.generate_item_id("message", thread, context),
        thread_id=thread.id,
        created_at=datetime.now(UTC),
        content=message.content,
        attachments=[await _attachment(id, server, thread, context) for id in message.attachments],
        quoted_text=message.quoted_text,
        inference_options=message.inference_options,
    )


async def _attachment(
    attachment_id: str, server: ChatServer, thread: ThreadMetadata, context: RequestContext
) -> Attachment:
    attachment = await server.store.load_attachment(attachment_id, context)
    if attachment.thread_id not in (None, thread.id) or attachment.upload_descriptor is not None:
        raise NotFound("An attached file was not found. Please attach it again.")
    return attachment.model_copy(update={"thread_id": thread.id})


def with_answers(item: StructuredInputItem, submission: StructuredInputSubmission) -> StructuredInputItem:
    """Return a copy of the item with its answers; answers to unknown questions are dropped."""
    answered = item.model_copy(deep=True)
    for question in answered.inputs:
        answer = submission.answers.get(question.id)
        if submission.status == "skipped" or answer is None or answer.skipped or not answer.values:
            question.answer = StructuredInputAnswer(skipped=True)
            continue
        is_single = isinstance(question, StructuredInputMultipleChoice) and not question.multiple
        question.answer = StructuredInputAnswer(values=answer.values[:1] if is_single else answer.values)
    answered.status = submission.status
    return answered
