"""Re-attach to a running turn: after a reload, after a lost connection, or from another page."""

from typing import Annotated, Any, TypeGuard

from chatkit.types import (
    NonStreamingReq,
    StreamingReq,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadsCustomActionReq,
    UserMessageItem,
)
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from ..context import RequestContext
from ..errors.failures import failure_of_ended_turn
from ..events.snapshot import snapshot, without_calls
from ..services import Services, services_of
from ..turns.accept import thread_response
from ..turns.subscription import Pace
from .error_responses import ERRORS
from .event_stream import FinishedStream, TurnResponse
from .flush_window import FlushMs, pace
from .linked import LinkedResponse

router = APIRouter(prefix="/api", tags=["turns"])

STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}, "description": "ChatKit events"}}
ACTION = "turn.attach"
RECENT_ITEMS = 100
"""How many items of the last turn are sent if no turn is running."""


def is_attach(request: StreamingReq | NonStreamingReq) -> TypeGuard[ThreadsCustomActionReq]:
    """Return whether the request is the page's action to re-attach to the running turn."""
    return isinstance(request, ThreadsCustomActionReq) and request.params.action.type == ACTION


async def attach_thread(
    thread_id: str, services: Services, context: RequestContext, pace: Pace, *, is_detached: bool
) -> Response:
    """Return a stream of the thread's running turn: a snapshot, then all further events.

    If no turn is running, it is a stream of the last turn's items, because the widget retries anything but a stream.
    Raises `NotFoundError`.
    """
    thread = await services.store.load_thread(thread_id, context)
    turn = await services.turns.running_on(thread_id, context)
    if turn is not None:
        if is_detached:
            turn.detach()
        return TurnResponse(turn, pace, context.frame_id, first=turn.snapshot(), position=turn.log.last)
    options = services.server.get_stream_options(thread, context)
    finished = await _last_answer(thread, services, context)
    return FinishedStream(snapshot(finished, [], options=options, is_running=False))


@router.get(
    "/turns/{turn_id}/events",
    summary="Stream the events of a turn, from any position",
    response_class=Response,
    responses=STREAM | ERRORS,
)
async def turn_events(
    turn_id: str,
    request: Request,
    after: Annotated[int | None, Query(ge=0, description="the id of the last event received")] = None,
    last_event_id: Annotated[int | None, Header(ge=0, description="the same, as EventSource sends it")] = None,
    x_chatkit_flush_ms: FlushMs = None,
) -> Response:
    """Stream a running turn's events, from the first or the one after `after`; for an ended turn, stream its items.

    If those events are no longer kept, the stream starts with its finished items, and the open ones with their text
    so far.
    """
    services = services_of(request)
    context = await services.door.authenticate(request)
    turn = await services.turns.find(turn_id, context)
    if turn is None:
        return LinkedResponse(await ended_turn(turn_id, services, context), services.links, context, request)
    last_seen = after if after is not None else last_event_id or 0
    # The journal may lag behind what the client read from the turn's own worker: replaying would duplicate text.
    first = turn.snapshot() if last_seen > turn.log.last else ()
    chosen_pace = pace(services.pace, x_chatkit_flush_ms)
    response = TurnResponse(turn, chosen_pace, first=first, position=min(last_seen, turn.log.last))
    return LinkedResponse(response, services.links, context, request)


async def ended_turn(
    turn_id: str,
    services: Services,
    context: RequestContext,
    *,
    is_new_thread: bool = False,
    has_calls: bool = False,
) -> FinishedStream:
    """Return a stream of the items of an ended turn.

    Set `is_new_thread` if the client does not know the thread yet, and `has_calls` if its page already received the
    turn's client tool calls: without their removal it would run them again. Raises `NotFoundError`.
    """
    record = await services.turn_store.load(turn_id, context)
    thread = await services.store.load_thread(record.thread_id, context)
    items = await services.store.load_turn_items(thread.id, turn_id, context)
    options = services.server.get_stream_options(thread, context)
    created = [ThreadCreatedEvent(thread=thread_response(thread))] if is_new_thread else []
    error = failure_of_ended_turn(record.status, record.error_code)
    failed = [error.event(record.request_id)] if error is not None else []
    older_items = await services.store.load_changed_items(thread.id, turn_id, context)
    changed = [ThreadItemReplacedEvent(item=item) for item in without_calls(older_items)]
    events = snapshot(without_calls(items) if has_calls else items, [], options=options, is_running=False)
    return FinishedStream([*created, *events, *changed, *failed])


async def _last_answer(thread: ThreadMetadata, services: Services, context: RequestContext) -> list[ThreadItem]:
    page = await services.store.load_visible_items(thread.id, None, RECENT_ITEMS, "desc", context)
    answer: list[ThreadItem] = []
    for item in page.data:
        answer.append(item)
        if isinstance(item, UserMessageItem):
            break
    return answer[::-1]
