"""API keys: those of CHATKIT_API_KEYS, and those that `chatkit-server keys create` has made."""

import hmac
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from chatkit_store import ApiKey, ApiKeyStore

from ..errors.http import NotAuthenticated
from ..settings import Settings
from .login import bearer_token
from .random_secrets import stored_hash

PREFIX = "ck_"
HINT_LENGTH = 8
KEY_LENGTH = 1000
"""More characters than any key has."""
NO_KEYS = (
    "This server has no API key yet. Set CHATKIT_API_KEYS, or make a key with `chatkit-server keys create`, and send "
    "it as `Authorization: Bearer <key>`."
)
NO_KEY = "The request has no API key. Send it as `Authorization: Bearer <key>`."
WRONG_KEY = "The API key is not valid."


@dataclass(frozen=True, slots=True)
class ApiCaller:
    """Whoever calls the API with a key."""

    key_id: str
    is_admin: bool


class ApiKeys:
    """Finds the caller of a key."""

    def __init__(self, settings: Settings, keys: ApiKeyStore) -> None:
        self._hashes = [stored_hash(key.get_secret_value()) for key in settings.api_keys]
        self._keys = keys

    async def authenticate(self, request: HTTPConnection) -> ApiCaller:
        """Return who calls. Raises `NotAuthenticated`, with a text that says how to make a key if there is none."""
        key = bearer_token(request)
        if key is not None and (caller := await self._find(key)) is not None:
            return caller
        if not self._hashes and await self._keys.is_empty():
            raise NotAuthenticated(NO_KEYS, reason="there are no API keys")
        if key is None:
            raise NotAuthenticated(NO_KEY, reason="no API key")
        raise NotAuthenticated(WRONG_KEY, reason="unknown API key")

    async def _find(self, key: str) -> ApiCaller | None:
        if len(key) > KEY_LENGTH:
            return None
        hashed = stored_hash(key)
        matches = [hmac.compare_digest(hashed, known) for known in self._hashes]  # all, so that each takes as long
        if any(matches):
            return ApiCaller(f"CHATKIT_API_KEYS[{matches.index(True)}]", is_admin=True)
        row: ApiKey | None = await self._keys.find(hashed)
        return None if row is None else ApiCaller(row.id, row.is_admin)
