"""Create the HTTP client of a model endpoint: pooled, on aiohttp, with correct connection errors.

Two differences from `openai.DefaultAioHttpClient` (openai 3.54):
- It reports refused connections, failed name lookups and dropped connections as *timeouts*, because its table maps
  aiohttp's ClientConnectionError first. Users would read "too slow" when nothing listens.
- The events of a streamed answer are built by `events.py`, and plain text is read at the socket (`fast_path/`).
"""

from collections.abc import AsyncIterator
from contextvars import ContextVar
from math import inf
from time import monotonic
from typing import Any

import aiohttp
import httpx2
import openai

from ...errors.retry_after import retry_after
from ...fast_path.fast_body import FastBody
from ...fast_path.fast_connection import use_fast_connections, want_body
from ..usage import turn_usage
from .connection_errors import correct_errors
from .direct_calls import early_outcome
from .events import FastEventsClient

MAX_CONNECTIONS = 1000
"""Streams that one process can have open at the endpoint at once."""
CONNECT_SECONDS = 10.0
MAX_RETRY_SECONDS = 10.0
"""How long a request may be retried after responses with an error."""
RETRY_COUNT = "x-stainless-retry-count"
"""The header in which the openai client (3.54) counts the retries of a request."""


def make_client(
    *,
    base_url: str,
    api_key: str,
    timeout: float,
    max_retries: int,
    deadline: float = inf,
    headers: dict[str, str] | None = None,
    is_our_child: bool = False,
    merged_tokens: int = 0,
) -> openai.AsyncOpenAI:
    """Return a client for one endpoint, which the caller closes. `timeout` is how many seconds it may stay silent.

    `deadline` is how many seconds the caller waits for the beginning of an answer, retries included.

    `merged_tokens` is how many tokens of plain text the fast path may merge; 0 does without it.

    For our own child process, skip TLS (whose setup takes 0.1 s) and any proxy in the environment.
    """
    timeouts = httpx2.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS), pool=timeout)
    extra: dict[str, Any] = {"verify": False, "trust_env": False, "follow_redirects": False} if is_our_child else {}
    return EndpointClient(
        deadline=deadline,
        base_url=base_url,
        api_key=api_key,
        timeout=timeouts,
        max_retries=max_retries,
        default_headers=headers,
        http_client=ModelHttpClient(
            timeout=timeouts,
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS),
            merged_tokens=merged_tokens,
            **extra,
        ),
    )


class EndpointClient(FastEventsClient):
    """Retries only while there is time for it.

    The openai client (3.54) sleeps for as long as a response's `Retry-After` asks, up to two minutes. The run's
    deadline would end it first, and the user would read that the model is slow instead of why it refuses.
    Overrides the private `_should_retry`, which tests/models/test_retries.py checks.
    """

    def __init__(self, *, deadline: float, **options: Any) -> None:
        super().__init__(**options)
        self._retry_seconds = min(MAX_RETRY_SECONDS, deadline / 2)

    async def request(self, *args: Any, **options: Any) -> Any:
        """See `openai.AsyncOpenAI.request`."""
        early = early_outcome.get()
        _request_start.set(monotonic() if early is None else early.began)
        return await super().request(*args, **options)

    def _should_retry(self, response: httpx2.Response) -> bool:
        elapsed = monotonic() - _request_start.get()
        wait = retry_after(response.headers) or 0
        return elapsed + wait <= self._retry_seconds and super()._should_retry(response)


_request_start: ContextVar[float] = ContextVar("request_start", default=inf)
"""When the current task began its request."""


class ModelHttpClient(openai.DefaultAioHttpClient):
    """aiohttp behind httpx2's interface; reports failed connections as connection errors, never as timeouts.

    For the fast path, it uses `get_client` and `client` of the openai client's transport (openai 3.54). Without them,
    all answers go the slow path, and tests/fast_path/test_fast_connection.py fails.
    """

    def __init__(self, *, merged_tokens: int = 0, **options: Any) -> None:
        self._merged_tokens = merged_tokens
        super().__init__(**options)

    def _init_transport(self, *args: Any, **options: Any) -> Any:
        return self._with_fast_path(_with_early_outcomes(super()._init_transport(*args, **options)))

    def _init_proxy_transport(self, *args: Any, **options: Any) -> Any:
        return self._with_fast_path(_with_early_outcomes(super()._init_proxy_transport(*args, **options)))

    def _with_fast_path(self, transport: Any) -> Any:
        if self._merged_tokens and hasattr(transport, "get_client") and hasattr(transport, "client"):

            def open_session() -> aiohttp.ClientSession:
                transport.client = None
                session: aiohttp.ClientSession = transport.get_client()
                use_fast_connections(session, self._merged_tokens)
                return session

            transport.client = open_session
        return transport

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """See `httpx2.AsyncClient.send`. Raises `httpx2.ConnectError` or `httpx2.ReadError` if the connection fails."""
        if (usage := turn_usage.get()) is not None:
            usage.retries += request.headers.get(RETRY_COUNT, "0") != "0"
            usage.request_leaves(request.url)
        with correct_errors(), want_body(is_streamed=options.get("stream", False)) as wanted:
            response = await super().send(request, **options)
        if not response.is_closed and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _CorrectedStream(response.stream, None if wanted is None else wanted.body)
        return response


def _with_early_outcomes(transport: Any) -> Any:
    """Let the transport give the first request of a task the outcome that it has already (see `direct_calls.py`)."""
    handle = transport.handle_async_request

    async def handle_late(request: httpx2.Request) -> httpx2.Response:
        early = early_outcome.get()
        response = None if early is None else early.take(request)
        return await handle(request) if response is None else response

    transport.handle_async_request = handle_late
    return transport


class _CorrectedStream(httpx2.AsyncByteStream):
    """A response body with correct connection errors, whose text may take the fast path."""

    def __init__(self, stream: httpx2.AsyncByteStream, fast_body: FastBody | None) -> None:
        self._stream = stream
        self._fast_body = fast_body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with correct_errors():
            if (body := self._fast_body) is None:
                async for chunk in self._stream:
                    yield chunk
                return
            chunks = aiter(self._stream)
            while True:
                body.note_waiting()
                chunk = await anext(chunks, b"")
                if not chunk:
                    return
                body.note_taken(len(chunk))
                yield chunk

    async def aclose(self) -> None:
        if self._fast_body is not None:
            self._fast_body.close()
        await self._stream.aclose()
