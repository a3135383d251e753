"""What a server that strangers can reach must have, and what its administrator should know."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from ..auth.signing_keys import is_guessable
from ..errors.setup import SetupError
from ..routes.origin import allowed_hosts, is_loopback_name
from ..settings import Settings

OPEN_ADDRESS = (
    "{host} can be reached by others, and CHATKIT_AUTH=none lets everybody who reaches it use the agent, its tools and "
    "the model. Log your users in with CHATKIT_AUTH=session, jwt, header or package.module:name; or set "
    "CHATKIT_ALLOW_ANONYMOUS=true, if anybody may use it, as on a public help page; or listen only on this "
    "machine with CHATKIT_HOST=127.0.0.1."
)

JWT_KEYS = ("jwt_issuer", "jwt_jwks_url", "jwt_public_key", "jwt_secret")
"""The settings that nobody makes without wanting a login by tokens."""


def refuse_unsafe_production(settings: Settings, *, has_login: bool = False) -> None:
    """Raise `SetupError` with a sentence for each setting that production lacks.

    `has_login` says that the app brings its own.
    """
    missing = list(production_demands(settings, has_login=has_login))
    if missing:
        sentences = "".join(f"\n- {sentence}" for sentence in missing)
        raise SetupError(f"CHATKIT_ENVIRONMENT=production is not safe with these settings:{sentences}")


def production_demands(settings: Settings, *, has_login: bool = False) -> Iterator[str]:
    """Yield a sentence for each setting that production lacks, which says what to write."""
    if settings.environment != "production":
        return
    if not settings.secrets:
        yield "Set CHATKIT_SECRETS to what `openssl rand -hex 32` prints: it signs cookies and the URLs of files."
    if not has_login and "none" in settings.auth and not settings.allow_anonymous:
        yield (
            "Set CHATKIT_AUTH to the way your users log in (session, jwt, header or package.module:name), or set "
            "CHATKIT_ALLOW_ANONYMOUS=true, if anybody may use the server without a login, as on a public help page."
        )
    if not settings.public_url:
        yield (
            "Set CHATKIT_PUBLIC_URL to the URL at which browsers reach the server, such as https://chat.example.com. "
            "The server answers to no other name, unless CHATKIT_ALLOWED_HOSTS lists it."
        )


def refuse_open_address(settings: Settings) -> None:
    """Raise `SetupError` if strangers would reach a server without a login, unless they are wanted."""
    if "none" in settings.auth and not settings.allow_anonymous and not is_loopback_name(settings.host):
        raise SetupError(OPEN_ADDRESS.format(host=settings.host))


def exposure_warnings(settings: Settings) -> list[str]:
    """Return what the administrator should know: of a login that is off, and of a server that others can reach."""
    if settings.environment == "development" and is_loopback_name(settings.host):
        return list(_unused_keys(settings))
    return [*_unused_keys(settings), *_weaknesses(settings)]


def _unused_keys(settings: Settings) -> Iterator[str]:
    names = [name for name in JWT_KEYS if getattr(settings, name)]
    if names and "jwt" not in settings.auth:
        auth = ",".join(settings.auth)
        yield f"CHATKIT_{names[0].upper()} is set, but CHATKIT_AUTH={auth} does not use it. Add `jwt` to CHATKIT_AUTH."


def _weaknesses(settings: Settings) -> Iterator[str]:
    if "*" in allowed_hosts(settings):
        yield (
            "The server answers under any name (CHATKIT_ALLOWED_HOSTS=*), so a web page could point a name of its own "
            "at it. Name the hosts instead."
        )
    if _is_plain_http(settings.public_url):
        yield (
            f"CHATKIT_PUBLIC_URL={settings.public_url} is not encrypted: everybody on the way can read messages and "
            "take over cookies. Put a proxy with a certificate in front, and use https://."
        )
    if "*" in settings.cors_origins:
        yield (
            "CHATKIT_CORS_ORIGINS=* lets pages of any origin call the server, and therefore ignores their cookies. "
            "Name the origins instead."
        )
    for name, secrets in (("CHATKIT_SECRETS", settings.secrets), ("CHATKIT_HEADER_SECRET", settings.header_secret)):
        if any(is_guessable(secret.get_secret_value()) for secret in secrets):
            yield (
                f"{name} has a value that can be guessed: whoever does can be any user. Put a new one, which "
                "`openssl rand -hex 32` prints, before it, and remove it soon."
            )
    if "jwt" in settings.auth and "*" in settings.jwt_audience:
        yield (
            "CHATKIT_JWT_AUDIENCE=* accepts tokens that users gave to other services of the issuer, which could use "
            "them here. Name this server's audience instead."
        )
    if settings.log_level == "DEBUG":
        yield "CHATKIT_LOG_LEVEL=DEBUG is for development: other packages may log more than you want. Use INFO."
    if settings.tracing:
        yield "CHATKIT_TRACING=true uploads all messages of your users to OpenAI as traces."


def _is_plain_http(url: str | None) -> bool:
    parts = urlsplit(url or "")
    return parts.scheme.lower() == "http" and not is_loopback_name(parts.hostname or "")
