"""What is done to every request and every response, in one layer around the routes.

Each concern is a file of its own, as a function of the request or of the response's headers; only this one knows ASGI
and their order. One middleware for each would nest six calls and three wrappers of `send` around every response, which
take as long as reading the message, and stay in memory while an answer streams.
"""

import asyncio

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..errors.http import ServerError
from ..settings import Settings
from .direct_route import answer_directly, is_direct
from .error_responses import response_for, response_for_unexpected
from .origin import ForeignRequests
from .request_id import HEADER, give_id
from .request_limits import limited
from .security_headers import SecurityHeaders
from .trusted_proxies import TrustedProxies


class Edge:
    """ASGI middleware, the innermost one."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._proxies = TrustedProxies(settings)
        self._foreign = ForeignRequests(settings)
        self._security = SecurityHeaders(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope = self._proxies.described(scope)
        id = give_id(scope)
        refusal: Response | None = None
        try:
            scope = self._foreign.admitted(limited(scope))
        except ServerError as error:
            refusal = response_for(scope, error)
        if kind == "websocket":
            if refusal is None:
                await self.app(scope, receive, send)
            else:
                await WebSocket(scope, receive, send).send_denial_response(refusal)
            return
        response = _Answer(send, id, self._security)
        if refusal is None:
            await self._answer(scope, receive, response)
        else:
            await refusal(scope, receive, response.send)

    async def _answer(self, scope: Scope, receive: Receive, response: "_Answer") -> None:
        try:
            if is_direct(scope):
                await answer_directly(scope, receive, response.send)
            else:
                await self.app(scope, receive, response.send)
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except BaseException as error:
            if response.has_started:  # too late for an error response; the HTTP server closes the connection
                raise
            await response_for_unexpected(scope, error)(scope, receive, response.send)


class _Answer:
    """Adds to a response the headers that every response has."""

    def __init__(self, send: Send, request_id: str, security: SecurityHeaders) -> None:
        self.has_started = False
        self._send = send
        self._id_header = (HEADER, request_id.encode())
        self._security = security

    async def send(self, message: Message) -> None:
        """As ASGI's `send`."""
        self.has_started = True
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            names = {name for name, _ in headers}
            if HEADER in names:
                headers = [header for header in headers if header[0] != HEADER]
            message["headers"] = [*headers, *self._security.missing_from(names), self._id_header]
        await self._send(message)
