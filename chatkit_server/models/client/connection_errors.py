"""Name failed connections for what they are: the openai client's transport reports them as timeouts."""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import httpx2


@contextmanager
def correct_errors() -> Iterator[None]:
    """Raise `httpx2.ConnectError` or `httpx2.ReadError` for a connection that fails, never a timeout."""
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
