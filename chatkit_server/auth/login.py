"""What a login is: it says who sends a request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import HTTPConnection

from chatkit_store.clean import REPLACEMENT

from ..context import SessionTerms
from ..errors.http import NotAuthenticated

CLIENT_SECRET_PREFIX = "ek_"
"""How the client secrets of chat sessions begin, so that no other login takes them for its own."""
MAX_ID = 512
"""Characters of an id."""
BEARER = "bearer."
PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class User:
    """A user who is logged in."""

    id: str
    """The same for every login of the user; unique within the tenant."""
    tenant: str = ""
    """Keeps the users of different customers apart; empty without tenants."""
    name: str | None = None
    """How an agent may address the user."""
    is_admin: bool = False
    is_anonymous: bool = False
    """Whether nobody knows who it is: a visitor without a login, with limits of their own."""
    address_key: str | None = None
    """What an anonymous visitor's address is counted under (`auth.addresses`); None for users with a login."""
    session: SessionTerms | None = None
    """What the client secret of the request allows."""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The verified claims of a token: plain JSON."""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What else agents may know about the user: `RequestContext.metadata`."""


class Login(Protocol):
    """One way to log in.

    It may also have `async def aclose()`, and `async def problem() -> str | None`, whose sentence `doctor` shows.
    """

    async def __call__(self, request: HTTPConnection) -> User | None:
        """Return who sends the request, or None if it has no credentials of this kind.

        Raises `NotAuthenticated` for credentials that are not valid, with the reason for the log.
        """
        ...


def bearer_token(request: HTTPConnection) -> str | None:
    """Return the bearer token of a request, or None.

    A WebSocket may have it in `Sec-WebSocket-Protocol`, as `bearer.<token>`: browsers set no other header there.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip() or None
    offered = request.scope.get("subprotocols") or ()  # of WebSockets only
    return next((name.removeprefix(BEARER) for name in offered if name.startswith(BEARER)), None) or None


def with_token(request: HTTPConnection, token: str) -> HTTPConnection:
    """Return the request as if it had come with this bearer token, and with no other."""
    if not PRINTABLE.fullmatch(token):
        raise NotAuthenticated(reason="the token has characters that no token has")
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"authorization"]
    headers.append((b"authorization", b"Bearer " + token.encode()))
    return HTTPConnection({**request.scope, "headers": headers, "subprotocols": []})


def is_identifier(value: str) -> bool:
    """Return whether a text can name a user or tenant.

    A database cannot store some characters, such as NUL, and two ids that differ in these alone would become one: they
    are replaced, here or before.
    """
    return 0 < len(value) <= MAX_ID and value == value.strip() and value.isprintable() and REPLACEMENT not in value


def checked(user: User) -> User:
    """Return the user. Raises `NotAuthenticated` if its id or tenant cannot name one."""
    if not is_identifier(user.id) or (user.tenant and not is_identifier(user.tenant)):
        raise NotAuthenticated(reason="the user's id or tenant is empty, too long, or has unusable characters")
    return user
