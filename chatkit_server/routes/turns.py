"""Turns from outside the stream that started them."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from store import TurnRecord

from ..errors import Conflict
from ..services import services_of
from .attach import ended_turn
from .errors import ERRORS
from .linked import LinkedResponse
from .stream import TurnResponse

router = APIRouter(prefix="/api", tags=["turns"])

STOPPED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": {"id": "turn_0123", "thread_id": "thr_0123", "status": "stopped", "stop_reason": "user"}
            }
        }
    }
}
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}, "description": "ChatKit events"}}


@router.post(
    "/turns/{turn_id}/stop", summary="Stop a running answer; what was said so far is kept", responses=STOPPED | ERRORS
)
async def stop_turn(turn_id: str, request: Request) -> dict[str, str | None]:
    """Answers when the model call is closed and the partial answer is saved, whichever worker runs the turn; 404 for a
    turn of somebody else's, 409 where its worker does not react."""
    services = services_of(request)
    return _stopped(await services.turns.stop(turn_id, "user", services.auth.authenticate(request)))


@router.post("/threads/{thread_id}/stop", summary="Stop what runs on a thread", responses=STOPPED | ERRORS)
async def stop_thread(thread_id: str, request: Request) -> dict[str, str | None]:
    """As `/api/turns/{id}/stop`, for a page that knows only its thread; `id` is null where nothing ran."""
    services = services_of(request)
    context = services.auth.authenticate(request)
    await services.store.load_thread(thread_id, context)
    record = await services.turns.stop_thread(thread_id, "user", context)
    if record is None:
        return {"id": None, "thread_id": thread_id, "status": None, "stop_reason": None}
    return _stopped(record)


def _stopped(record: TurnRecord) -> dict[str, str | None]:
    if record.status == "running":
        raise Conflict("The answer was stopped, but its end could not be saved. Please try again in a moment.")
    return {"id": record.id, "thread_id": record.thread_id, "status": record.status, "stop_reason": record.stop_reason}


@router.get(
    "/turns/{turn_id}/events",
    summary="The events of an answer, from anywhere",
    response_class=Response,
    responses=STREAM | ERRORS,
)
async def turn_events(
    turn_id: str,
    request: Request,
    after: Annotated[int | None, Query(ge=0, description="the id of the last event that was seen")] = None,
    last_event_id: Annotated[int | None, Header(ge=0, description="the same, as EventSource sends it")] = None,
) -> Response:
    """A running turn's events from the first one, or the one after `after`, to its end; of an ended turn its items.

    Where those events are not kept any more: its finished items, and the open ones with all of their text so far."""
    services = services_of(request)
    context = services.auth.authenticate(request)
    turn = await services.turns.find(turn_id, context)
    if turn is None:
        return LinkedResponse(await ended_turn(turn_id, services, context), services.links, context, request)
    seen = after if after is not None else last_event_id or 0
    # A journal may be behind what was read where the turn runs: telling it once more would double it on the screen.
    first = turn.snapshot() if seen > turn.log.last else ()
    response = TurnResponse(turn, services.settings, first=first, position=min(seen, turn.log.last))
    return LinkedResponse(response, services.links, context, request)
