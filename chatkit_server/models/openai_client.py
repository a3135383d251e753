"""The one HTTP client of a model endpoint: pooled, on aiohttp, with its failures named truly.

`openai.DefaultAioHttpClient` (openai 3.54) is kept as it is but for two things:
- it reports a refused connection, a failed name lookup and a connection that the server dropped as *timeouts*
  (its table maps aiohttp's ClientConnectionError first); a user would read "too slow" where nothing listens;
- a streamed answer's events are built by `fast_events`.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx2
import openai

from .fast.events import FastEventsClient
from .usage import turn_usage

MAX_CONNECTIONS = 1000
"""Streams that one process can have open at the endpoint at the same time."""
CONNECT_SECONDS = 10.0
RETRY_COUNT = "x-stainless-retry-count"
"""The openai client (3.54) numbers the tries of a request by it."""


def make_client(
    *,
    base_url: str,
    api_key: str,
    timeout: float,
    max_retries: int,
    headers: dict[str, str] | None = None,
    is_our_child: bool = False,
) -> openai.AsyncOpenAI:
    """A client for one endpoint; `timeout` is how many seconds it may stay silent. Close it with `close()`.

    A child process of ours is reached without TLS (whose set-up takes 0.1 s) and past any proxy of the environment.
    """
    waits = httpx2.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS), pool=timeout)
    own: dict[str, Any] = {"verify": False, "trust_env": False, "follow_redirects": False} if is_our_child else {}
    return FastEventsClient(
        base_url=base_url,
        api_key=api_key,
        timeout=waits,
        max_retries=max_retries,
        default_headers=headers,
        http_client=ModelHttpClient(timeout=waits, limits=httpx2.Limits(max_connections=MAX_CONNECTIONS), **own),
    )


class ModelHttpClient(openai.DefaultAioHttpClient):
    """aiohttp under httpx2's interface; a connection that fails is a connection error, never a timeout."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """As `httpx2.AsyncClient.send`. Raises `httpx2.ConnectError` or `httpx2.ReadError` where the wire broke."""
        if request.headers.get(RETRY_COUNT, "0") != "0" and (usage := turn_usage.get()) is not None:
            usage.retries += 1
        with _true_names():
            response = await super().send(request, **options)
        if not response.is_closed and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _TrulyNamedStream(response.stream)
        return response


class _TrulyNamedStream(httpx2.AsyncByteStream):
    """A response body whose failures have their true names."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _true_names():
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextmanager
def _true_names() -> Iterator[None]:
    try:
        yield
    except httpx2.ConnectTimeout as error:
        match error.__cause__:
            case aiohttp.ServerTimeoutError():
                raise
            case aiohttp.ClientConnectorError() as cause:
                raise httpx2.ConnectError(str(cause)) from cause
            case aiohttp.ClientConnectionError() as cause:
                raise httpx2.ReadError(str(cause) or "The server closed the connection.") from cause
        raise
