"""What a streaming request must pass before its first byte, and what it starts.

Everything that can be refused is refused here, before a turn exists: an unknown or locked thread, a bad attachment,
a question that was answered already (traps T7, T8, T13, T14, T30).
"""

from collections.abc import AsyncIterator, Callable, Sequence
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

from chatkit_store import Choice

from ..context import RequestContext
from ..errors.http import (
    AlreadyAnswered,
    Conflict,
    InvalidItem,
    InvalidParams,
    NotFound,
    TooManyFiles,
)
from ..events.snapshot import without_calls
from ..files.generated_images import GeneratedImages
from ..interactions.approvals import accept_decision, is_approval, resume_run
from ..interactions.pending import PendingInput, load_pending
from ..interactions.preconditions import current_item, submitted_sender, writable_thread
from ..run.server import ChatServer
from ..run.titles import first_words


@dataclass
class Accepted:
    """A request that will be a turn: what is saved when it starts, what the client is told first, what runs then."""

    kind: str
    thread: ThreadMetadata
    run: Callable[[], AsyncIterator[ThreadStreamEvent]]
    is_new_thread: bool = False
    is_plain: bool = True
    """Whether `run` is `respond` itself and nothing around it."""
    items: list[ThreadItem] = field(default_factory=list)
    opening: list[ThreadStreamEvent] = field(default_factory=list)
    options: StreamOptions = field(default_factory=lambda: StreamOptions(allow_cancel=True))
    user_item_id: str | None = None
    model: str | None = None
    """The model that the user chose; None for the settings' one."""
    replace_after: str | None = None
    choice: Choice | None = None
    """A decision about a tool call that waited for it; made when the turn starts."""
    seen_position: int | None = None
    """The thread's last position when it was looked at, where what is saved depends on what it waited for then."""
    images: GeneratedImages | None = None
    """Keeps what the turn's model draws."""


async def accept(request: StreamingReq, server: ChatServer, context: RequestContext) -> Accepted:
    """Checks the request against the thread it is for; writes nothing.

    Raises an `errors.ServerError` that says why it is refused, or `chatkit.store.NotFoundError`.
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
    accepted.images = server.generated_images
    accepted.options = server.get_stream_options(accepted.thread, context)
    accepted.opening.append(StreamOptionsEvent(stream_options=accepted.options))
    return accepted


def thread_response(thread: ThreadMetadata) -> Thread:
    """The thread as the widget gets it in events and lists: no items, no metadata of the integration's."""
    return Thread(
        id=thread.id,
        title=thread.title,
        created_at=thread.created_at,
        status=thread.status,
        allowed_image_domains=thread.allowed_image_domains,
        items=Page(),
    )


async def _create(request: ThreadsCreateReq, server: ChatServer, context: RequestContext) -> Accepted:
    thread = ThreadMetadata(id=server.store.generate_thread_id(context), created_at=datetime.now(UTC))
    message = await _user_message(request.params.input, server, thread, context)
    thread.title = first_words(message)
    return Accepted(
        kind=request.type,
        thread=thread,
        is_new_thread=True,
        items=[message],
        user_item_id=message.id,
        model=server.selection_for(message).model,
        opening=[ThreadCreatedEvent(thread=thread_response(thread)), ThreadItemDoneEvent(item=message)],
        run=lambda: server.respond(thread, message, context),
    )


async def _add_user_message(request: ThreadsAddUserMessageReq, server: ChatServer, context: RequestContext) -> Accepted:
    thread = await writable_thread(server, request.params.thread_id, context)
    message = await _user_message(request.params.input, server, thread, context)
    pending = await load_pending(server.sql_store, thread, context)
    changed, notes = pending.expire(thread)
    return Accepted(
        kind=request.type,
        thread=thread,
        items=[*changed, *notes, message],
        user_item_id=message.id,
        model=server.selection_for(message).model,
        opening=[ThreadItemDoneEvent(item=message), *_replacing(changed)],
        seen_position=pending.position,
        run=lambda: server.respond(thread, message, context),
    )


