"""Answer what an ended turn waits for: approvals, questions and tools of the page."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from ..plain.answers import Answer
from ..plain.sending import answer
from ..plain.waiting import ClientAnswers
from ..services import services_of
from .json_route import JsonRoute
from .messages import Detach, Key
from .reading import disconnected
from .retry import RESPONSES
from .token_responses import answer_to

router = APIRouter(prefix="/api", tags=["turns"], route_class=JsonRoute)

EXAMPLE = {"answers": [{"id": "apr_0123", "decision": "approved"}, {"id": "msg_0123", "answers": {"q1": "large"}}]}


@router.post(
    "/turns/{turn_id}/answers",
    summary="Answer what a turn waits for",
    response_class=Response,
    response_model=Answer,
    responses=RESPONSES,
)
async def answer_turn(
    turn_id: str,
    request: Request,
    answers: Annotated[ClientAnswers, Body(examples=[EXAMPLE])],
    idempotency_key: Key = None,
    x_chatkit_detach: Detach = None,
) -> Response:
    """Return the whole answer of the turn that continues, or stream it with `Accept: text/event-stream` or
    `application/x-ndjson`.

    The agent continues once everything is answered; until then, the new turn is empty and waits for the rest. All
    answers of a request count, or none. 404 for another user's turn or an id that never waited; 409 `already_answered`
    or `approval_over` for one that no longer waits, `thread_answering` while the turn still runs.
    """
    services = services_of(request)
    context = await services.door.authenticate(request)
    turn = await answer(
        turn_id,
        answers,
        services,
        context,
        key=idempotency_key,
        is_detached=x_chatkit_detach == "1",
        gone=partial(disconnected, request),
    )
    response = answer_to(request, turn, services, context)
    services.door.remember(request, response, context)
    return response
