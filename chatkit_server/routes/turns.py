"""Turns from outside the stream that started them."""

from fastapi import APIRouter, Request

from ..errors import Conflict
from ..services import services_of

router = APIRouter(prefix="/api/turns", tags=["turns"])


@router.post("/{turn_id}/stop", summary="Stop a running answer; what was said so far is kept")
async def stop_turn(turn_id: str, request: Request) -> dict[str, str | None]:
    """Answers when the model call is closed and the partial answer is saved; 404 for a turn of somebody else's,
    409 for one that another worker runs."""
    services = services_of(request)
    context = services.auth.authenticate(request)
    turn = services.turns.find(turn_id, context)
    if turn is not None:
        turn.stop("user")
        await turn.ended()
    record = await services.turn_store.load(turn_id, context)
    if record.status == "running":
        raise Conflict("This answer does not run in this process, which cannot stop it.")
    return {"id": record.id, "thread_id": record.thread_id, "status": record.status, "stop_reason": record.stop_reason}
