"""How much a user may use."""

from collections.abc import Iterator

from ...context import RequestContext
from ...limits.user_limits import UserLimits
from ...settings import Settings
from .finding import Finding

USER = RequestContext(user_id="nobody")
STRANGER = RequestContext(user_id="nobody", is_anonymous=True)


def examine_limits(settings: Settings) -> Iterator[Finding]:
    """Yield the limits of turns: of users who are logged in, and of anonymous visitors where they are wanted."""
    if settings.auth != ["none"]:
        limits = _listed(settings, USER) or "none; CHATKIT_TURNS_PER_MINUTE and CHATKIT_TOKENS_PER_DAY set some"
        yield Finding("limits", f"of a user: {limits}")
    if "none" in settings.auth and settings.allow_anonymous:
        yield Finding("limits", f"of an anonymous visitor: {_listed(settings, STRANGER)}")


def _listed(settings: Settings, context: RequestContext) -> str:
    limits = UserLimits(settings).of_turns(context).in_use()
    return ", ".join(f"{name.replace('_', ' ')} {limit}" for name, limit in limits.items())
