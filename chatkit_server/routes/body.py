"""Read a request body up to a limit."""

from starlette.requests import Request

from ..errors.http import BodyTooLarge


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body. Raises `BodyTooLarge` without reading more than `limit` bytes into memory."""
    length = request.headers.get("content-length", "")
    if length.isdigit():
        check_size(int(length), limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        check_size(size, limit)
        chunks.append(chunk)
    return b"".join(chunks)


def check_size(size: int, limit: int) -> None:
    """Raise `BodyTooLarge` if `size` exceeds `limit`, both in bytes."""
    if size > limit:
        raise BodyTooLarge(f"The message is too large; at most {limit} bytes are accepted. Please shorten it.")
