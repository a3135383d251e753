"""Who may use the server, and from where."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from ...errors.setup import SetupError
from ...routes.origin import is_loopback_name
from ...services import Services
from ...settings import Settings
from ..exposure import exposure_warnings, production_demands, refuse_open_address
from .finding import Finding
from .limit_findings import examine_limits

LOGINS = {
    "none": "each browser is a user of its own",
    "session": "client secrets of POST /v1/chatkit/sessions",
    "jwt": "bearer tokens of an issuer",
    "header": "the user header of a trusted proxy",
}

UNKNOWN_PROXY = (
    "Only proxies on this machine are believed. If one is on another, or in another container, set "
    "CHATKIT_TRUSTED_PROXIES to its address: else all users have the proxy's, share its limits, and https is not seen."
)


async def examine_access(services: Services, settings: Settings) -> AsyncIterator[Finding]:
    """Yield what is to be said of the logins, the secrets, and the names and pages that may call the server."""
    for demand in production_demands(settings):
        yield Finding("access", demand, "WRONG")
    if settings.environment == "development":
        try:
            refuse_open_address(settings)
        except SetupError as error:
            yield Finding("access", str(error), "WRONG")
    for warning in exposure_warnings(settings):
        yield Finding("access", warning, "WARN")
    yield Finding("login", ", then ".join(_login(mode) for mode in settings.auth))
    for problem in await services.door.problems():
        yield Finding("login", problem, "WRONG")
    for finding in (*_secrets(settings), *_addresses(settings), *examine_limits(settings)):
        yield finding


def _login(mode: str) -> str:
    return f"{mode} ({LOGINS.get(mode, 'a login of your own')})"


def _secrets(settings: Settings) -> Iterator[Finding]:
    count = len(settings.secrets)
    if count > 1:
        text = f"{count} in CHATKIT_SECRETS: the first signs, the others are still accepted"
        yield Finding("secrets", text)
    elif count == 1:
        yield Finding("secrets", "one in CHATKIT_SECRETS")
    elif settings.environment == "development":
        yield Finding("secrets", f"one, in {settings.data_dir}")


def _addresses(settings: Settings) -> Iterator[Finding]:
    if settings.public_url:
        yield Finding(
            "public url", f"{settings.public_url}; `chatkit-server doctor --url {settings.public_url}` tries it"
        )
    if settings.allowed_hosts:
        yield Finding("hosts", ", ".join(settings.allowed_hosts))
    if settings.trusted_proxies:
        yield Finding("proxies", ", ".join(settings.trusted_proxies))
    elif settings.environment == "production" and not is_loopback_name(settings.host) and not settings.header_secret:
        yield Finding("proxies", UNKNOWN_PROXY, "WARN")
    if settings.environment == "production" and is_loopback_name(urlsplit(settings.public_url or "").hostname or ""):
        yield Finding("public url", f"{settings.public_url} leads browsers to their own machine, not here", "WARN")
    if settings.cors_origins:
        yield Finding("origins", ", ".join(settings.cors_origins))
    if settings.public_url and "none" in settings.auth:
        for origin in settings.cors_origins:
            if is_other_site(origin, settings.public_url):
                yield Finding(
                    "origins",
                    f"{origin} is another site than {settings.public_url}: browsers do not send the cookie from there, "
                    "so each request comes from a new user. Use another login than CHATKIT_AUTH=none, or one domain.",
                    "WARN",
                )


def is_other_site(origin: str, url: str) -> bool:
    """Return whether two addresses are certainly different sites for a browser, which then keeps its Lax cookies."""
    first, second = urlsplit(origin), urlsplit(url)
    if not first.hostname or not second.hostname:
        return False
    return first.scheme != second.scheme or first.hostname.split(".")[-2:] != second.hostname.split(".")[-2:]
