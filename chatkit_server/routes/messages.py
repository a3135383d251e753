"""Messages from plain (non-ChatKit) clients, answered token by token or with the whole text at once."""

import json
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Request, Response

from ..context import RequestContext
from ..plain.answers import EXAMPLE_ANSWER, Answer
from ..plain.message import EXAMPLE, Message
from ..plain.sending import EndedTurn, send
from ..services import services_of
from ..turns.live_turn import LiveTurn
from .error_responses import ERRORS
from .json_route import JsonRoute
from .reading import disconnected
from .token_responses import TokenResponse, WholeAnswer, lines_for

router = APIRouter(prefix="/api", tags=["plain tokens"], route_class=JsonRoute)

DONE = json.dumps(
    {"done": True} | {name: value for name, value in EXAMPLE_ANSWER.items() if name not in ("text", "error")}
)


WHOLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": EXAMPLE_ANSWER}}},
    502: {
        "model": Answer,
        "description": "The agent or its model failed; `text` is the answer so far, `error` the reason",
    },
    503: {"model": Answer, "description": "Like 502, if the server is stopping or its database is not available"},
}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": 'Tokens, then one `done`. `{"reset": true}` discards all text so far; '
        '`{"error": {...}}` comes before the `done` of a failed turn; '
        '`{"ping": true}` is sent during pauses (NDJSON only)',
        "content": {
            "text/event-stream": {"example": f'data: {{"token": "42"}}\n\ndata: {DONE}\n\n'},
            "application/x-ndjson": {"example": f'{{"token": "42"}}\n{DONE}\n'},
        },
    },
}

SentMessage = Annotated[Message, Body(examples=[EXAMPLE])]
Key = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        description="Unique for each message of a user. A repeated request with the same key is not sent twice: it "
        "joins the running answer, or gets the finished one.",
    ),
]
Detach = Annotated[
    str | None,
    Header(
        alias="x-chatkit-detach",
        description="`1`: the client stops explicitly; closing the connection does not stop the answer.",
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
    message: SentMessage,
    idempotency_key: Key = None,
    x_chatkit_detach: Detach = None,
) -> Response:
    """Stream server-sent events, or one JSON object per line with `Accept: application/x-ndjson`.

    The headers `x-chatkit-turn-id` and `x-chatkit-thread-id` identify the turn and its thread.
    """
    services = services_of(request)
    context = await services.door.authenticate(request)
    turn = await _send(message, request, context, idempotency_key, x_chatkit_detach)
    response = TokenResponse(turn, lines_for(request.headers.get("accept", "")), services, context)
    services.door.remember(request, response, context)
    return response


@router.post(
    "/message",
    summary="Send a message and wait for the whole answer",
    response_class=Response,
    response_model=Answer,
    responses=WHOLE | ERRORS,
)
async def answer_message(
    request: Request, message: SentMessage, idempotency_key: Key = None, x_chatkit_detach: Detach = None
) -> Response:
    """Return one JSON answer once the turn has ended in any way. Closing the connection stops the turn."""
    services = services_of(request)
    context = await services.door.authenticate(request)
    turn = await _send(message, request, context, idempotency_key, x_chatkit_detach)
    response = WholeAnswer(turn, services, context)
    services.door.remember(request, response, context)
    return response


async def _send(
    message: Message, request: Request, context: RequestContext, key: str | None, detach: str | None
) -> LiveTurn | EndedTurn:
    gone = partial(disconnected, request)
    return await send(message, services_of(request), context, key=key, is_detached=detach == "1", gone=gone)
