"""Decide which pages may open a WebSocket: browsers open them across origins with cookies and without a preflight."""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from ..errors.http import ForeignOrigin
from ..settings import Settings


def check_origin(connection: HTTPConnection, settings: Settings) -> bool:
    """Return whether to trust the client's cookies: not if only the `*` of CHATKIT_CORS_ORIGINS admits its page.

    A client without an `Origin` is not a browser. Raises `ForeignOrigin` for a page that may not call this server.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin in settings.cors_origins or _is_own(origin, connection):
        return True
    if "*" in settings.cors_origins:
        return False
    raise ForeignOrigin


def _is_own(origin: str, connection: HTTPConnection) -> bool:
    """Compare host and port only: a proxy that terminates TLS hides the scheme."""
    return urlsplit(origin).netloc.lower() == connection.headers.get("host", "").lower()
