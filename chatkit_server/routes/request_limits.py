"""Limit the parts of a request that are not its body; the HTTP server limits the whole head."""

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..errors.http import TargetTooLong
from .error_responses import response_for
from .limits import TARGET

COOKIES_BYTES = 2048
"""Up to this size, cookies with escapes are kept: Python before 3.11.10 decodes those in quadratic time."""


class RequestLimits:
    """ASGI middleware. Must be inside of `RequestIds`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if len(scope["path"]) > TARGET or len(scope.get("query_string", b"")) > TARGET:
            response = response_for(scope, TargetTooLong())
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).send_denial_response(response)
            else:
                await response(scope, receive, send)
            return
        if any(name == b"cookie" and len(value) > COOKIES_BYTES for name, value in scope["headers"]):
            scope = {**scope, "headers": [(name, _plain(name, value)) for name, value in scope["headers"]]}
        await self.app(scope, receive, send)


def _plain(name: bytes, value: bytes) -> bytes:
    """Return the header; without those cookies that have an escape, if it is the header of cookies."""
    if name != b"cookie" or b"\\" not in value:
        return value
    return b";".join(cookie for cookie in value.split(b";") if b"\\" not in cookie)
