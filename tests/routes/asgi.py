"""Call an app in process, without a socket: a thousand requests a second."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Scope

SERVER = ("127.0.0.1", 8000)


@dataclass
class Answer:
    """The response to one request."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first header of this name; empty if there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name.encode()), "")


def _scope(kind: str, path: str, query: bytes, headers: Mapping[str, str | bytes]) -> Scope:
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "root_path": "",
        "headers": [(name.encode(), _bytes(value)) for name, value in ({"host": "localhost"} | dict(headers)).items()],
        "client": ("127.0.0.1", 1),
        "server": SERVER,
        "state": {},
    }


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


async def call(
    app: ASGIApp,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str | bytes] | None = None,
    query: bytes = b"",
) -> Answer:
    """Send a request and return the whole response. Raises what the app raises."""
    answer = Answer(0, [], b"")
    requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    has_ended = asyncio.Event()

    async def receive() -> Message:
        if requests:
            return requests.pop()
        await has_ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])
        else:
            answer.body += message.get("body", b"")
            if not message.get("more_body"):
                has_ended.set()

    await app({**_scope("http", path, query, headers or {}), "method": method}, receive, send)
    has_ended.set()
    return answer


async def converse(
    app: ASGIApp, path: str, frames: list[str | bytes], headers: Mapping[str, str | bytes] | None = None
) -> list[Message]:
    """Open a WebSocket, send the frames, close it, and return what the app sent."""
    sent: list[Message] = []
    incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    for frame in frames:
        key = "bytes" if isinstance(frame, bytes) else "text"
        incoming.append({"type": "websocket.receive", key: frame})
    incoming.append({"type": "websocket.disconnect", "code": 1000})

    async def receive() -> Message:
        await asyncio.sleep(0)
        return incoming.pop(0) if incoming else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = _scope("websocket", path, b"", headers or {})
    await app({**scope, "subprotocols": [], "extensions": {"websocket.http.response": {}}}, receive, send)
    return sent
