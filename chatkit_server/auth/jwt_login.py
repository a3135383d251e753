"""`jwt`: bearer tokens of an issuer."""

import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

from starlette.requests import HTTPConnection

from .claims import ClaimNames
from .jwt_verifier import Verifier, refused
from .login import CLIENT_SECRET_PREFIX, User, bearer_token
from .verification_keys import KeySet, VerificationKey

CACHED_SECONDS = 60.0
"""How long a token is not checked again; a key that is withdrawn ends that at once."""
CACHED_TOKENS = 4096


class Keys(Protocol):
    """Where the keys come from."""

    known: KeySet | None

    async def current(self) -> KeySet:
        """Return the keys."""
        ...

    async def newer(self) -> KeySet:
        """Return the keys for a token that names an unknown one."""
        ...

    async def problem(self) -> str | None:
        """Return a sentence on why there are no keys, or None."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class FixedKeys:
    """Keys of the settings."""

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._keys = KeySet(keys)
        self.known: KeySet | None = self._keys

    async def current(self) -> KeySet:
        """Return the keys."""
        return self._keys

    async def newer(self) -> KeySet:
        """Return the same keys."""
        return self._keys

    async def problem(self) -> str | None:
        """Return None."""
        return None

    async def aclose(self) -> None:
        """Do nothing."""


class JwtLogin:
    """Takes the user from the claims of a bearer token."""

    def __init__(self, keys: Keys, verifier: Verifier, claims: ClaimNames) -> None:
        self._keys = keys
        self._verifier = verifier
        self._claims = claims
        self._verified = VerifiedTokens()

    async def __call__(self, request: HTTPConnection) -> User | None:
        """Return the user of a token; None without a bearer token, or with the client secret of a session.

        Raises `NotAuthenticated` for an invalid token, and `LoginUnavailable` while the issuer's keys are unknown.
        """
        token = bearer_token(request)
        if token is None or token.startswith(CLIENT_SECRET_PREFIX):
            return None
        # Also of one that is not ASCII, as a first message of a WebSocket may be: the digest is only a key.
        digest = sha256(token.encode(errors="replace")).digest()
        if (user := self._verified.user(digest, self._keys.known)) is not None:
            return user
        return await self._check(token, digest)

    async def problem(self) -> str | None:
        """Return a sentence on why nobody can log in, or None."""
        return await self._keys.problem()

    async def aclose(self) -> None:
        """Close the connections to the issuer."""
        await self._keys.aclose()

    async def _check(self, token: str, digest: bytes) -> User:
        header = self._verifier.header(token)
        key_set = await self._keys.current()
        keys = key_set.fitting(header.kid, header.algorithm)
        if not keys:
            key_set = await self._keys.newer()
            keys = key_set.fitting(header.kid, header.algorithm)
        if not keys:
            raise refused(f"no key {ascii(header.kid)[:80]} for {header.algorithm}")
        claims = self._verifier.claims(token, header, keys)
        user = self._claims.user_of(claims)
        self._verified.add(digest, user, claims["exp"], key_set)
        return user


class VerifiedTokens:
    """The users of tokens that were valid a moment ago, for one set of keys."""

    def __init__(self) -> None:
        self._keys: KeySet | None = None
        self._users: dict[bytes, tuple[User, float]] = {}

    def user(self, digest: bytes, keys: KeySet | None) -> User | None:
        """Return the user of a token, by its digest, if these keys have verified it."""
        if keys is not self._keys:
            return None
        user, until = self._users.get(digest, (None, 0.0))
        return user if time.time() < until else None

    def add(self, digest: bytes, user: User, expires_at: float, keys: KeySet) -> None:
        """Keep a user until the token expires, for a minute at most; forget what other keys have verified."""
        if keys is not self._keys:
            self._keys, self._users = keys, {}
        self._users.pop(digest, None)
        if len(self._users) >= CACHED_TOKENS:
            del self._users[next(iter(self._users))]  # the oldest
        self._users[digest] = user, min(expires_at, time.time() + CACHED_SECONDS)
