"""Ask for a streamed response over the aiohttp session itself, past the openai client and httpx2.

openai 3.54 and httpx2 take a request through some twenty calls and its answer through nine nested generators: 0.3 ms
of a short turn. They do so for the first request to an endpoint; we keep its URL, headers and timeouts, and send later
ones with the same directly. Only a stream of events is read here. Any other outcome, an error or another status,
type or coding, is handed to the stock code as the outcome of its own first attempt (`EarlyOutcome`): redirects, retries
and errors are its own, and the endpoint is not asked twice.

Builds on private names of the openai client: its transport (`openai._vendor.httpx_aiohttp`), and what its `AsyncStream`
uses to map errors and to drain a connection. Without them, all requests go the stock way, and
tests/models/test_direct_calls.py fails.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FunctionType, MappingProxyType
from typing import Any

import agents
import aiohttp
import httpx2
import openai
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent

from ...fast_path.fast_body import FastBody
from ...fast_path.fast_connection import want_body
from ..incoming.answer_decoder import AnswerDecoder
from ..usage import turn_usage
from .connection_errors import correct_errors
from .packed_items import body_json
from .plain_events import PlainEvents
from .wire_items import is_plain

try:
    from openai._httpx2 import request_exceptions, timeout_exceptions
    from openai._streaming_cleanup import drain_response_async
    from openai._vendor.httpx_aiohttp.transport import AiohttpResponseStream, AiohttpTransport, map_aiohttp_exceptions

    from .sse import FastDecoder
except ImportError:
    HAS_TRANSPORT_PARTS = False
else:
    HAS_TRANSPORT_PARTS = True

RAW_RESPONSE = "X-Stainless-Raw-Response"
"""The header by which the openai client's `with_streaming_response` marks its calls."""
CHUNK_BYTES = 16 * 1024
"""As in the openai client's transport."""
MAX_TEMPLATES = 64

_ONLY = frozenset({"stream", "extra_headers", "extra_query", "extra_body"})
"""Options of a direct call. Those with a timeout of their own take the stock way."""
_OF_ONE_REQUEST = frozenset({"content-length", "cookie"})
_LIBRARIES = tuple(str(Path(module.__file__ or "").parent) for module in (openai, httpx2, agents))
_openai_log, _http_log = logging.getLogger("openai._base_client"), logging.getLogger("httpx2")


@dataclass(frozen=True, slots=True)
class Template:
    """What the requests of one kind to an endpoint have in common."""

    transport: Any
    url: str
    headers: Mapping[str, str]
    timeout: aiohttp.ClientTimeout

    def request(self, cookies: httpx2.Cookies | None = None) -> httpx2.Request:
        """Return the request as errors show it, and as cookies belong to it."""
        return httpx2.Request("POST", self.url, cookies=cookies)


class EarlyOutcome:
    """What became of a request that was sent directly, if it is not a stream of events."""

    def __init__(self, began: float, outcome: aiohttp.ClientResponse | Exception) -> None:
        self.began = began
        """When the request began, as `time.monotonic`."""
        self._outcome: aiohttp.ClientResponse | Exception | None = outcome

    @property
    def is_taken(self) -> bool:
        """Whether the stock code has got it."""
        return self._outcome is None

    def take(self, request: httpx2.Request) -> httpx2.Response | None:
        """Return the response to the first request, as the transport would, or raise its error; later, return None."""
        outcome, self._outcome = self._outcome, None
        if outcome is None:
            return None
        if isinstance(outcome, Exception):
            raise outcome
        extensions: dict[str, Any] = {"http_version": b"HTTP/1.1"}
        if outcome.reason:
            extensions["reason_phrase"] = outcome.reason.encode()
        return httpx2.Response(
            status_code=outcome.status,
            headers=list(outcome.raw_headers),
            stream=AiohttpResponseStream(outcome),
            request=request,
            extensions=extensions,
        )

    async def drop(self) -> None:
        """Close a response that nobody has taken."""
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, aiohttp.ClientResponse):
            with suppress(httpx2.RequestError):
                await AiohttpResponseStream(outcome).aclose()


early_outcome: ContextVar[EarlyOutcome | None] = ContextVar("early_outcome", default=None)
"""The outcome for the stock code's first attempt, in the task that sends the request."""


