"""`none`: each browser is its own user, identified by a signed cookie."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from chatkit_store import new_id

from ..context import RequestContext
from ..limits.new_users import NewUsers
from .addresses import Addresses
from .login import User

COOKIE = "chatkit_user"
"""The names begin so. The rest depends on the key, so that servers with different keys at one host do not overwrite
each other's cookies: browsers tell neither ports nor, for `__Host-`, paths apart. Before 0.2, there was no rest."""
SECURE = "__Host-"
"""Over https: browsers take a cookie of such a name only from this very host, and never without encryption."""
COOKIE_SECONDS = 365 * 24 * 3600
KEPT_COOKIES = 4096
"""Of how many cookies the valid signature is remembered."""
KEEPS_COOKIES = "keeps_cookies"
"""The state of a request that must not change the browser's cookies."""
ANONYMOUS = "anonymous"
"""The state of a request whose user is a browser without a login: the user of a cookie that need not be set again."""


class Anonymous:
    """One user per browser."""

    def __init__(self, keys: Sequence[str], new_users: NewUsers, *, is_https: bool = False) -> None:
        """`is_https` says that browsers use https whatever the requests look like."""
        self._cookies = URLSafeSerializer(keys, salt="chatkit-user")
        self._newest = URLSafeSerializer(keys[-1], salt="chatkit-user")
        # A signature is valid as long as its key, each request asks twice, and a browser sends the same for a year.
        self._read = lru_cache(KEPT_COOKIES)(self._cookies.loads)
        self._read_newest = lru_cache(KEPT_COOKIES)(self._newest.loads)
        self._name = cookie_name(keys[-1])
        self._names = [*(cookie_name(key) for key in reversed(keys)), COOKIE]
        self._is_https = is_https
        self._new_users = new_users
        self._addresses = Addresses(keys)

    def user(self, request: HTTPConnection) -> User:
        """Return the user of the cookie; a browser without a valid one is a new user.

        Raises `TooManyRequests` for a new user beyond the limit.
        """
        address_key = self._addresses.key_of(request)
        lasting_id = self._user_from_cookie(request, self._name, self._read_newest)
        user_id = self._user_from_cookies(request) if lasting_id is None else lasting_id
        if user_id is None:
            self._new_users.add(address_key)
            user_id = new_id("user")
        request.scope.setdefault("state", {})[ANONYMOUS] = lasting_id
        return User(user_id, is_anonymous=True, address_key=address_key)

    def remember(
        self, request: HTTPConnection, response: Response, context: RequestContext, *, renew: bool = False
    ) -> None:
        """Set the cookie of a new user, and of one whose cookie an old key has signed, or has the former name.

        With `renew`, also extend that of a known user by another year.

        Nothing happens for a request whose user another login has named.
        """
        state = request.scope.get("state", {})
        if ANONYMOUS not in state or state.get(KEEPS_COOKIES):
            return
        if renew or state[ANONYMOUS] != context.user_id:
            is_secure = self._is_secure(request)
            response.set_cookie(
                SECURE + self._name if is_secure else self._name,
                str(self._newest.dumps(context.user_id)),
                max_age=COOKIE_SECONDS,
                httponly=True,
                samesite="lax",
                secure=is_secure,
            )

    def _user_from_cookies(self, request: HTTPConnection) -> str | None:
        """Return the user of the first valid cookie."""
        users = (self._user_from_cookie(request, name, self._read) for name in self._names)
        return next((user_id for user_id in users if user_id is not None), None)

    def _user_from_cookie(self, request: HTTPConnection, name: str, read: Callable[[str], Any]) -> str | None:
        """Return the user of a valid cookie. Over https, a plain one is not valid: another host may have set it."""
        cookie = request.cookies.get(SECURE + name if self._is_secure(request) else name)
        if not cookie:
            return None
        try:
            user_id = read(cookie)
        except BadSignature as error:
            error.__traceback__ = None  # a frame of itsdangerous keeps it: the request would wait for the collector
            return None
        return user_id if isinstance(user_id, str) else None

    def _is_secure(self, request: HTTPConnection) -> bool:
        # Of the scope: `url` fails for a query that is not UTF-8.
        return self._is_https or request.scope.get("scheme") in ("https", "wss")


def cookie_name(key: str) -> str:
    """Return the name of the cookies that a key signs; over https, `SECURE` comes before it."""
    return f"{COOKIE}_{blake2b(key.encode(), digest_size=4, person=b'chatkit-cookie').hexdigest()}"
