"""`session`: the bearer token is a client secret of `POST /v1/chatkit/sessions`, one query by its hash."""

from starlette.requests import HTTPConnection

from chatkit_store import ChatSession, ChatSessionStore

from ..errors.http import NotAuthenticated
from .addresses import Addresses
from .login import CLIENT_SECRET_PREFIX, User, bearer_token
from .random_secrets import stored_hash
from .session_terms import terms_of

SECRET_LENGTH = 200
"""More characters than a secret of ours has."""
UNKNOWN = "the client secret is unknown"
"""A reason for the log."""


def client_secret(request: HTTPConnection) -> str | None:
    """Return the bearer token if it looks like a client secret."""
    token = bearer_token(request)
    return token if token is not None and token.startswith(CLIENT_SECRET_PREFIX) else None


def check_valid(session: ChatSession | None) -> ChatSession:
    """Return the session if its secret is valid. Raises `NotAuthenticated` with the reason."""
    if session is None:
        raise NotAuthenticated(reason=UNKNOWN)
    if session.status != "active":
        raise NotAuthenticated(reason=f"the client secret of session {session.session_id} is {session.status}")
    return session


class SessionLogin:
    """Finds the user of a client secret, and what the session allows."""

    def __init__(self, sessions: ChatSessionStore, addresses: Addresses) -> None:
        """`addresses` counts the visitors without a login who have got a secret for themselves."""
        self._sessions = sessions
        self._addresses = addresses

    async def __call__(self, request: HTTPConnection) -> User | None:
        """Return the user of the secret; None without a bearer token that looks like one."""
        secret = client_secret(request)
        if secret is None:
            return None
        is_too_long = len(secret) > SECRET_LENGTH
        session = check_valid(None if is_too_long else await self._sessions.find(stored_hash(secret)))
        terms = terms_of(session)
        return User(
            session.user_id,
            session.tenant,
            session.user_name,
            is_anonymous=session.is_anonymous,
            session=terms,
            metadata=terms.state_variables,
            address_key=self._addresses.key_of(request) if session.is_anonymous else None,
        )
