"""Generate load: streamed turns over HTTP, each checked to contain exactly the text that the model sent.

The client only collects raw chunks while it reads and parses them afterwards, so that it uses little CPU meanwhile.
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

RAMP_SECONDS = 1.0  # concurrent answers start spread over this time

TOO_MANY_REQUESTS = 429
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
            # Shorter than uvicorn's 5 s: reusing a connection just as uvicorn closes it would fail the whole group.
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
        """Create a thread with an answer of `tokens` tokens. Raises `WrongAnswer` if it is not the model's text."""
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

    async def is_refused(self, tokens: int, rate: float | None = None) -> bool:
        """Create a thread and read its answer without checking it; return whether a limit refuses it."""
        async with self._session.post(self._url, json=_ask(tokens, rate), headers=_headers()) as response:
            await response.read()
            return response.status == TOO_MANY_REQUESTS

    async def turns_at_once(self, count: int, tokens: int, rate: float) -> list[Turn]:
        """Run `count` concurrent turns, started one after another within `RAMP_SECONDS`."""

        async def run(number: int) -> Turn:
            await asyncio.sleep(number / count * RAMP_SECONDS)
            return await self.turn(tokens, rate)

        return await asyncio.gather(*(run(number) for number in range(count)))

    async def open_and_hang(self, tokens: int) -> aiohttp.ClientResponse:
        """Return the response of an answer that pauses after `tokens` tokens; the caller closes it."""
        response = await self._session.post(self._url, json=_ask(tokens, None, hang=tokens), headers=_headers())
        expected, data = "".join(bench_tokens(tokens)), b""
        while _streamed(data) != expected:
            chunk = await response.content.readany()
            if not chunk:
                raise WrongAnswer(f"the stream ended before its {tokens} tokens")
            data += chunk
        return response

    async def first_token_of_the_model(self, model_url: str, tokens: int, rate: float) -> float:
        """Return the seconds that the model itself takes for its first token, without a server in between."""
        body = {"model": "gpt-bench", "input": _text(tokens, rate), "stream": True}
        started = time.perf_counter()
        first = 0.0
        async with self._session.post(f"{model_url}/responses", json=body) as response:
            async for chunk in response.content.iter_any():
                if not first and CHAT_DELTA in chunk:
                    first = time.perf_counter() - started
        return first


def check(body: bytes, tokens: int) -> None:
    """Raise `WrongAnswer` unless both the deltas and the finished item equal the text that the model sent."""
    expected = "".join(bench_tokens(tokens))
    events = [frame.json for frame in parse(body) if frame.comment is None]
    streamed = _streamed(body)
    items = [event["item"] for event in events if event["type"] == "thread.item.done"]
    finished = "".join(text_of(item) for item in items if item["type"] == "assistant_message")
    if streamed != expected or finished != expected:
        errors = [event for event in events if event["type"] == "error"]
        lengths = f"{len(streamed)} characters in deltas and {len(finished)} in the item, not {len(expected)}"
        raise WrongAnswer(f"the answer has {lengths}; errors: {errors}")


def _streamed(data: bytes) -> str:
    """Return the text of all deltas in complete frames."""
    complete = data[: data.rfind(b"\n\n") + 2]
    events = [frame.json for frame in parse(complete) if frame.comment is None] if complete.strip() else []
    updates = [event["update"] for event in events if event["type"] == "thread.item.updated"]
    return "".join(u["delta"] for u in updates if u["type"].endswith("text_delta"))


def _headers() -> dict[str, str]:
    """Return headers with a new frame id: the same bytes from the same frame would count as a repeated request."""
    return {"accept": "text/event-stream", "chatkit-frame-instance-id": str(uuid.uuid4())}


def _ask(tokens: int, rate: float | None, hang: int | None = None) -> dict[str, Any]:
    return {"type": "threads.create", "params": {"input": user_input(_text(tokens, rate, hang))}}


def _text(tokens: int, rate: float | None, hang: int | None = None) -> str:
    """Return the message that tells the fake model how to answer (see `answer_as_asked`)."""
    options = {"tokens": tokens, "rate": rate, "hang": hang}
    return " ".join(f"{name}={value}" for name, value in options.items() if value is not None)
