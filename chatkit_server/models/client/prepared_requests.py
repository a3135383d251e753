"""Build the requests of one endpoint from what they have in common.

openai 3.54 and httpx2 merge the same headers, parse the same URL and copy the same timeouts for each request, 0.4 ms in
all. We keep the first request that the stock code builds for an operation, and give later ones its URL and headers.

Overrides the private `_build_request`, which tests/models/test_fast_requests.py checks. The stock code builds requests
whose body is not plain JSON.
"""

from collections.abc import Mapping
from typing import Any

import httpx2
import openai

from .packed_items import body_json, unpack_in_place
from .wire_items import PlainList, is_plain

MAX_TEMPLATES = 64

_OWN_HEADERS = frozenset({"content-length", "cookie"})
"""Headers of a single request."""


class PreparedRequests(openai.AsyncOpenAI):
    """Builds requests with a plain body from templates."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._templates: dict[Any, tuple[httpx2.URL, httpx2.Headers, dict[str, Any]]] = {}

    def _build_request(self, options: Any, *, retries_taken: int = 0) -> httpx2.Request:
        body = _plain_body(options)
        if body is None or (self._idempotency_header and options.idempotency_key):
            return self._stock_request(options, retries_taken)
        key = self._key(options, retries_taken)
        if (template := self._templates.get(key)) is None:
            request = self._stock_request(options, retries_taken)
            headers = httpx2.Headers([pair for pair in request.headers.multi_items() if pair[0] not in _OWN_HEADERS])
            if len(self._templates) >= MAX_TEMPLATES:
                self._templates.clear()
            self._templates[key] = request.url, headers, dict(request.extensions)
            return request
        url, headers, extensions = template
        cookies = self._client.cookies
        return httpx2.Request(
            options.method,
            url,
            headers=headers,
            cookies=cookies if len(cookies) else None,
            content=body_json(body),
            extensions=extensions,
        )

    def _stock_request(self, options: Any, retries_taken: int) -> httpx2.Request:
        for value in options.extra_json.values() if isinstance(options.extra_json, dict) else ():
            if type(value) is PlainList:
                unpack_in_place(value)
        return super()._build_request(options, retries_taken=retries_taken)

    def _key(self, options: Any, retries_taken: int) -> Any:
        """Return everything that the URL, the headers and the timeouts depend on."""
        return (
            (options.method, options.url, retries_taken, repr(options.timeout), self.api_key),
            tuple(sorted((options.headers or {}).items())),
            tuple(sorted((options.security or {}).items())),
        )


def forget_request(answer: Any, body: Mapping[str, Any]) -> None:
    """Release the body and the headers of an answered request, which a stream would keep until it ends.

    `answer` is a stream of the client, or a response that is not parsed yet; `body` is the `extra_body` of the call.
    """
    for value in body.values():
        if type(value) is PlainList:
            value.clear()
    response = getattr(answer, "http_response", None) or getattr(answer, "response", None)
    if isinstance(response, httpx2.Response) and not response.is_closed:
        response.request = httpx2.Request(response.request.method, response.request.url, stream=_NOTHING)


_NOTHING = httpx2.ByteStream(b"")


def _plain_body(options: Any) -> dict[str, Any] | None:
    """Return the body of a call, if it is plain JSON and the call has nothing else that its request depends on."""
    extra, data = options.extra_json, options.json_data
    can_be_prepared = (
        isinstance(extra, Mapping)
        and isinstance(data, Mapping)
        and is_plain({**data, **extra})
        and isinstance(options.headers or {}, Mapping)
        and all(isinstance(value, str) for value in (options.headers or {}).values())
        and not options.params
        and options.files is None
        and options.content is None
    )
    return {**data, **extra} if can_be_prepared else None
