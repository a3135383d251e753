"""Which pages may open a WebSocket: browsers send them across origins without asking first, with cookies and all."""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from ..errors.http import ForeignOrigin
from ..settings import Settings


def check_origin(connection: HTTPConnection, settings: Settings) -> bool:
    """Whether the client's cookies may be believed: not where CHATKIT_CORS_ORIGINS lets in anybody's page by `*`.

    A client without an `Origin` is no browser. Raises `ForeignOrigin` for a page that may not call this server.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin in settings.cors_origins or _is_own(origin, connection):
        return True
    if "*" in settings.cors_origins:
        return False
    raise ForeignOrigin


def _is_own(origin: str, connection: HTTPConnection) -> bool:
    """By host and port only: a proxy that ends TLS hides the scheme."""
    return urlsplit(origin).netloc.lower() == connection.headers.get("host", "").lower()
