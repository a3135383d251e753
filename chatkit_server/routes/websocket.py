"""`/api/stream/ws`: send messages, receive tokens and stop turns over one connection."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect
from starlette.types import Message as WsMessage
from starlette.websockets import WebSocketDisconnect

from ..context import RequestContext, current_request_id
from ..errors.http import InvalidJson, TooManyRequests, UpgradeRequired
from ..errors.mapping import to_server_error
from ..limits.rate import Rate
from ..plain.answers import Failure
from ..plain.message import Message
from ..plain.sending import EndedTurn, answer, send
from ..plain.token_stream import TokenStream, ending
from ..plain.tokens import Json
from ..plain.waiting import ClientAnswers
from ..services import Services, services_of
from ..turns.live_turn import LiveTurn, Reader
from .body import check_size
from .error_responses import ERRORS
from .json_route import parse_model
from .socket_login import SocketLogin, accept

router = APIRouter(prefix="/api/stream", tags=["plain tokens"])

SERVER_RESTARTS = 1012
"""The close code of uvicorn (0.54) for connections that it closes itself."""

TOO_MANY = 1008
"""The close code for a client that sends messages too fast (RFC 6455: violates a policy)."""
MESSAGES_AT_ONCE, MESSAGES_PER_SECOND = 30, 3.0
"""How many messages one connection may send. The server's own WebSocket protocol limits all frames, too."""

LEAVING_SECONDS = 1.0
"""How long the reader of a closed connection may take to end."""


class Frame(BaseModel):
    """The common field of all client frames."""

    type: Literal["message", "answers", "stop"] = "message"


class SocketMessage(Message):
    """A message; it replaces a running answer."""

    key: Annotated[str | None, Field(description="Like the `Idempotency-Key` header of the HTTP routes.")] = None
    detach: Annotated[bool, Field(description="Closing the connection does not stop the answer.")] = False


class SocketAnswers(ClientAnswers):
    """Answers to what a turn waits for."""

    turn_id: str
    key: str | None = None
    detach: bool = False


@router.get("/ws", summary="Messages and tokens over a WebSocket", responses=ERRORS | {101: {"description": "Opened"}})
async def describe_websocket() -> None:
    """Open it as a WebSocket, with a cookie or a bearer token like any other request. A browser cannot set the header
    `Authorization` there. It offers the subprotocols `chatkit` and `bearer.<token>`
    (`new WebSocket(url, ["chatkit", "bearer." + token])`), or sends the token as the first frame within 10 s:
    `{"type": "login", "token": "..."}`, which is answered with `{"type": "login", "login": true}`. Without valid
    credentials, the connection is closed with 1008 after an `error` frame with the code `not_authenticated`.

    Frames are JSON texts. From the client:

    - `{"type": "message", "message": "...", "thread_id": null, "key": null, "detach": false}`, with the other fields of
      `POST /api/message`; it stops and replaces a running answer
    - `{"type": "answers", "turn_id": "turn_...", "answers": [...]}`, with `key` and `detach` as above, for what the
      `waiting` of a `done` has; see `POST /api/turns/{turn_id}/answers`
    - `{"type": "stop"}`

    From the server:

    - `{"type": "started", "turn_id": "turn_...", "thread_id": "thr_..."}`
    - `{"type": "token", "token": "..."}`, and `{"type": "reset", "reset": true}`, which discards the text so far
    - `{"type": "error", "error": {"code": "...", "message": "..."}}`, for a rejected frame or a failed turn
    - `{"type": "done", "done": true, "status": "completed", ...}`, with the fields of `POST /api/stream/message`

    Closing the connection stops a running answer, unless its message had `detach`. A connection that exceeds a limit
    is closed with 1008 (too many messages or frames, or a message that does not arrive in time), 1009 (a message of
    more than 1 MiB), 1011 (no answer to a ping) or 1013 (the server has too much to do), and a reason.
    """
    raise UpgradeRequired


@router.websocket("/ws")
async def converse(websocket: WebSocket) -> None:
    """Answer messages until the client disconnects."""
    services = services_of(websocket)
    with ExitStack() as stack:
        if (login := await accept(websocket, services, stack)) is not None:
            await _Conversation(websocket, services, login).run()


