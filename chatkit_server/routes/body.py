"""Read a request body up to a limit, and parse its JSON."""

from typing import Any

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from chatkit_store import clean_body

from ..errors.http import BodyTooLarge, InvalidJson, InvalidParams
from .limits import check_json, check_json_size


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body, also to whoever reads it from the request later: the code of an adopted server may.

    Raises `BodyTooLarge` without reading more than `limit` bytes into memory.
    """
    check_size(declared_size(request), limit)
    chunks: list[bytes] = []
    size = 0
    if is_unread(request):
        has_more = True
        while has_more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk, has_more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            check_size(size, limit)
            chunks.append(chunk)
    else:
        async for chunk in request.stream():
            size += len(chunk)
            check_size(size, limit)
            chunks.append(chunk)
    request._body = body = chunks[0] if len(chunks) == 1 else b"".join(chunks)  # as `Request.body`, which has no limit
    return body


def is_unread(request: Request) -> bool:
    """Return whether nobody has read the body yet, as a login may have.

    Then its messages are taken as they come: `Request.stream` is a generator, of which the event loop has to keep
    track.
    """
    return getattr(request, "_stream_consumed", True) is False and not hasattr(request, "_body")


def declared_size(request: Request) -> int:
    """Return the size of the body as its client declares it; 0 if it is not a usable number."""
    length = request.headers.get("content-length", "")[:20]  # converting thousands of digits raises
    return int(length) if length.isdecimal() else 0


def has_body(request: Request) -> bool:
    """Return whether the client sends a body, however short."""
    return declared_size(request) > 0 or "transfer-encoding" in request.headers


def check_size(size: int, limit: int) -> None:
    """Raise `BodyTooLarge` if `size` exceeds `limit`, both in bytes."""
    if size > limit:
        raise BodyTooLarge(f"The message is too large; at most {limit} bytes are accepted. Please shorten it.")


def check_is_json(request: Request) -> None:
    """Raise `InvalidParams` without a JSON content type: any web page can send every other body to any server."""
    if not request.headers.get("content-type", "").split(";", 1)[0].strip().lower().endswith("json"):
        raise InvalidParams("The body must be JSON, sent with `content-type: application/json`.")


def parse_json(body: bytes) -> Any:
    """Return the JSON of a body that keeps all limits, with lone surrogates and NUL in its strings replaced.

    Raises `InvalidJson` or `LimitExceeded`.
    """
    check_json_size(body)
    try:
        data = from_json(clean_body(body), allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        raise InvalidJson from None
    check_json(data)
    return data
