"""Whether somebody can make the sessions that CHATKIT_AUTH=session takes."""

from collections.abc import AsyncIterator

from chatkit_store import ApiKeyStore, StoreError

from ...services import Services
from ...settings import Settings
from .database_findings import missing_file
from .finding import Finding

NO_KEY = (
    "Nobody can log in: CHATKIT_AUTH=session takes client secrets, and your backend needs an API key to make one. "
    "Make a key with `chatkit-server keys create`, or set CHATKIT_API_KEYS to what `openssl rand -hex 32` prints."
)


async def examine_api_keys(services: Services, settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether there is a key; nothing where users can also get client secrets through another login."""
    if settings.api_keys:
        yield Finding("api keys", f"{len(settings.api_keys)} in CHATKIT_API_KEYS")
    elif settings.auth == ["session"] and not await _has_stored_key(services):
        yield Finding("api keys", NO_KEY, "WRONG")


async def _has_stored_key(services: Services) -> bool:
    if missing_file(services.engine.url) is not None:  # reading would create it
        return False
    try:
        return not await ApiKeyStore(services.engine).is_empty()
    except StoreError:  # the finding of the database says why
        return False
