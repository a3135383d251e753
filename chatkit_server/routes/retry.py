"""Retry a turn that has failed or was interrupted."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from ..plain.answers import Answer
from ..plain.sending import retry
from ..services import services_of
from .error_responses import ERRORS
from .json_route import JsonRoute
from .messages import STREAM, WHOLE, Detach, Key
from .reading import disconnected
from .token_responses import answer_to

router = APIRouter(prefix="/api", tags=["turns"], route_class=JsonRoute)

CONTENT = {200: {"description": STREAM[200]["description"], "content": WHOLE[200]["content"] | STREAM[200]["content"]}}
RESPONSES: dict[int | str, dict[str, Any]] = WHOLE | CONTENT | ERRORS


@router.post(
    "/turns/{turn_id}/retry",
    summary="Answer the message of a failed, interrupted or stopped turn again",
    response_class=Response,
    response_model=Answer,
    responses=RESPONSES,
)
async def retry_turn(
    turn_id: str, request: Request, idempotency_key: Key = None, x_chatkit_detach: Detach = None
) -> Response:
    """Return the whole new answer, or stream it with `Accept: text/event-stream` or `application/x-ndjson`.

    The new turn has its own id; it replaces the items that the old one left. 404 for another user's turn; 409
    `not_retryable` if the turn is complete, still runs, or is not the last one of its thread.
    """
    services = services_of(request)
    context = await services.door.authenticate(request)
    turn = await retry(
        turn_id,
        services,
        context,
        key=idempotency_key,
        is_detached=x_chatkit_detach == "1",
        gone=partial(disconnected, request),
    )
    response = answer_to(request, turn, services, context)
    services.door.remember(request, response, context)
    return response
