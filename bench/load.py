"""The load: streamed turns over HTTP, each checked to carry exactly the text that the model sent.

The client keeps raw chunks while it reads and takes them apart afterwards, so that it costs the shared machine little.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from tests.support.chatkit import text_of, user_input
from tests.support.openai_server import bench_tokens
from tests.support.sse import parse

RAMP_SECONDS = 1.0  # answers that run at once begin spread over it

DELTA = b"text_delta"
CHAT_DELTA = b"output_text.delta"


@dataclass(frozen=True)
class Turn:
    """One answered turn."""

    tokens: int
    first_token: float
    """Seconds from the request to the first text delta."""


class WrongAnswer(Exception):
    """A server's answer is not the text that the model sent."""


class Load:
    """A client of one server, with its own cookies and connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            # Shorter than the 5 s of uvicorn: a connection it closes at the moment of its reuse fails the whole group.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=300),
            read_bufsize=1024 * 1024,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._session.close()

    async def turn(self, tokens: int, rate: float | None = None) -> Turn:
        """A new thread whose answer has so many tokens. Raises `WrongAnswer` where a byte of it differs."""
        started = time.perf_counter()
        first = 0.0
        chunks: list[bytes] = []
        async with self._session.post(self._url, json=_ask(tokens, rate), headers=_headers()) as response:
            async for chunk in response.content.iter_any():
                if not first and DELTA in chunk:
                    first = time.perf_counter() - started
                chunks.append(chunk)
        check(b"".join(chunks), tokens)
        return Turn(tokens, first)

    async def turns_at_once(self, count: int, tokens: int, rate: float) -> list[Turn]:
        """Many answers side by side, begun one after another."""

        async def one(number: int) -> Turn:
            await asyncio.sleep(number / count * RAMP_SECONDS)
            return await self.turn(tokens, rate)

        return await asyncio.gather(*(one(number) for number in range(count)))

    async def open_and_hang(self, tokens: int) -> aiohttp.ClientResponse:
        """An answer that has sent so many tokens and is silent now; the caller closes it."""
        response = await self._session.post(self._url, json=_ask(tokens, None, hang=tokens), headers=_headers())
        wanted, data = "".join(bench_tokens(tokens)), b""
        while _streamed(data) != wanted:
            chunk = await response.content.readany()
            if not chunk:
                raise WrongAnswer(f"the stream ended before its {tokens} tokens")
            data += chunk
        return response

    async def first_token_of_the_model(self, model_url: str, tokens: int, rate: float) -> float:
        """The same without any server between: what the model itself takes for its first token."""
        body = {"model": "gpt-bench", "input": _text(tokens, rate), "stream": True}
        started = time.perf_counter()
        first = 0.0
        async with self._session.post(f"{model_url}/responses", json=body) as response:
            async for chunk in response.content.iter_any():
                if not first and CHAT_DELTA in chunk:
                    first = time.perf_counter() - started
        return first


def check(body: bytes, tokens: int) -> None:
    """Raises `WrongAnswer` unless the deltas, and the finished item, are the text that the model sent."""
    wanted = "".join(bench_tokens(tokens))
    events = [frame.json for frame in parse(body) if frame.comment is None]
    streamed = _streamed(body)
    items = [event["item"] for event in events if event["type"] == "thread.item.done"]
    finished = "".join(text_of(item) for item in items if item["type"] == "assistant_message")
    if streamed != wanted or finished != wanted:
        errors = [event for event in events if event["type"] == "error"]
        raise WrongAnswer(f"{len(streamed)} and {len(finished)} of {len(wanted)} characters came; errors: {errors}")


def _streamed(data: bytes) -> str:
    """The text of all deltas, as far as frames are complete."""
    whole = data[: data.rfind(b"\n\n") + 2]
    events = [frame.json for frame in parse(whole) if frame.comment is None] if whole.strip() else []
    updates = [event["update"] for event in events if event["type"] == "thread.item.updated"]
    return "".join(u["delta"] for u in updates if u["type"].endswith("text_delta"))


def _headers() -> dict[str, str]:
    """Each turn is a frame of its own: the same bytes of one frame would be the same request."""
    return {"accept": "text/event-stream", "chatkit-frame-instance-id": str(uuid.uuid4())}


def _ask(tokens: int, rate: float | None, hang: int | None = None) -> dict[str, Any]:
    return {"type": "threads.create", "params": {"input": user_input(_text(tokens, rate, hang))}}


def _text(tokens: int, rate: float | None, hang: int | None = None) -> str:
    """What tells the fake model how to answer (`answer_as_asked`)."""
    wishes = {"tokens": tokens, "rate": rate, "hang": hang}
    return " ".join(f"{name}={value}" for name, value in wishes.items() if value is not None)
