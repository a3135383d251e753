"""Who opens a WebSocket. Browsers set no headers there, so a token may also come with the subprotocol, or first thing.

A browser does not show a page why a handshake was refused. Without valid credentials, the connection is therefore
accepted, and closed after an error.
"""

import asyncio
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Literal

from fastapi import Response, WebSocket
from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from ..auth.login import with_token
from ..context import RequestContext
from ..errors.http import InvalidJson, NoCredentials, NotAuthenticated, ServerError
from ..errors.mapping import to_server_error
from ..plain.answers import Failure
from ..services import Services
from .body import check_size
from .error_responses import error_response
from .json_route import parse_model
from .open_sockets import OpenSockets

SUBPROTOCOL = "chatkit"
"""What is answered to a client that offers it beside its token, which is never sent back."""
LOGIN_SECONDS = 10.0
"""How long the first message may take to come if it must be a login."""
LOGIN_BYTES = 64 * 1024
NOT_LOGGED_IN, TRY_AGAIN = 1008, 1013
"""Close codes."""


@dataclass(frozen=True, slots=True)
class SocketLogin:
    """Who has opened a connection, and the request that said so."""

    context: RequestContext
    _request: HTTPConnection

    async def check(self, services: Services) -> None:
        """Ask the logins again, before the open connection is used again: a token may have expired or been revoked.

        Raises `NotAuthenticated`. A visitor without a login has nothing that ends.
        """
        if self.context.is_anonymous and self.context.session is None:
            return
        context = await services.door.authenticate(self._request)
        if context.owner != self.context.owner:
            raise NotAuthenticated(reason="the credentials are those of another user since the connection was opened")


class LoginFrame(BaseModel):
    """The first message of a connection whose handshake had no credentials."""

    type: Literal["login"]
    token: str


async def accept(websocket: WebSocket, services: Services, stack: ExitStack) -> SocketLogin | None:
    """Accept the connection and return whose it is; `stack` counts it as long as it is open.

    Returns None if it was refused; it is closed then.
    """
    sockets: OpenSockets = websocket.app.state.open_sockets
    context: RequestContext | None = None
    refusal: NotAuthenticated | None = None
    try:
        context = await services.door.authenticate(websocket)
        stack.enter_context(sockets.count(context.owner))
    except NotAuthenticated as error:
        refusal = error
    except Exception as error:
        await websocket.send_denial_response(error_response(to_server_error(error), websocket.state.request_id))
        return None
    await _accept(websocket, services, context)
    if context is not None:
        return SocketLogin(context, websocket)
    try:
        if not isinstance(refusal, NoCredentials):
            raise refusal or NoCredentials()
        request = await _login_request(websocket, sockets)
        context = await services.door.authenticate(request)
        stack.enter_context(sockets.count(context.owner))
        await websocket.send_json({"type": "login", "login": True})
    except WebSocketDisconnect:
        return None
    except Exception as error:
        await _refuse(websocket, to_server_error(error))
        return None
    return SocketLogin(context, request)


async def _accept(websocket: WebSocket, services: Services, context: RequestContext | None) -> None:
    headers = [(b"x-request-id", websocket.state.request_id.encode())]
    if context is not None:
        cookie = Response()
        services.door.remember(websocket, cookie, context)
        headers += [header for header in cookie.raw_headers if header[0] == b"set-cookie"]
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None
    await websocket.accept(subprotocol, headers)


async def _login_request(websocket: WebSocket, sockets: OpenSockets) -> HTTPConnection:
    """Return the request with the token of the first message. Raises `NotAuthenticated`, also if none comes in time."""
    try:
        async with asyncio.timeout(LOGIN_SECONDS) as wait:
            with sockets.count_unknown(lambda: None if wait.expired() else wait.reschedule(0)):
                message = await websocket.receive()
    except TimeoutError:
        raise NotAuthenticated(reason="no login within the time for it") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    try:
        text = message.get("text")
        if text is None:
            raise InvalidJson
        check_size(len(text.encode("utf-8", "surrogatepass")), LOGIN_BYTES)
        frame = parse_model(LoginFrame, text)
    except ServerError as error:
        raise NotAuthenticated(reason="the first message is no login") from error
    return with_token(websocket, frame.token)


async def _refuse(websocket: WebSocket, error: ServerError) -> None:
    failure = Failure.of(error, websocket.state.request_id)
    code = NOT_LOGGED_IN if error.status == NotAuthenticated.status else TRY_AGAIN
    with suppress(WebSocketDisconnect):
        await websocket.send_json({"type": "error", "error": failure.model_dump()})
        await websocket.close(code, error.code)
