"""Refuse requests that a page of another site makes a browser send: browsers add cookies and reach loopback addresses.

Browsers state where a request comes from, in `Sec-Fetch-Site` and `Origin`; other clients send neither, and are served.
The `Host` is checked because a page can point its own name at this server's address (DNS rebinding): to the browser,
the server then belongs to that page.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope

from ..auth.anonymous import KEEPS_COOKIES
from ..auth.header_login import NAMES_USERS, login_headers
from ..errors.http import ForeignHost, ForeignOrigin
from ..settings import Settings
from .allowed_methods import path_of
from .direct_request import IndexedHeaders

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PROBES = frozenset({"/healthz", "/readyz"})
"""Open to any `Host`: an orchestrator may use any name for a probe."""
KEPT_HOSTS = 256
"""Of how many hosts the answer is remembered: a server has few names."""
HOST_LENGTH = 255
"""Only of hosts up to this length, that of the longest name."""
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class ForeignRequests:
    """Recognizes and refuses them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hosts = allowed_hosts(settings)
        self._is_allowed = lru_cache(KEPT_HOSTS)(self._is_allowed_at)
        self._ambient = frozenset(name.encode() for name in ("cookie", *login_headers(settings)))

    def admitted(self, scope: Scope) -> Scope:
        """Return the request, perhaps without what says who its user is. Raises `ForeignHost` or `ForeignOrigin`."""
        return scope if self._check(scope) else self._without_login(scope)

    def _check(self, scope: Scope) -> bool:
        """Return whether to trust what the browser adds: not if only the `*` of CHATKIT_CORS_ORIGINS admits the page.

        Raises `ForeignHost` or `ForeignOrigin`.
        """
        headers = IndexedHeaders.of(scope)
        host = headers.get("host", "")
        if path_of(scope) not in PROBES:
            address = server[0] if (server := scope.get("server")) else ""
            check = self._is_allowed if len(host) <= HOST_LENGTH else self._is_allowed_at
            if not check(host, address):
                raise ForeignHost(host[:100])
        if scope.get("method") in SAFE_METHODS or self._is_from_own_page(headers, host):
            return True
        origins = self._settings.cors_origins
        if (origin := headers.get("origin")) is not None and origin in origins:
            return True
        if "*" in origins:
            return False
        raise ForeignOrigin

    def _is_allowed_at(self, host: str, address: str) -> bool:
        return is_allowed_host(host, self._hosts, (address, None) if address else None)

    def _without_login(self, scope: Scope) -> Scope:
        """Return the request without what the browser, or a proxy that knows it, adds to those of any page.

        The user is a new one, who gets no cookie either: it would replace that of the browser's user.
        """
        headers = [header for header in scope["headers"] if header[0] not in self._ambient and not _is_ambient(*header)]
        state = {**scope["state"], KEEPS_COOKIES: True, NAMES_USERS: False}
        return {**scope, "headers": headers, "state": state}

    def _is_from_own_page(self, headers: IndexedHeaders, host: str) -> bool:
        """Return whether the request comes from a page of this server, or from no page at all.

        `Sec-Fetch-Site` decides if it is there: a proxy may have changed the `Host`.
        """
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site in ("same-origin", "none")
        return origin is None or _is_same(origin, host) or _is_same(origin, _netloc(self._settings.public_url or ""))


def allowed_hosts(settings: Settings) -> Sequence[str]:
    """Return the names that requests may have as their `Host`, besides IP addresses and localhost."""
    names = [*settings.allowed_hosts, settings.host]
    if settings.public_url:
        names.append(_host_name(_netloc(settings.public_url)))
    return [name.lower() for name in names]


def is_allowed_host(host: str, allowed: Sequence[str], server: tuple[str, int | None] | None) -> bool:
    """Return whether a `Host` header is allowed. Browsers always send one.

    DNS rebinding needs a public name, so IP addresses are allowed; and names without a dot, such as those of
    containers, unless the request arrived at a loopback address.
    """
    name = _host_name(host)
    if host == "" or "*" in allowed or name in allowed or is_loopback_name(name) or _is_address(name):
        return True
    if any(pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in allowed):
        return True
    is_plain = name.replace("-", "").replace("_", "").isalnum()
    return is_plain and not is_loopback_name(server[0] if server else "")


def is_loopback_name(name: str) -> bool:
    """Return whether a name or address always means the machine itself."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _host_name(host: str) -> str:
    """Return the host in lower case without its port and without a dot at the end."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or not (port.isdigit() or port == ""):
        name = host.lower()
    return name.removesuffix(".")


def _is_same(origin: str, host: str) -> bool:
    """Compare host and port only: a proxy that terminates TLS hides the scheme."""
    scheme = origin.partition(":")[0].lower()
    netloc, host = _netloc(origin), host.lower()
    return netloc != "" and host in (netloc, netloc + DEFAULT_PORTS.get(scheme, ""))


def _netloc(url: str) -> str:
    """Return host and port of a URL or origin; empty if it has none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:  # such as `http://[`
        return ""


def _is_ambient(name: bytes, value: bytes) -> bool:
    """Return whether a header has a password that the browser remembers; only scripts send a bearer token."""
    return name == b"authorization" and not value.lower().startswith(b"bearer ")