class _Conversation:
    """One connection, with at most one running answer."""

    def __init__(self, websocket: WebSocket, services: Services, login: SocketLogin) -> None:
        self._websocket = websocket
        self._services = services
        self._login = login
        self._context = login.context
        self._contexts = _numbered(login.context)
        self._turn: LiveTurn | EndedTurn | None = None
        self._reader = Reader(None)
        self._reading: asyncio.Task[None] | None = None
        self._early: deque[WsMessage] = deque()
        """What came while a message waited for its turn to be run."""
        self._rate = Rate(MESSAGES_AT_ONCE, MESSAGES_PER_SECOND)

    async def run(self) -> None:
        """Handle one frame after the other; an invalid one is answered with an error frame."""
        try:
            while True:
                await self._receive()
        except WebSocketDisconnect as closed:
            if closed.code == SERVER_RESTARTS and isinstance(self._turn, LiveTurn):
                self._turn.detach()  # the client did not leave: its turn gets the same time to finish as others
        except asyncio.CancelledError:  # the HTTP server is stopping
            if isinstance(self._turn, LiveTurn):
                self._turn.connection_was_cut()
            raise
        finally:
            await self._leave()

    async def _receive(self) -> None:
        message = self._early.popleft() if self._early else await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        if not self._rate.take():
            error = TooManyRequests("You send messages too fast. Please wait a moment, and connect again.")
            await self._send_error(error, self._context)
            await self._websocket.close(TOO_MANY, "too many messages")
            raise WebSocketDisconnect(TOO_MANY)
        context = next(self._contexts)
        current_request_id.set(context.request_id)
        try:
            await self._handle(message.get("text"), context)
        except WebSocketDisconnect:
            raise
        except ClientDisconnect:  # it did not wait for its turn to be run; what it sent instead comes next
            return
        except Exception as error:
            await self._send_error(error, context)

    async def _handle(self, text: str | None, context: RequestContext) -> None:
        if text is None:
            raise InvalidJson("A frame must be JSON text.")
        check_size(len(text.encode("utf-8", "surrogatepass")), self._services.settings.max_body_bytes)
        await self._login.check(self._services)
        kind = parse_model(Frame, text).type
        if kind == "message":
            await self._answer(parse_model(SocketMessage, text), context)
        elif kind == "answers":
            await self._continue(parse_model(SocketAnswers, text), context)
        elif isinstance(self._turn, LiveTurn):
            await self._services.turns.stop(self._turn.id, "user", context)

    async def _answer(self, message: SocketMessage, context: RequestContext) -> None:
        """Stop a running answer only once the new message is accepted."""
        turn = await send(
            message, self._services, context, key=message.key, is_detached=message.detach, gone=self._gone
        )
        await self._show(turn, context)

    async def _continue(self, frame: SocketAnswers, context: RequestContext) -> None:
        """Answer what an ended turn waits for."""
        turn = await answer(
            frame.turn_id, frame, self._services, context, key=frame.key, is_detached=frame.detach, gone=self._gone
        )
        await self._show(turn, context)

    async def _show(self, turn: LiveTurn | EndedTurn, context: RequestContext) -> None:
        """Read the turn in place of the one that is read now."""
        if self._reading is not None and not self._reading.done():
            if self._turn is not None and turn.id == self._turn.id:
                return  # the same message again: its answer is running
            await self._supersede()
        self._turn, self._reader = turn, Reader(None)
        if isinstance(turn, LiveTurn):
            turn.reader_came(self._reader)
        self._reading = asyncio.create_task(self._read(turn, self._reader, context), name=f"socket reads {turn.id}")

    async def _gone(self) -> None:
        """Return once the client has disconnected, or has sent something else: a stop, or a message instead."""
        self._early.append(await self._websocket.receive())

    async def _supersede(self) -> None:
        """Stop the running answer. On the same thread, the new turn has already done so."""
        if isinstance(self._turn, LiveTurn):
            await self._services.turns.stop(self._turn.id, "superseded", self._context)
        if self._reading is not None:
            await self._reading

    async def _read(self, turn: LiveTurn | EndedTurn, reader: Reader, context: RequestContext) -> None:
        stream = TokenStream(turn, reader, self._services, context)
        try:
            await self._send({"started": True, "turn_id": turn.id, "thread_id": turn.thread_id})
            async for pieces in stream.pieces():
                await self._send(*pieces)
            if not reader.is_gone and not reader.is_cut:
                await self._send(*ending(await stream.answer()))
        except WebSocketDisconnect:  # the write noticed it before the read
            if self._services.turns.shutdown.has_begun and isinstance(turn, LiveTurn):
                turn.detach()  # as in `run`: probably the server closed the connection
        except Exception as error:
            await self._send_error(error, context)
        finally:
            if isinstance(turn, LiveTurn):
                turn.reader_left(reader)

    async def _send_error(self, error: Exception, context: RequestContext) -> None:
        failure = Failure.of(to_server_error(error), context.request_id)
        await self._send({"error": failure.model_dump()})

    async def _send(self, *messages: Json) -> None:
        for message in messages:
            await self._websocket.send_json({"type": next(iter(message))} | message)

    async def _leave(self) -> None:
        if self._reading is None:
            return
        self._reader.is_gone = True
        if isinstance(self._turn, LiveTurn):
            self._turn.log.wake()
        await asyncio.wait([self._reading], timeout=LEAVING_SECONDS)
        self._reading.cancel()  # a client that stopped reading would block its last write


def _numbered(context: RequestContext) -> Iterator[RequestContext]:
    """Yield a context with its own request id for each frame."""
    number = 0
    while True:
        number += 1
        yield replace(context, request_id=f"{context.request_id}.{number}")
