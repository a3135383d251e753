"""The checks of `doctor`, in their order."""

import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing

from pydantic import SecretStr

from ...services import Services
from ...settings import Settings, unknown_settings
from .access_findings import examine_access
from .agent_findings import examine_agent
from .database_findings import examine_database
from .files_findings import examine_files
from .finding import Finding
from .key_findings import examine_api_keys


async def examine(services: Services, settings: Settings) -> AsyncIterator[Finding]:
    """Yield each finding as it is made, and close the services at the end. `settings` are those that were written."""
    try:
        yield Finding("settings", settings.environment)
        for warning in unknown_settings():
            yield Finding("settings", warning, "WARN")
        async for finding in examine_access(services, settings):
            yield finding
        yield await examine_database(services)
        async for finding in examine_files(settings):
            yield finding
        async for finding in examine_api_keys(services, settings):
            yield finding
        async with aclosing(examine_agent(services)) as findings:
            async for finding in findings:
                yield finding
    finally:
        await services.models.aclose()
        await services.door.aclose()
        await services.engine.dispose()


def examinable(settings: Settings) -> Settings:
    """Return settings with which an app can be built and no secret is written to disk: without one, a key for once."""
    if settings.secrets:
        return settings
    return settings.model_copy(update={"secrets": [SecretStr(secrets.token_hex(32))]})
