"""Read a JSON request body up to a limit, with clean text."""

from starlette.requests import Request

from chatkit_store import clean_body

from ..errors.http import BodyTooLarge


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body, with lone surrogates and NUL in its strings replaced.

    Raises `BodyTooLarge` without reading more than `limit` bytes into memory.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit():
        check_size(int(length), limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        check_size(size, limit)
        chunks.append(chunk)
    return clean_body(b"".join(chunks))


def check_size(size: int, limit: int) -> None:
    """Raise `BodyTooLarge` if `size` exceeds `limit`, both in bytes."""
    if size > limit:
        raise BodyTooLarge(f"The message is too large; at most {limit} bytes are accepted. Please shorten it.")