async def _add_client_tool_output(
    request: ThreadsAddClientToolOutputReq, server: ChatServer, context: RequestContext
) -> Accepted:
    """The output comes without a call id, so it belongs to the first call that waits, which the page runs (T30).

    What cannot be told apart: the same bytes once more when their turn has ended, or a late output of a call that has
    expired, while the next call waits.
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
        raise InvalidItem("Only a question of the assistant's can be answered.")
    if item.status != "pending":
        raise AlreadyAnswered
    answered = _with_answers(item, request.params.input)
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
    """The model goes on when it has all the answers that it asked for; until then the next one is asked for."""
    rest = pending.without(answered.id)
    accepted = Accepted(
        kind=request.type,
        thread=thread,
        items=[answered],
        model=server.selection_for(None, pending.since).model,
        opening=_replacing([answered]),
        seen_position=pending.position,
        run=lambda: server.respond(thread, None, context),
    )
    if not rest.is_complete:
        accepted.run, accepted.is_plain = rest.send_next_call, False
    elif rest.run_to_resume is not None:
        run = rest.run_to_resume
        accepted.run, accepted.is_plain = lambda: resume_run(server, thread, run, context), False
    return accepted


def _replacing(items: Sequence[ThreadItem]) -> list[ThreadStreamEvent]:
    """The events that show changed items. A call of the page's shows nothing, and would be run again."""
    return [ThreadItemReplacedEvent(item=item) for item in without_calls(items)]


async def _retry_after_item(request: ThreadsRetryAfterItemReq, server: ChatServer, context: RequestContext) -> Accepted:
    thread = await writable_thread(server, request.params.thread_id, context)
    message = await current_item(server, thread, request.params.item_id, context)
    if not isinstance(message, UserMessageItem):
        raise InvalidItem("Only an answer to a message of yours can be retried.")
    return Accepted(
        kind=request.type,
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
    seen = await server.sql_store.last_position(thread.id, context)  # before the widget, which is written
    sender, items = await submitted_sender(server, thread, params.item_id, params.action, context)
    events = server.action(thread, params.action, sender, context)
    return Accepted(
        kind=request.type, thread=thread, items=items, seen_position=seen, run=lambda: events, is_plain=False
    )


async def _approval(
    request: ThreadsCustomActionReq, thread: ThreadMetadata, server: ChatServer, context: RequestContext
) -> Accepted:
    """A button of an approval card. What is no longer waiting says so before a running turn is stopped for it."""
    decision = await accept_decision(server, thread, request.params.action, request.params.item_id, context)
    return Accepted(
        kind=request.type,
        thread=thread,
        items=[decision.card],
        opening=_replacing([decision.card]),
        choice=decision.choice,
        seen_position=decision.pending.position,
        run=decision.run,
        is_plain=False,
    )


async def _user_message(
    message: UserMessageInput, server: ChatServer, thread: ThreadMetadata, context: RequestContext
) -> UserMessageItem:
    limit = server.settings.attachments_per_message
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
        attachments=[await _attachment(known, server, thread, context) for known in message.attachments],
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


def _with_answers(item: StructuredInputItem, submission: StructuredInputSubmission) -> StructuredInputItem:
    """A copy of the question with its answers; an answer to a question that was not asked is left out."""
    answered = item.model_copy(deep=True)
    for question in answered.inputs:
        answer = submission.answers.get(question.id)
        if submission.status == "skipped" or answer is None or answer.skipped or not answer.values:
            question.answer = StructuredInputAnswer(skipped=True)
            continue
        only_one = isinstance(question, StructuredInputMultipleChoice) and not question.multiple
        question.answer = StructuredInputAnswer(values=answer.values[:1] if only_one else answer.values)
    answered.status = submission.status
    return answered
