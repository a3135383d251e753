"""Responses to plain clients on a raw ASGI connection: token by token, or the whole answer at once."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi.responses import JSONResponse
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..context import RequestContext
from ..errors.http import AnswerInterrupted, ApprovalClosed, DatabaseUnavailable, ServerStopping, TurnFailed
from ..events.frames import PING
from ..plain.answers import Answer, Failure
from ..plain.sending import EndedTurn
from ..plain.token_stream import TokenStream, ending
from ..plain.tokens import Json
from ..services import Services
from ..turns.live_turn import LiveTurn
from .error_responses import error_response
from .event_stream import SSE_HEADERS
from .reading import Connection

STREAM_TYPES = ("text/event-stream", "ndjson")
TURN_HEADER, THREAD_HEADER = "x-chatkit-turn-id", "x-chatkit-thread-id"


@dataclass(frozen=True)
class Lines:
    """How JSON messages are framed in a body."""

    content_type: str
    before: bytes
    after: bytes
    ping: bytes

    def encode(self, messages: list[Json]) -> bytes:
        """Return the messages as bytes; a ping if there are none."""
        return b"".join(b"%b%b%b" % (self.before, to_json(message), self.after) for message in messages) or self.ping


SSE = Lines(SSE_HEADERS["content-type"], b"data: ", b"\n\n", PING)
NDJSON = Lines("application/x-ndjson", b"", b"\n", b'{"ping":true}\n')


def lines_for(accept: str) -> Lines:
    """Return the framing that an `Accept` header asks for."""
    return NDJSON if "ndjson" in accept else SSE


class TokenResponse(Response):
    """Sends tokens, pings during pauses, then how the turn ended."""

    def __init__(self, turn: LiveTurn | EndedTurn, lines: Lines, services: Services, context: RequestContext) -> None:
        self.turn = turn
        self.lines = lines
        self.services = services
        self.context = context
        self.status_code = 200
        self.body = b""
        self.background = None
        self.init_headers(SSE_HEADERS | {"content-type": lines.content_type} | ids_of(turn))

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the headers without a content length, which is not known in advance."""
        self.raw_headers = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with Connection(self.turn, receive) as connection:
            connection.watch()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            stream = TokenStream(self.turn, connection.reader, self.services, self.context)
            async for pieces in stream.pieces():
                await send({"type": "http.response.body", "body": self.lines.encode(pieces), "more_body": True})
            if connection.awaits_end:
                end = self.lines.encode(ending(await stream.answer()))
                await send({"type": "http.response.body", "body": end, "more_body": False})


class WholeAnswer(Response):
    """Waits for the end of the turn, then sends its answer with the status of its outcome."""

    def __init__(self, turn: LiveTurn | EndedTurn, services: Services, context: RequestContext) -> None:
        super().__init__()
        self.raw_headers = []
        self.turn = turn
        self.services = services
        self.context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with Connection(self.turn, receive) as connection:
            connection.watch()
            stream = TokenStream(self.turn, connection.reader, self.services, self.context)
            async for _ in stream.pieces():
                pass
            if connection.reader.is_gone:
                return
            response = self._stopping() if connection.reader.is_cut else answer_response(await stream.answer())
            response.raw_headers += self.raw_headers
            response.headers.update(ids_of(self.turn))
            await response(scope, receive, send)

    def _stopping(self) -> JSONResponse:
        """This worker is stopping, but the turn continues at another one."""
        return error_response(ServerStopping(), self.context.request_id)


def answer_to(
    request: Request, turn: LiveTurn | EndedTurn, services: Services, context: RequestContext
) -> TokenResponse | WholeAnswer:
    """Return the response that a request asks for in its `Accept`: a stream, or else the whole answer."""
    accepted_type = request.headers.get("accept", "")
    if any(kind in accepted_type for kind in STREAM_TYPES):
        return TokenResponse(turn, lines_for(accepted_type), services, context)
    return WholeAnswer(turn, services, context)


def answer_response(answer: Answer) -> JSONResponse:
    """Return the answer; that of a failed turn is an error body too, with `code`, `message` and `request_id` on top."""
    body = answer.model_dump(mode="json")
    if answer.error is None:
        return JSONResponse(body)
    error = answer.error.model_dump(include={"code", "message", "request_id"})
    return JSONResponse(body | error, status_code=_status(answer.error))


def ids_of(turn: LiveTurn | EndedTurn) -> dict[str, str]:
    """Return the headers that identify the turn and its thread."""
    return {TURN_HEADER: turn.id, THREAD_HEADER: turn.thread_id}


def _status(failure: Failure) -> int:
    """Return 503 if the server is at fault and a retry may help, 502 if the agent or its model failed.

    409 if the decided call can no longer run, which shows only once the agent's function was called again.
    """
    kinds = (AnswerInterrupted, ApprovalClosed, DatabaseUnavailable, ServerStopping)
    return {kind.code: kind.status for kind in kinds}.get(failure.code, TurnFailed.status)
