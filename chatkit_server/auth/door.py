"""The door that every request goes through."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..context import RequestContext
from ..errors.http import NoCredentials, NotAuthenticated
from .anonymous import Anonymous
from .login import Login, User, checked

logger = logging.getLogger(__name__)

FRAME_ID_LENGTH = 100
LOCALE_LENGTH = 35
HEADER_LENGTH = 1000
"""How much of a header is looked at."""

UNKNOWN_KIND = "no credentials that CHATKIT_AUTH takes, but an Authorization header of another kind"


class Door:
    """Asks each login in turn who sends a request; the first that knows decides."""

    def __init__(
        self, logins: Sequence[Login], anonymous: Anonymous | None, *, context_headers: Sequence[str] = ()
    ) -> None:
        """`anonymous` gives a user to whoever has no credentials of the other logins; agents see `context_headers`."""
        self._logins = logins
        self._context_headers = context_headers
        self._anonymous = anonymous

    async def authenticate(self, request: HTTPConnection) -> RequestContext:
        """Return the context of the request.

        Raises `NotAuthenticated`, whose reason only the log gets, or `NoCredentials`; and `TooManyRequests` for a new
        anonymous user beyond the limit.
        """
        try:
            user = await self._user(request)
        except NotAuthenticated as error:
            log_refusal(error)
            raise
        return RequestContext(
            user_id=user.id,
            request_id=request.scope["state"]["request_id"],
            locale=_locale(request),
            frame_id=_frame_id(request),
            tenant=user.tenant,
            user_name=user.name,
            is_admin=user.is_admin,
            is_anonymous=user.is_anonymous,
            address_key=user.address_key,
            session=user.session,
            headers=_headers(request, self._context_headers) if self._context_headers else {},
            claims=_copied(user.claims) if user.claims else {},
            metadata=_copied(user.metadata) if user.metadata else {},
            connection=request,
        )

    async def _user(self, request: HTTPConnection) -> User:
        for login in self._logins:
            if (user := await login(request)) is not None:
                return checked(user)
        if self._anonymous is None:
            has_other = "authorization" in request.headers
            raise NoCredentials(UNKNOWN_KIND if has_other else "no credentials")
        return self._anonymous.user(request)

    def remember(
        self, request: HTTPConnection, response: Response, context: RequestContext, *, renew: bool = False
    ) -> None:
        """Set the cookie of an anonymous user who is new; with `renew`, also extend that of a known one by a year."""
        if self._anonymous is not None:
            self._anonymous.remember(request, response, context, renew=renew)

    async def problems(self) -> list[str]:
        """Return why logins cannot work now, such as keys that cannot be fetched: a sentence for each, for `doctor`."""
        checks = [getattr(login, "problem", None) for login in self._logins]
        found = [await check() for check in checks if check is not None]
        return [problem for problem in found if problem]

    async def aclose(self) -> None:
        """Close what the logins keep open."""
        for login in self._logins:
            if (aclose := getattr(login, "aclose", None)) is not None:
                await aclose()


def log_refusal(error: NotAuthenticated) -> None:
    """Write to the log why somebody is not logged in; the client never learns it."""
    logger.info("not logged in: %s", error.reason)


def _locale(request: HTTPConnection) -> str:
    languages = request.headers.get("accept-language", "en")[:HEADER_LENGTH]
    return languages.split(",")[0].split(";")[0].strip()[:LOCALE_LENGTH] or "en"


def _headers(request: HTTPConnection, names: Sequence[str]) -> Headers:
    """Return these headers of a request; of one that is there more than once, the values with commas between."""
    values = {name: request.headers.getlist(name) for name in names}
    return Headers({name: ", ".join(present) for name, present in values.items() if present})


def _copied(value: Any) -> Any:
    """Return a copy of JSON: a user is kept for the next requests, and an agent's code may change what it gets."""
    if isinstance(value, Mapping):
        return {name: _copied(entry) for name, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def _frame_id(request: HTTPConnection) -> str | None:
    frame_id = request.headers.get("chatkit-frame-instance-id")
    return None if frame_id is None else frame_id[:FRAME_ID_LENGTH]
