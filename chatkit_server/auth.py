"""Identify the user of a request.

`none` is the only mode of this version: each browser is its own user, identified by a signed cookie.
"""

import os
import secrets
from pathlib import Path
from typing import NewType

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from chatkit_store import new_id

from .context import RequestContext
from .errors.http import TooManyRequests
from .errors.setup import SetupError
from .loops import Allowance
from .settings import Settings

COOKIE = "chatkit_user"
COOKIE_SECONDS = 365 * 24 * 3600
FRAME_ID_LENGTH = 100
LOCALE_LENGTH = 35
HEADER_LENGTH = 1000
"""How much of a header is looked at."""
SECRET_FILE = "secret"
KEEPS_COOKIES = "keeps_cookies"
"""The state of a request that must not change the browser's cookies."""

Secret = NewType("Secret", str)


class NewUsers(Allowance):
    """Counts new users: as many as the limit at once, and then at its rate."""

    def __init__(self, per_minute: int) -> None:
        super().__init__(per_minute, per_minute / 60)

    def add(self) -> None:
        """Count one. Raises `TooManyRequests` beyond the limit."""
        if not self.take():
            raise TooManyRequests


class Auth:
    """One user per browser."""

    def __init__(self, secret: Secret, new_users: NewUsers) -> None:
        self._cookies = URLSafeSerializer(secret, salt="chatkit-user")
        self._new_users = new_users

    def authenticate(self, request: HTTPConnection) -> RequestContext:
        """Return the context of the request. A browser without a valid cookie is a new user.

        Raises `TooManyRequests` for a new user beyond the limit.
        """
        return RequestContext(
            user_id=self._user_from_cookie(request) or self._new_user(),
            request_id=request.state.request_id,
            locale=_locale(request),
            frame_id=_frame_id(request),
        )

    def remember(
        self, request: HTTPConnection, response: Response, context: RequestContext, *, renew: bool = False
    ) -> None:
        """Set the cookie of a new user; with `renew`, also extend that of a known user by another year."""
        if getattr(request.state, KEEPS_COOKIES, False):
            return
        if renew or self._user_from_cookie(request) != context.user_id:
            response.set_cookie(
                COOKIE,
                str(self._cookies.dumps(context.user_id)),
                max_age=COOKIE_SECONDS,
                httponly=True,
                samesite="lax",
                secure=request.scope.get("scheme") in ("https", "wss"),  # `url` fails for a query that is not UTF-8
            )

    def _new_user(self) -> str:
        self._new_users.add()
        return new_id("user")

    def _user_from_cookie(self, request: HTTPConnection) -> str | None:
        try:
            user_id = self._cookies.loads(request.cookies.get(COOKIE, ""))
        except BadSignature:
            return None
        return user_id if isinstance(user_id, str) else None


def _locale(request: HTTPConnection) -> str:
    languages = request.headers.get("accept-language", "en")[:HEADER_LENGTH]
    return languages.split(",")[0].split(";")[0].strip()[:LOCALE_LENGTH] or "en"


def _frame_id(request: HTTPConnection) -> str | None:
    frame_id = request.headers.get("chatkit-frame-instance-id")
    return None if frame_id is None else frame_id[:FRAME_ID_LENGTH]


def open_auth(settings: Settings) -> Auth:
    """Return the auth of the settings. Raises `SetupError` for an unavailable mode, or without a secret."""
    if settings.auth != "none":
        raise SetupError(f"CHATKIT_AUTH={settings.auth} is not available in this version; use CHATKIT_AUTH=none.")
    return Auth(load_secret(settings), NewUsers(settings.new_users_per_minute))


def load_secret(settings: Settings) -> Secret:
    """Return the secret that signs cookies and URLs. Raises `SetupError` if it can be neither read nor created."""
    if settings.secret is not None:
        return Secret(settings.secret.get_secret_value())
    try:
        return _development_secret(settings.data_dir / SECRET_FILE)
    except OSError as error:
        raise SetupError(
            f"CHATKIT_DATA_DIR={settings.data_dir} cannot be used: {error.strerror}. Choose a writable directory, "
            "or set CHATKIT_SECRET."
        ) from error


def _development_secret(path: Path) -> Secret:
    """Create the secret once and keep it: after a restart with a new one, no browser could see its threads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "x", encoding="utf-8", opener=_private) as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    value = path.read_text(encoding="utf-8").strip()
    if len(value) < 32:
        raise SetupError(f"{path} does not contain a usable secret; delete it, or set CHATKIT_SECRET.")
    return Secret(value)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
