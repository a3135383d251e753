"""Make, renew and cancel chat sessions; only here a client secret is known in plain text, once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chatkit_store import ChatSession, ChatSessionStore, Owner, new_id

from ..errors.http import NotAuthenticated, TooManyRequests
from ..settings import Settings
from .login import CLIENT_SECRET_PREFIX
from .random_secrets import random_secret, stored_hash
from .session_login import UNKNOWN, check_valid
from .session_terms import Configuration, Workflow

ID_PREFIX = "cksess"
TOO_MANY = "There are too many valid sessions. Please try again when some of them have expired."


@dataclass(frozen=True, slots=True)
class IssuedSession:
    """A session with the secret that its client sends."""

    secret: str
    session: ChatSession


@dataclass(frozen=True, slots=True)
class NewSession:
    """Whose session it will be, and what it allows."""

    owner: Owner
    workflow: Workflow
    configuration: Configuration
    requests_per_minute: int | None
    user_name: str | None = None
    is_anonymous: bool = False
    seconds: int | None = None
    """How long the secret is valid; None for as long as the settings say."""


class SessionIssuer:
    """The sessions of one server."""

    def __init__(self, store: ChatSessionStore, settings: Settings) -> None:
        self._store = store
        self._seconds = settings.session_seconds
        self._renew_seconds = settings.session_renew_seconds
        self._grace_seconds = settings.session_grace_seconds
        self.is_enabled = "session" in settings.auth
        """Whether the door takes client secrets at all."""

    async def create(self, new: NewSession) -> IssuedSession:
        """Make a session for the customer's backend."""
        issued = self._issue(new)
        await self._store.create(issued.session)
        return issued

    async def create_for_page(self, new: NewSession) -> IssuedSession:
        """Make a session for a page whose user is logged in. Raises `TooManyRequests`."""
        issued = self._issue(new)
        if not await self._store.create_for_page(issued.session):
            raise TooManyRequests(TOO_MANY)
        return issued

    async def renew(self, secret: str) -> IssuedSession:
        """Return another secret for the same session.

        Raises `NotAuthenticated` if the secret can no longer be renewed, `TooManyRequests` if it has been too often.
        """
        renewed_secret, hashed = random_secret(CLIENT_SECRET_PREFIX), stored_hash(secret)
        if await self._store.find(hashed) is None:  # nobody may keep the database's writer busy without a secret
            raise NotAuthenticated(reason=UNKNOWN)
        session = await self._store.renew(
            hashed, new_id(ID_PREFIX), stored_hash(renewed_secret), grace=self._grace_seconds
        )
        if session is not None:
            return IssuedSession(renewed_secret, session)
        refused = check_valid(await self._store.find(hashed))
        if refused.renewable_until > datetime.now(UTC):
            raise TooManyRequests(TOO_MANY)
        raise NotAuthenticated(reason=f"session {refused.session_id} is at its end")

    async def cancel(self, session_id: str) -> ChatSession | None:
        """Cancel all secrets of a session; None if there is no such session."""
        return await self._store.cancel(session_id)

    def _issue(self, new: NewSession) -> IssuedSession:
        secret, id, moment = random_secret(CLIENT_SECRET_PREFIX), new_id(ID_PREFIX), datetime.now(UTC)
        expires_at = moment + timedelta(seconds=new.seconds or self._seconds)
        session = ChatSession(
            id=id,
            session_id=id,
            secret_hash=stored_hash(secret),
            tenant=new.owner.tenant,
            user_id=new.owner.user_id,
            user_name=new.user_name,
            is_anonymous=new.is_anonymous,
            workflow=new.workflow.model_dump_json(),
            configuration=new.configuration.model_dump_json(),
            requests_per_minute=new.requests_per_minute,
            created_at=moment,
            expires_at=expires_at,
            renewable_until=max(expires_at, moment + timedelta(seconds=self._renew_seconds)),
        )
        return IssuedSession(secret, session)
