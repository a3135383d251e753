"""The operations of the ChatKit protocol that do not stream."""

import base64
import contextlib
from typing import assert_never

from chatkit.store import AttachmentStore, NotFoundError
from chatkit.types import (
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    AudioInput,
    InputTranscribeReq,
    ItemsFeedbackReq,
    ItemsListReq,
    NonStreamingReq,
    Page,
    Thread,
    ThreadItem,
    ThreadMetadata,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsSyncCustomActionReq,
    ThreadsUpdateReq,
)

from ..agents.turn_traces import begin_traces
from ..context import RequestContext
from ..errors.http import InvalidParams, NotAvailable
from ..events.frames import serialize
from ..files.attachment_store import too_large
from ..files.upload_limits import check_uploads, size_limit
from ..interactions.sync_actions import SyncActions
from ..run.server import ChatServer
from ..turns.accept import thread_response
from ..turns.turns import Turns

DEFAULT_PAGE_SIZE = 100
DONE = b"{}"


async def answer(
    request: NonStreamingReq, server: ChatServer, turns: Turns, actions: SyncActions, context: RequestContext
) -> bytes:
    """Return the JSON response of an operation. Raises `ServerError`, or what the store raises."""
    begin_traces(allowed=server.allows_traces(context), key=server.settings.openai_api_key)
    match request:
        case ThreadsGetByIdReq():
            return await _get_thread(request, server, turns, context)
        case ThreadsListReq():
            return await _list_threads(request, server, context)
        case ItemsListReq():
            return await _list_items(request, server, turns, context)
        case ItemsFeedbackReq():
            params = request.params
            await server.add_feedback(params.thread_id, params.item_ids, params.kind, context)
            return DONE
        case ThreadsUpdateReq():
            return await _rename_thread(request, server, context)
        case ThreadsDeleteReq():
            return await _delete_thread(request, server, turns, context)
        case AttachmentsCreateReq():
            return await _create_attachment(request, server, context)
        case AttachmentsDeleteReq():
            return await _delete_attachment(request.params.attachment_id, server, context)
        case InputTranscribeReq():
            return await _transcribe(request, server, context)
        case ThreadsSyncCustomActionReq():
            return await actions.answer(request, context)
        case _:
            assert_never(request)


async def _get_thread(request: ThreadsGetByIdReq, server: ChatServer, turns: Turns, context: RequestContext) -> bytes:
    """Include the running turn's text so far, so that a page that does not re-attach shows it after a reload."""
    thread = await server.store.load_thread(request.params.thread_id, context)
    items = await _load_items(server, turns, thread.id, None, DEFAULT_PAGE_SIZE, "asc", context)
    return serialize(thread_response(thread).model_copy(update={"items": items}))


async def _list_threads(request: ThreadsListReq, server: ChatServer, context: RequestContext) -> bytes:
    params = request.params
    limit = DEFAULT_PAGE_SIZE if params.limit is None else params.limit
    session = context.session
    if session is not None and not session.has_history:
        page = Page[ThreadMetadata]()
    elif session is not None and session.recent_threads is not None:
        page = await server.sql_store.load_threads(
            limit, params.after, params.order, context, newest=session.recent_threads
        )
    else:
        page = await server.store.load_threads(limit, params.after, params.order, context)
    threads = [thread_response(thread) for thread in page.data]
    return serialize(Page[Thread](data=threads, has_more=page.has_more, after=page.after))


async def _list_items(request: ItemsListReq, server: ChatServer, turns: Turns, context: RequestContext) -> bytes:
    params = request.params
    limit = DEFAULT_PAGE_SIZE if params.limit is None else params.limit
    return serialize(await _load_items(server, turns, params.thread_id, params.after, limit, params.order, context))


async def _load_items(
    server: ChatServer,
    turns: Turns,
    thread_id: str,
    after: str | None,
    limit: int,
    order: str,
    context: RequestContext,
) -> Page[ThreadItem]:
    """Return a page from the database; in ascending order with the running turn's items that are not saved yet."""
    turn = await turns.running_on(thread_id, context) if order == "asc" else None
    if turn is None:
        return await server.sql_store.load_visible_items(thread_id, after, limit, order, context)
    newer, saved = turn.open_items_by_id(), set(await turn.saved_ids())
    page = await server.sql_store.load_visible_items(thread_id, after, limit, order, context)
    for item_id in newer.keys() - turn.items.open_ids():  # finished or removed while the page was read
        newer.pop(item_id)
        if (finished := turn.items.finished.get(item_id)) is not None:
            newer[item_id] = finished
    page.data = [newer.pop(item.id, item) for item in page.data]
    if not page.has_more:  # an already saved item that is not on this page is on an earlier one
        page.data += [item for item_id, item in newer.items() if item_id not in saved]
    return page


async def _rename_thread(request: ThreadsUpdateReq, server: ChatServer, context: RequestContext) -> bytes:
    thread = await server.store.load_thread(request.params.thread_id, context)
    thread.title = request.params.title
    await server.store.save_thread(thread, context)
    return serialize(thread_response(thread))


async def _delete_thread(request: ThreadsDeleteReq, server: ChatServer, turns: Turns, context: RequestContext) -> bytes:
    thread = await server.store.load_thread(request.params.thread_id, context)  # checks the owner first
    async with turns.alone(thread.id, "deleted", context):
        await server.store.delete_thread(thread.id, context)
    return DONE


def _attachments(server: ChatServer) -> AttachmentStore[RequestContext]:
    if server.attachment_store is None:
        raise NotAvailable("This server does not accept attachments.")
    return server.attachment_store


async def _create_attachment(request: AttachmentsCreateReq, server: ChatServer, context: RequestContext) -> bytes:
    files, params = _attachments(server), request.params
    check_uploads(context)
    if params.size > (limit := size_limit(server.settings, context)):
        raise too_large(limit)
    return serialize(await server.add_attachment(files, params, context))


async def _delete_attachment(attachment_id: str, server: ChatServer, context: RequestContext) -> bytes:
    """Delete file and row; the attachment store may already delete the row."""
    files = _attachments(server)
    await server.store.load_attachment(attachment_id, context)  # checks the owner
    await files.delete_attachment(attachment_id, context)
    with contextlib.suppress(NotFoundError):
        await server.store.delete_attachment(attachment_id, context)
    return DONE


async def _transcribe(request: InputTranscribeReq, server: ChatServer, context: RequestContext) -> bytes:
    try:
        data = base64.b64decode(request.params.audio_base64, validate=True)
    except ValueError as error:  # binascii.Error is one; text that is not ASCII raises another
        raise InvalidParams("`audio_base64` is not valid base64.") from error
    try:
        return serialize(await server.transcribe(AudioInput(data=data, mime_type=request.params.mime_type), context))
    except NotImplementedError as error:
        raise NotAvailable("This server does not offer dictation.") from error
