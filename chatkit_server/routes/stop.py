"""Stop turns, independently of the stream that started them."""

from typing import Any

from fastapi import APIRouter, Request

from chatkit_store import TurnRecord

from ..errors.http import Conflict
from ..services import services_of
from .error_responses import ERRORS

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


@router.post(
    "/turns/{turn_id}/stop", summary="Stop a running turn; its answer so far is kept", responses=STOPPED | ERRORS
)
async def stop_turn(turn_id: str, request: Request) -> dict[str, str | None]:
    """Respond once the model call is closed and the partial answer is saved, whichever worker runs the turn.

    404 for another user's turn, 409 if the turn's worker does not react.
    """
    services = services_of(request)
    return _stopped(await services.turns.stop(turn_id, "user", await services.door.authenticate(request)))


@router.post("/threads/{thread_id}/stop", summary="Stop the running turn of a thread", responses=STOPPED | ERRORS)
async def stop_thread(thread_id: str, request: Request) -> dict[str, str | None]:
    """Like `/api/turns/{id}/stop`, for a page that only knows the thread; `id` is null if no turn was running."""
    services = services_of(request)
    context = await services.door.authenticate(request)
    await services.store.load_thread(thread_id, context)
    record = await services.turns.stop_thread(thread_id, "user", context)
    if record is None:
        return {"id": None, "thread_id": thread_id, "status": None, "stop_reason": None}
    return _stopped(record)


def _stopped(record: TurnRecord) -> dict[str, str | None]:
    if record.status == "running":
        raise Conflict("The answer was stopped, but its end could not be saved. Please try again in a moment.")
    return {"id": record.id, "thread_id": record.thread_id, "status": record.status, "stop_reason": record.stop_reason}
