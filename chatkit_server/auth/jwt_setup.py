"""From the settings of `jwt` to its login. Each mistake is one sentence."""

from collections.abc import Sequence
from pathlib import Path

from jwt import InvalidKeyError
from jwt.algorithms import HMACAlgorithm

from ..errors.setup import SetupError
from ..settings import Settings
from .claims import ClaimNames
from .jwks import IssuerKeys
from .jwt_login import FixedKeys, JwtLogin, Keys
from .jwt_verifier import Verifier
from .verification_keys import SECRET_BYTES, UnusableKey, VerificationKey, pem_keys

PUBLIC_KEY_ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
ANY = "*"


def open_jwt_login(settings: Settings) -> JwtLogin:
    """Return the login. Raises `SetupError`."""
    algorithms = _algorithms(settings)
    verifier = Verifier(algorithms, issuer=_issuer(settings), audience=_audience(settings), leeway=settings.jwt_leeway)
    claims = ClaimNames(
        user=settings.jwt_user_claim,
        tenant=settings.jwt_tenant_claim,
        name=settings.jwt_name_claim,
        roles=settings.jwt_roles_claim,
        admin_role=settings.admin_role,
    )
    return JwtLogin(_keys(settings, algorithms), verifier, claims)


def _algorithms(settings: Settings) -> Sequence[str]:
    is_secret = bool(settings.jwt_secret)
    chosen = settings.jwt_algorithms or (["HS256"] if is_secret else PUBLIC_KEY_ALGORITHMS)
    for algorithm in chosen:
        if (algorithm in SECRET_BYTES) != is_secret:
            kind = "a secret" if is_secret else "public keys"
            raise SetupError(f"CHATKIT_JWT_ALGORITHMS: {algorithm} does not go with {kind}.")
    return chosen


def _issuer(settings: Settings) -> str | None:
    if settings.jwt_issuer is None and settings.jwt_jwks_url is not None:
        raise SetupError(
            "CHATKIT_JWT_JWKS_URL needs CHATKIT_JWT_ISSUER, the `iss` of your tokens, because some issuers publish the "
            "same keys for all their customers; `*` accepts any."
        )
    return None if settings.jwt_issuer == ANY else settings.jwt_issuer


def _audience(settings: Settings) -> Sequence[str] | None:
    """Return what may be in `aud`: none of them means that tokens must not have one, None that they may have any.

    An issuer with published keys has other customers or services. Whoever has given this server a key of its own need
    not name an audience; RFC 7519 demands that a token for somebody else is refused nevertheless.
    """
    if not settings.jwt_audience and not settings.jwt_secret and settings.jwt_public_key is None:
        raise SetupError(
            "CHATKIT_AUTH=jwt needs CHATKIT_JWT_AUDIENCE, the `aud` of tokens for this server; `*` accepts any, which "
            "also lets in tokens that users gave to other services of the issuer."
        )
    return None if ANY in settings.jwt_audience else settings.jwt_audience


def _keys(settings: Settings, algorithms: Sequence[str]) -> Keys:
    sources = {
        "CHATKIT_JWT_JWKS_URL": settings.jwt_jwks_url,
        "CHATKIT_JWT_PUBLIC_KEY": settings.jwt_public_key,
        "CHATKIT_JWT_SECRET": settings.jwt_secret,
    }
    names = [name for name, value in sources.items() if value]
    if len(names) > 1:
        raise SetupError(f"{' and '.join(names)} are both set; tokens are verified with one of them.")
    if settings.jwt_public_key is not None:
        return FixedKeys(_public_keys(settings.jwt_public_key, algorithms))
    if settings.jwt_secret:
        return FixedKeys([_secret(secret.get_secret_value(), algorithms) for secret in settings.jwt_secret])
    if settings.jwt_jwks_url is None:
        _check_discovery(settings.jwt_issuer)
    return IssuerKeys(algorithms, issuer=settings.jwt_issuer, jwks_url=settings.jwt_jwks_url)


def _check_discovery(issuer: str | None) -> None:
    if issuer is None or issuer == ANY:
        raise SetupError(
            "CHATKIT_AUTH=jwt needs a key: set CHATKIT_JWT_ISSUER for OpenID Connect discovery, or "
            "CHATKIT_JWT_JWKS_URL, CHATKIT_JWT_PUBLIC_KEY or CHATKIT_JWT_SECRET."
        )
    if not issuer.startswith(("https://", "http://")):
        raise SetupError(
            f"CHATKIT_JWT_ISSUER={issuer} is not a URL to find its keys at; set CHATKIT_JWT_JWKS_URL, "
            "CHATKIT_JWT_PUBLIC_KEY or CHATKIT_JWT_SECRET."
        )


def _public_keys(value: str, algorithms: Sequence[str]) -> Sequence[VerificationKey]:
    pem = value.replace("\\n", "\n")  # as many tools write a PEM into one line
    if "-----BEGIN" not in pem:
        try:
            pem = Path(value).read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a text"
            raise SetupError(f"CHATKIT_JWT_PUBLIC_KEY is neither PEM nor a readable file: {reason}.") from error
    try:
        return pem_keys(pem, algorithms)
    except UnusableKey as error:
        raise SetupError(f"CHATKIT_JWT_PUBLIC_KEY {error}.") from None


def _secret(secret: str, algorithms: Sequence[str]) -> VerificationKey:
    value = secret.encode()
    least = max(SECRET_BYTES[algorithm] for algorithm in algorithms)
    if len(value) < least:
        raise SetupError(
            f"CHATKIT_JWT_SECRET has {len(value)} bytes; {' and '.join(algorithms)} need {least} or more "
            "(`openssl rand -hex 32` generates 64)."
        )
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(value)
    except InvalidKeyError:
        raise SetupError(
            "CHATKIT_JWT_SECRET is a key in PEM or JSON, not a secret; a public key belongs in CHATKIT_JWT_PUBLIC_KEY."
        ) from None
    return VerificationKey(value, frozenset(algorithms))