class DirectCalls:
    """The direct requests of one client to one API."""

    def __init__(self, client: Any, *, is_chat: bool) -> None:
        """`client` is a `FastEventsClient`; `is_chat` says which API it is."""
        self._client = client
        self._is_chat = is_chat
        self._templates: dict[Any, Template] = {}

    def learn(self, options: Mapping[str, Any], answer: Any) -> None:
        """Keep what later requests have in common with the one that the stock code has sent for these options."""
        response = getattr(answer, "response" if self._is_chat else "http_response", None)
        if not isinstance(response, httpx2.Response) or response.history or not self.can_be_direct(options):
            return
        request = response.request
        transport = self._client._client._transport_for_url(request.url)
        timeout = request.extensions.get("timeout", {})
        if (
            type(transport) is not AiohttpTransport
            or not isinstance(transport.client, aiohttp.ClientSession)
            or transport.proxy is not None
            or request.method != "POST"
            or request.headers.get("x-stainless-retry-count") != "0"
            or request.extensions.keys() - {"timeout"}
        ):
            return
        if len(self._templates) >= MAX_TEMPLATES:
            self._templates.clear()
        self._templates[self.key(options)] = Template(
            transport,
            str(request.url),
            {name: value for name, value in request.headers.items() if name not in _OF_ONE_REQUEST},
            aiohttp.ClientTimeout(
                sock_connect=timeout.get("connect"), sock_read=timeout.get("read"), connect=timeout.get("pool")
            ),
        )

    async def ask(self, options: Mapping[str, Any]) -> "DirectAnswer | EarlyOutcome | None":
        """Send the request; return its answer, its other outcome, or None if it has to go the stock way."""
        if (early := early_outcome.get()) is not None and not early.is_taken:
            return early  # `send` was called for the same request
        if not self.can_be_direct(options):
            return None
        return await self.send(self.key(options), body_json({"stream": True, **options["extra_body"]}))

    async def send(self, key: Any, content: bytes) -> "DirectAnswer | EarlyOutcome | None":
        """As `ask`, for a body and the key of options that can be direct."""
        if (template := self._templates.get(key)) is None or not _is_unobserved():
            return None
        session = template.transport.client
        if not isinstance(session, aiohttp.ClientSession) or session.closed:
            return None
        headers = dict(template.headers)
        cookies = self._client._client.cookies
        if len(cookies) and (cookie := template.request(cookies).headers.get("cookie")):
            headers["cookie"] = cookie
        headers["content-length"] = str(len(content))
        began = monotonic()
        if (usage := turn_usage.get()) is not None:
            usage.request_leaves(template.url)
        with want_body(is_streamed=True) as wanted:
            try:
                with map_aiohttp_exceptions():
                    response = await session.request(
                        "POST",
                        template.url,
                        headers=headers,
                        data=content,
                        allow_redirects=False,
                        auto_decompress=False,
                        compress=False,
                        timeout=template.timeout,
                    )
            except Exception as error:
                return EarlyOutcome(began, error)
        body = None if wanted is None else wanted.body
        if body is None and not _is_stream(response):
            return EarlyOutcome(began, response)
        if "set-cookie" in response.headers:
            received = httpx2.Response(200, headers=list(response.raw_headers), request=template.request())
            cookies.extract_cookies(received)
        return (DirectStream if self._is_chat else DirectAnswer)(self._client, template, response, body)

    def key(self, options: Mapping[str, Any]) -> Any:
        """Return what the URL, the headers and the timeouts of a request depend on."""
        return self._client.api_key, tuple(sorted(options["extra_headers"].items()))

    def can_be_direct(self, options: Mapping[str, Any]) -> bool:
        """Return whether a request with these options may be sent directly, apart from who observes it."""
        headers, body = options.get("extra_headers"), options.get("extra_body")
        return (
            HAS_TRANSPORT_PARTS
            and options.get("stream") is True
            and options.keys() <= _ONLY
            and not options.get("extra_query")
            and isinstance(headers, dict)
            and headers.get(RAW_RESPONSE) == (None if self._is_chat else "stream")  # what the Agents SDK asks for
            and all(isinstance(value, str) for value in headers.values())
            and isinstance(body, dict)
            and is_plain(body)
        )


