"""Give every request an id: in the log, in error bodies, and in the `x-request-id` header of the response."""

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..context import current_request_id

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """ASGI middleware. Keeps an id that is safe to log: that of the app around this one, in `request.state.request_id`,
    or an `x-request-id` set by a proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        earlier_ids = (str(state.get("request_id", "")), Headers(scope=scope).get("x-request-id", ""))
        request_id = next(filter(_SAFE.fullmatch, earlier_ids), "") or secrets.token_hex(8)
        state["request_id"] = request_id
        # Not reset at the end: each request has a task of its own, and uvicorn logs an unhandled exception there.
        current_request_id.set(request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)
