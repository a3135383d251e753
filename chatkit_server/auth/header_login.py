"""`header`: a proxy in front of the server logs users in, and names them in headers.

`TrustedProxies` (routes/trusted_proxies.py) removes these headers from everybody else's requests.
"""

import logging
from collections.abc import Sequence

from starlette.requests import HTTPConnection

from ..errors.http import NotAuthenticated
from ..errors.setup import SetupError
from ..settings import Settings
from .login import User

logger = logging.getLogger(__name__)

SECRET_HEADER = "x-chatkit-proxy-secret"
NAMES_USERS = "names_users"
"""The state of a request from a proxy that may say who the user is."""
IGNORED = "ignored_login_headers"
"""The state of a request whose login headers were removed: why, for the log."""
UNSET = frozenset({"", "(null)"})
"""What a proxy sends for nobody; Apache writes a variable without a value as `(null)`."""


def login_headers(settings: Settings) -> Sequence[str]:
    """Return the headers that only a trusted proxy may send."""
    names = (settings.header_user, settings.header_tenant, settings.header_name, settings.header_roles)
    return [name for name in names if name is not None] + [SECRET_HEADER]


def open_header_login(settings: Settings) -> "HeaderLogin":
    """Return the login. Raises `SetupError` if the settings do not say which proxy to trust."""
    if not settings.header_secret and not settings.trusted_proxies:
        raise SetupError(
            "CHATKIT_AUTH=header must know its proxy: set CHATKIT_TRUSTED_PROXIES to the proxy's address, such as "
            f"10.0.0.5, or CHATKIT_HEADER_SECRET to a secret that it sends in the header {SECRET_HEADER}."
        )
    return HeaderLogin(settings)


class HeaderLogin:
    """Takes the user from the headers of a trusted proxy."""

    def __init__(self, settings: Settings) -> None:
        self._user, self._tenant = settings.header_user, settings.header_tenant
        self._name, self._roles = settings.header_name, settings.header_roles
        self._admin_role = settings.admin_role

    async def __call__(self, request: HTTPConnection) -> User | None:
        """Return the user of the headers; None without one, and for requests of anybody but the proxy."""
        if not getattr(request.state, NAMES_USERS, False):
            if reason := getattr(request.state, IGNORED, ""):
                logger.info("%s is ignored: %s", self._user, reason)
            return None
        if (user_id := _identity(request, self._user)) is None:
            return None
        tenant = "" if self._tenant is None else _identity(request, self._tenant)
        if tenant is None:
            raise NotAuthenticated(reason=f"header: no {self._tenant}")
        roles = [role.strip() for role in (_text(request, self._roles) or "").split(",")]
        return User(
            user_id,
            tenant=tenant,
            name=_text(request, self._name),
            is_admin=self._admin_role is not None and self._admin_role in roles,
        )


def _identity(request: HTTPConnection, name: str) -> str | None:
    """Return a header in which each difference counts: two users must never look like one."""
    value = _value(request, name)
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        raise NotAuthenticated(reason=f"header: {name} is not UTF-8") from None


def _text(request: HTTPConnection, name: str | None) -> str | None:
    """Return a header in UTF-8, or else in Latin-1, the two encodings that proxies use."""
    value = None if name is None else _value(request, name)
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _value(request: HTTPConnection, name: str) -> bytes | None:
    """Return the bytes of a header, or None if it is not set.

    Raises `NotAuthenticated` for one that is there twice: one of them may be the client's.
    """
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise NotAuthenticated(reason=f"header: {len(values)} headers {name}")
    value = values[0].strip() if values else ""
    return None if value in UNSET else value.encode("latin-1")  # as Starlette decoded it
