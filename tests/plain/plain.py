"""A plain (non-ChatKit) client: calls the token API like scripts and apps."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.serving import Tab
from tests.support.sse import Json, RawStream, SseParser
from tests.turns.chat import Chat

both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

NDJSON = {"accept": "application/x-ndjson"}
DETACH = {"x-chatkit-detach": "1"}


def key(value: str) -> dict[str, str]:
    return {"idempotency-key": value}


@dataclass
class Messages:
    """The messages of one stream, and their text as a plain client joins it."""

    messages: list[Json] = field(default_factory=list)
    text: str = ""

    def take(self, message: Json) -> None:
        assert not self.is_done, f"something came after the end: {message}"
        self.messages.append(message)
        if message.get("reset"):
            self.text = ""
        self.text += message.get("token", "")

    @property
    def is_done(self) -> bool:
        return bool(self.messages and self.messages[-1].get("done"))

    @property
    def done(self) -> Json:
        assert self.is_done, self.messages
        return self.messages[-1]

    @property
    def error(self) -> Json:
        """The error, just before the end."""
        error: Json = self.messages[-2]["error"]
        return error

    @property
    def tokens(self) -> list[str]:
        return [message["token"] for message in self.messages if "token" in message]


class Stream(Messages):
    """A stream that is read incrementally."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        super().__init__()
        self.response = response
        self.headers = response.headers
        self.pings = 0
        self._reading = self._read()

    async def _read(self) -> AsyncIterator[Json]:
        if self.response.content_type == "application/x-ndjson":
            async for line in self.response.content:
                yield json.loads(line)
            return
        parser = SseParser()
        while chunk := await self.response.content.readany():
            for frame in parser.feed(chunk):
                yield frame.json if frame.comment is None else {"ping": frame.comment == "ping"}

    async def read_up_to(self, words: str, within: float = 30.0) -> None:
        """Read until the text ends with `words`."""
        async with asyncio.timeout(within):
            while not self.text.endswith(words):
                assert await self._next(), f"the stream ended at {self.text!r}"

    async def read(self, within: float = 30.0) -> "Stream":
        """Read to the end."""
        async with asyncio.timeout(within):
            while await self._next():
                pass
        return self

    async def _next(self) -> bool:
        async for message in self._reading:
            if message.get("ping"):
                self.pings += 1
            else:
                self.take(message)
            return True
        return False


@dataclass
class Plain:
    """One user with a cookie jar."""

    chat: Chat
    tab: Tab

    @property
    def session(self) -> aiohttp.ClientSession:
        return self.tab.session

    @asynccontextmanager
    async def streaming(
        self, message: str, thread_id: str | None = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> AsyncIterator[Stream]:
        """`POST /api/stream/message`, read live; leaving early closes the connection."""
        body = {"message": message, "thread_id": thread_id, **more}
        async with self.session.post(f"{self.chat.url}/api/stream/message", json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            yield Stream(response)
            if not response.content.at_eof():
                response.close()

    async def stream(self, message: str, thread_id: str | None = None, **options: Any) -> Stream:
        """`POST /api/stream/message`, read to its end."""
        async with self.streaming(message, thread_id, **options) as stream:
            return await stream.read()

    async def raw(self, message: str, headers: Mapping[str, str] | None = None) -> RawStream:
        """`POST /api/stream/message` over a plain socket."""
        cookies = self.tab.cookies.filter_cookies(URL(self.chat.url)).values()
        cookie = "; ".join(f"{cookie.key}={cookie.value}" for cookie in cookies)
        return await RawStream.post(
            self.chat.url, "/api/stream/message", {"message": message}, {"cookie": cookie, **(headers or {})}
        )

    async def answer(
        self, message: str, thread_id: str | None = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> tuple[int, Json]:
        """`POST /api/message`."""
        return await self.post("/api/message", {"message": message, "thread_id": thread_id, **more}, headers)

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Json]:
        """Post JSON, or raw bytes; return status and body."""
        sent: Any = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.session.post(self.chat.url + path, headers=headers, **sent) as response:
            return response.status, await response.json()

    async def poll(self, turn_id: str, tag: str | None = None) -> tuple[int, str, Json]:
        """`GET /api/turns/{id}`; return status, ETag and body."""
        headers = {} if tag is None else {"if-none-match": tag}
        async with self.session.get(f"{self.chat.url}/api/turns/{turn_id}", headers=headers) as response:
            body = await response.json() if response.status != 304 else {}
            return response.status, response.headers.get("etag", ""), body

    async def wait_for_text(self, words: str, within: float = 30.0) -> str:
        """Wait until the text of the only turn ends with `words`; return the turn's id."""
        async with asyncio.timeout(within):
            await self.chat.upstream.wait_for_request()  # the turn has a row by now
            ((turn_id,),) = await self.chat.select("SELECT id FROM turns")
            while not (await self.poll(turn_id))[2]["text"].endswith(words):
                pass
        return str(turn_id)

    async def stop(self, turn_id: str) -> tuple[int, Json]:
        return await self.chat.stop(self.tab, turn_id)

    @asynccontextmanager
    async def socket(self, headers: Mapping[str, str] | None = None) -> AsyncIterator["Socket"]:
        """`GET /api/stream/ws`."""
        async with self.session.ws_connect(f"{self.chat.url}/api/stream/ws", headers=headers) as connection:
            yield Socket(connection)

    async def user_messages(self) -> list[tuple[str, ...]]:
        """Return the text of every message of any user."""
        return await self.chat.select("SELECT text FROM messages WHERE role = 'user' ORDER BY created_at")


class Socket:
    """An open WebSocket."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection

    async def send(self, message: str, thread_id: str | None = None, **more: Any) -> None:
        await self.connection.send_json({"type": "message", "message": message, "thread_id": thread_id, **more})

    async def stop(self) -> None:
        await self.connection.send_json({"type": "stop"})

    async def receive(self, within: float = 30.0) -> Json:
        """Return the next frame; its type is also the key of its content."""
        frame: Json = await self.connection.receive_json(timeout=within)
        assert frame["type"] in frame
        return frame

    async def started(self) -> Json:
        frame = await self.receive()
        assert frame["type"] == "started", frame
        return frame

    async def messages(self, up_to: str | None = None) -> Messages:
        """Receive the messages up to the end, or until the text ends with `up_to`."""
        messages = Messages()
        while not (messages.is_done if up_to is None else messages.text.endswith(up_to)):
            messages.take(await self.receive())
        return messages


def words_of(conversation: Sequence[tuple[str, str]]) -> list[str]:
    return [words for _, words in conversation]
