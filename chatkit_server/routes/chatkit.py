"""`POST /chatkit`: the ChatKit protocol.

For a ChatKit frame, an error of a streaming operation is a stream with an `error` event: on any 5xx the widget posts
the same bytes six times, and on a 4xx the message disappears silently. Other clients get the plain status.

The one exception is a stopping server: it has saved nothing, and the widget's next post, within some ten seconds,
reaches another worker or the restarted one. An `error` event would lose what the user has typed.
"""

import hashlib
from functools import partial
from json.encoder import encode_basestring_ascii
from typing import Any, TypeGuard

from chatkit.types import (
    InputTranscribeReq,
    StreamingReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    is_streaming_req,
)
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from chatkit_store import DuplicateRequest, RequestKey

from ..context import RequestContext
from ..errors.http import BodyTooLarge, NotAuthenticated, ServerError, ServerStopping, TooManyRequests
from ..errors.mapping import to_server_error
from ..interactions.approvals import is_approval
from ..limits.fair_queue import Gone
from ..services import Services, services_of
from ..turns.accept import accept
from ..turns.subscription import Pace
from .attach import attach_thread, ended_turn, is_attach
from .body import check_is_json, check_size, read_body
from .error_responses import ERRORS, error_response
from .event_stream import ErrorStream, TurnResponse
from .flush_window import requested_pace
from .linked import LinkedResponse
from .protocol import OPERATIONS, is_streaming_body, parse_request
from .queries import answer
from .reading import disconnected

router = APIRouter(responses=ERRORS)

JOIN_SECONDS = 90.0
"""How long equal bytes from one frame count as the same request. The widget (June 2026) retries for half a minute."""
DETACH_HEADER = "x-chatkit-detach"
"""`1`: the client stops turns explicitly, so they keep running when it disconnects."""

ROOM_FOR_JSON = 4096
"""Bytes of JSON around a recording."""


OPERATION: dict[str, Any] = {
    "type": "object",
    "required": ["type", "params"],
    "properties": {"type": {"enum": sorted(OPERATIONS)}, "params": {"type": "object"}},
}
"""The body in the API's description; chatkit's types define the parameters of each operation."""
ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}, "text/event-stream": {}}}}


@router.post("/chatkit/", include_in_schema=False)  # a redirect would make some clients repeat it as GET
@router.post(
    "/chatkit",
    summary="The ChatKit protocol: all operations",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": OPERATION}}}},
)
async def chatkit(request: Request) -> Response:
    """Accept `{"type": operation, "params": {...}}` as the stock widget sends it; answer JSON or an event stream."""
    request_id: str = request.scope["state"]["request_id"]
    body = b""
    try:
        services = services_of(request)
        context = await services.door.authenticate(request)
        check_is_json(request)
        body = await read_body(request, body_limit(services))
        is_detached = request.headers.get(DETACH_HEADER) == "1"
        pace = requested_pace(request.headers, services.pace)
        response = await _answer(body, services, context, pace, partial(disconnected, request), is_detached=is_detached)
    except ClientDisconnect:
        return Response(status_code=499)
    except Exception as error:
        return _refusal(request, body, to_server_error(error), request_id)
    services.door.remember(request, response, context)
    return LinkedResponse(response, services.links, context, request)


async def _answer(
    body: bytes, services: Services, context: RequestContext, pace: Pace, gone: Gone, *, is_detached: bool
) -> Response:
    request = parse_request(body)
    if not isinstance(request, InputTranscribeReq):
        check_size(len(body), services.settings.max_body_bytes)
    if not is_streaming_req(request):
        body = await answer(request, services.server, services.turns, services.sync_actions, context)
        return Response(body, media_type="application/json")
    if is_attach(request):
        return await attach_thread(request.params.thread_id, services, context, pace, is_detached=is_detached)
    thread_id = None if isinstance(request, ThreadsCreateReq) else request.params.thread_id
    key = _request_key(request, body, services, context)
    try:
        turn = await services.turns.start(
            lambda: accept(request, services.server, context), thread_id, context, key=key, gone=gone, begins=False
        )
    except DuplicateRequest as duplicate:  # an equal request's turn has ended in the meantime
        return await ended_turn(
            duplicate.turn_id,
            services,
            context,
            is_new_thread=thread_id is None,
            has_calls=_is_same_in_any_frame(request),
        )
    if is_detached:
        turn.detach()
    if turn.log.last > turn.opening_frames and _is_same_in_any_frame(request):
        # Events were already sent to the first click's client; replay them.
        first = turn.snapshot(has_calls=True)
        return TurnResponse(turn, pace, context.frame_id, first=first, position=turn.log.last)
    return TurnResponse(turn, pace, context.frame_id)


def body_limit(services: Services) -> int:
    """Return how many bytes of a body are read: a recording in base64 may be longer than any message."""
    settings = services.settings
    if services.models.transcriber is None:
        return settings.max_body_bytes
    return max(settings.max_body_bytes, settings.transcription_max_bytes * 4 // 3 + ROOM_FOR_JSON)


def _request_key(request: StreamingReq, body: bytes, services: Services, context: RequestContext) -> RequestKey | None:
    """Return the key by which repetitions of the request are recognized, or None.

    A frame without a good response posts the same bytes again. Once a client has got the answer, the same bytes are a
    new message: “New chat”, and the same words again. An action is the same in any frame, while it runs and
    for a moment after.
    """
    if _is_same_in_any_frame(request):
        return services.once.turn_key(request.params, services.settings.turn_seconds, context)
    if context.frame_id is None:
        return None
    sender = f"[{', '.join(map(encode_basestring_ascii, (*context.owner, context.frame_id)))}]"  # as JSON
    digest = hashlib.sha256(sender.encode() + b"\0" + body)
    return RequestKey(digest.hexdigest(), JOIN_SECONDS, until_read=True)


def _is_same_in_any_frame(request: StreamingReq) -> TypeGuard[ThreadsCustomActionReq]:
    """Return whether a repetition from another frame is the same request: a double click, perhaps in two tabs.

    Not for approvals: the first decision counts anyway, and later ones learn which it was.
    """
    return isinstance(request, ThreadsCustomActionReq) and not is_approval(request.params.action)


def _refusal(request: Request, body: bytes, error: ServerError, request_id: str) -> Response:
    if isinstance(error, ServerStopping):
        return error_response(error, request_id)
    if "chatkit-frame-instance-id" in request.headers and _wants_stream(request, body, error):
        return ErrorStream(error, request_id)
    return error_response(error, request_id)


def _wants_stream(request: Request, body: bytes, error: ServerError) -> bool:
    if isinstance(error, TooManyRequests) and error.retry_after is not None:
        return False  # the widget shows a text of its own, and posts once
    if "text/event-stream" in request.headers.get("accept", ""):
        return True
    # The frame always sends the header on a streaming operation; a proxy may have removed it.
    return not isinstance(error, BodyTooLarge | NotAuthenticated) and is_streaming_body(body)
