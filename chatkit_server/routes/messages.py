"""Messages of clients that are not ChatKit: answered by plain tokens, or by the whole text at once."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Request, Response

from ..context import RequestContext
from ..plain.answers import EXAMPLE_ANSWER, Answer
from ..plain.message import EXAMPLE, Message
from ..plain.sending import EndedTurn, send
from ..services import Services, services_of
from ..turns.live_turn import LiveTurn
from .error_responses import ERRORS
from .json_route import JsonRoute
from .token_responses import TokenResponse, WholeAnswer, lines_for

router = APIRouter(prefix="/api", tags=["plain tokens"], route_class=JsonRoute)

DONE = json.dumps(
    {"done": True} | {name: value for name, value in EXAMPLE_ANSWER.items() if name not in ("text", "error")}
)


WHOLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": EXAMPLE_ANSWER}}},
    502: {"model": Answer, "description": "The agent or its model failed; `text` is what was said before, `error` why"},
    503: {"model": Answer, "description": "As 502, where the server stops or its database is not available"},
}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": 'Tokens, then one `done`. `{"reset": true}` takes back all text so far; '
        '`{"error": {...}}` stands before the `done` of a turn that failed; '
        '`{"ping": true}` bridges silences in lines of JSON',
        "content": {
            "text/event-stream": {"example": f'data: {{"token": "42"}}\n\ndata: {DONE}\n\n'},
            "application/x-ndjson": {"example": f'{{"token": "42"}}\n{DONE}\n'},
        },
    },
}

Sent = Annotated[Message, Body(examples=[EXAMPLE])]
Key = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        description="Unique for each message of a user: the same message, sent again with it, is not sent twice; it "
        "joins the answer that runs, or gets the one that ended.",
    ),
]
Detach = Annotated[
    str | None,
    Header(
        alias="x-chatkit-detach",
        description="`1`: this client stops explicitly, the answer goes on when its connection is closed.",
    ),
]


@router.post(
    "/stream/message",
    summary="Send a message and read the answer token by token",
    response_class=Response,
    responses=STREAM | ERRORS,
)
async def stream_message(
    request: Request,
    message: Sent,
    idempotency_key: Key = None,
    x_chatkit_detach: Detach = None,
) -> Response:
    """Server-sent events, or with `Accept: application/x-ndjson` one JSON object a line.

    The headers `x-chatkit-turn-id` and `x-chatkit-thread-id` say what it is that answers.
    """
    services = services_of(request)
    context = services.auth.authenticate(request)
    turn = await _send(message, services, context, idempotency_key, x_chatkit_detach)
    response = TokenResponse(turn, lines_for(request.headers.get("accept", "")), services, context)
    services.auth.remember(request, response, context)
    return response


@router.post(
    "/message",
    summary="Send a message and wait for the whole answer",
    response_class=Response,
    response_model=Answer,
    responses=WHOLE | ERRORS,
)
async def answer_message(
    request: Request, message: Sent, idempotency_key: Key = None, x_chatkit_detach: Detach = None
) -> Response:
    """One JSON answer when the turn has ended, however it did; closing the connection stops it."""
    services = services_of(request)
    context = services.auth.authenticate(request)
    turn = await _send(message, services, context, idempotency_key, x_chatkit_detach)
    response = WholeAnswer(turn, services, context)
    services.auth.remember(request, response, context)
    return response


async def _send(
    message: Message, services: Services, context: RequestContext, key: str | None, detach: str | None
) -> LiveTurn | EndedTurn:
    return await send(message, services, context, key=key, is_detached=detach == "1")