class DirectAnswer:
    """A streamed response; has what the Agents SDK reads of the openai client's `AsyncAPIResponse`."""

    _event_type: Any = ResponseStreamEvent

    def __init__(
        self, client: Any, template: Template, response: aiohttp.ClientResponse, body: FastBody | None
    ) -> None:
        self._client = client
        self._template = template
        self._response = response
        self._body = body
        self.is_closed = False
        self.request_id = response.headers.get("x-request-id")

    async def parse(self) -> AsyncGenerator[Any, None]:
        """Return the events."""
        return self.events()

    def events(self, unread: Mapping[str, Any] = MappingProxyType({})) -> AsyncGenerator[Any, None]:
        """Return the events. Those of a type in `unread`, which nobody looks into, are the objects there."""
        decoder = self._client._make_sse_decoder()
        if type(decoder) is AnswerDecoder and type(decoder.decoder) is FastDecoder:
            return self._plain_events(decoder, unread)
        return self._events(decoder, self._bytes())

    async def close(self) -> None:
        """Close the response and release its connection."""
        await self.aclose()

    async def aclose(self) -> None:
        """See `close`; as of a response of httpx2."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._body is not None:
            self._body.close()
        await AiohttpResponseStream(self._response).aclose()

    @property
    def stream(self) -> AsyncIterator[bytes]:
        """The bytes that have not been read, as of a response of httpx2."""
        return self._bytes()

    async def _plain_events(self, decoder: AnswerDecoder, unread: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """As `_events`; the decoder reads only what is not plain."""
        build = self._client._process_response_data
        chunks, plain = self._bytes(), PlainEvents(decoder.state)
        failure: Exception | None = None
        try:
            while not plain.is_odd:
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    if plain.is_complete:
                        return
                    break
                except Exception as error:  # what it means depends on what was read: the decoder knows
                    failure = error
                    break
                for value in plain.read(chunk):
                    if (event := unread.get(value["type"])) is None:
                        event = build(data=value, cast_to=self._event_type, response=_NO_RESPONSE)
                    yield event
                del chunk  # with whole responses, it would stay as long as the answer lasts
            decoder.continue_after(plain.answer)
            async with aclosing(self._events(decoder, _following(plain.rest, failure, chunks))) as events:
                async for event in events:
                    yield event
        finally:
            await self.aclose()

    async def _events(self, decoder: Any, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Any, None]:
        """Yield the events as the client's `AsyncStream` does. Raises what it raises."""
        try:
            async for event in decoder.aiter_bytes(chunks):
                if event.data.startswith("[DONE]"):
                    await drain_response_async(self)  # type: ignore[arg-type]  # it has what is used of a response
                    break
                value = event.json()
                if isinstance(value, Mapping) and (error := value.get("error")):
                    message = error.get("message") if isinstance(error, Mapping) else None
                    if not message or not isinstance(message, str):
                        message = "An error occurred during streaming"
                    raise openai.APIError(message=message, request=self._template.request(), body=error)
                yield self._client._process_response_data(data=value, cast_to=self._event_type, response=_NO_RESPONSE)
        except timeout_exceptions() as error:
            raise openai.APITimeoutError(request=self._template.request()) from error
        except request_exceptions() as error:
            raise openai.APIConnectionError(request=self._template.request()) from error
        finally:
            await self.aclose()

    async def _bytes(self) -> AsyncGenerator[bytes, None]:
        content, body = self._response.content, self._body
        with correct_errors(), map_aiohttp_exceptions():
            while True:
                if body is not None:
                    body.note_waiting()
                chunk = await content.read(CHUNK_BYTES)
                if not chunk:
                    return
                if body is not None:
                    body.note_taken(len(chunk))
                yield chunk


class DirectStream(DirectAnswer):
    """A streamed response of Chat Completions; has what the Agents SDK reads of the openai client's `AsyncStream`."""

    _event_type = ChatCompletionChunk

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._events(self._client._make_sse_decoder(), self._bytes())

    @property
    def response(self) -> aiohttp.ClientResponse:
        """Has the headers."""
        return self._response


async def _following(
    rest: bytes, failure: Exception | None, chunks: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    yield rest
    if failure is not None:
        raise failure
    async for chunk in chunks:
        yield chunk


_NO_RESPONSE = httpx2.Response(200)
"""For what the client does with whole responses."""


def _is_stream(response: aiohttp.ClientResponse) -> bool:
    headers = response.headers
    return (
        response.status == 200
        and headers.get("content-type", "").lower().startswith("text/event-stream")
        and "content-encoding" not in headers
    )


def _is_unobserved() -> bool:
    """Return whether nobody looks at single requests: neither a log nor a tool that wraps a method on their way."""
    from openai.resources.chat import AsyncCompletions  # not at the start: `events.py` has imported them by now
    from openai.resources.responses import AsyncResponses

    return (
        not _http_log.isEnabledFor(logging.INFO)  # they log each request
        and not _openai_log.isEnabledFor(logging.DEBUG)
        and is_untouched(AsyncResponses.create)
        and is_untouched(AsyncCompletions.create)
        and is_untouched(httpx2.AsyncClient.send)
        and is_untouched(AiohttpTransport.handle_async_request)
    )


def is_untouched(method: object) -> bool:
    """Return whether a method is the library's own: tools that observe requests wrap it."""
    return isinstance(method, FunctionType) and method.__code__.co_filename.startswith(_LIBRARIES)
