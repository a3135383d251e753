"""Replace file references in responses by signed URLs (`files/signed_links.py` says why)."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..context import RequestContext
from ..files.signed_links import REFERENCE_MARK, SignedLinks


class LinkedResponse(Response):
    """Sends `inner` with URLs instead of references. Each write of `inner` must be complete JSON or complete frames."""

    def __init__(self, inner: Response, links: SignedLinks, context: RequestContext, request: Request) -> None:
        self.inner = inner
        self.links = links
        self.context = context
        self.request = request
        self.status_code = inner.status_code
        self.background = None
        self.body = b""
        self.raw_headers = inner.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response_start: Message | None = None  # waits for the body, whose length it states

        async def linking_send(message: Message) -> None:
            nonlocal response_start
            if message["type"] == "http.response.start" and _has_length(message):
                response_start = message
                return
            if REFERENCE_MARK in message.get("body", b""):
                body = await self.links.resolve(message["body"], self.context, _base_url(self.request))
                message = {**message, "body": body}
            if response_start is not None:
                await send(_with_length(response_start, len(message.get("body", b""))))
                response_start = None
            await send(message)

        await self.inner(scope, receive, linking_send)


def _base_url(request: Request) -> str:
    """Return the URL of this app. Starlette's `base_url` is that of the app it is mounted in."""
    return str(request.base_url.replace(path=request.scope.get("root_path", "").rstrip("/") + "/"))


def _has_length(head: Message) -> bool:
    return b"content-length" in dict(head["headers"])


def _with_length(head: Message, length: int) -> Message:
    others = [(name, value) for name, value in head["headers"] if name != b"content-length"]
    return {**head, "headers": [*others, (b"content-length", str(length).encode())]}
