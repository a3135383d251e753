"""Warn of a server that strangers can reach."""

from ..routes.origin import allowed_hosts, is_loopback_name
from ..settings import Settings


def exposure_warnings(settings: Settings) -> list[str]:
    """Return what the administrator of a server that is not only for this machine should know."""
    if settings.environment == "development" and is_loopback_name(settings.host):
        return []
    warnings = []
    if "none" in settings.auth:
        warnings.append(
            "ANYONE WHO REACHES THIS SERVER CAN USE IT: its agent, its tools and its model, without a login "
            "(CHATKIT_AUTH=none). Put a proxy with a login in front of it, or let only trusted networks reach it. "
            "CHATKIT_RUNNING_TURNS, CHATKIT_NEW_USERS_PER_MINUTE and CHATKIT_ATTACHMENTS_NEW_USERS limit the use."
        )
    if "*" in allowed_hosts(settings):
        warnings.append(
            "The server answers under any name, so a web page could point a name of its own at it. Set "
            "CHATKIT_PUBLIC_URL or CHATKIT_ALLOWED_HOSTS."
        )
    return warnings
