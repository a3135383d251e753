"""The keys that verify tokens, and which of them may verify which token."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK, PyJWTError
from pydantic import BaseModel, ValidationError

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""RFC 7518, section 3.2: a secret is at least as long as the hash."""
MIN_RSA_BITS = 2048
PEM_BLOCK = re.compile(r"-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)
MAX_KEYS = 100
"""How many keys of an issuer are looked at."""
MAX_TRIES = 8
"""How many keys a token without `kid` is tried with."""


class UnusableKey(Exception):
    """A key that must not verify tokens. The message continues "the key "."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and what it may verify: the algorithm is the key's to choose, never the token's."""

    value: PublicKey | bytes
    algorithms: frozenset[str]
    kid: str | None = None
    """None fits a token with any `kid`, as a token without one fits any key."""


class KeySet:
    """The keys in use. It never changes: new keys are a new set."""

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self.keys = tuple(keys)

    def fitting(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the keys that may verify a token with this header."""
        return [
            key
            for key in self.keys
            if algorithm in key.algorithms and (kid is None or key.kid is None or key.kid == kid)
        ][:MAX_TRIES]


class _Jwk(BaseModel):
    """The members of a published key that we look at."""

    kty: Literal["RSA", "EC", "OKP"]  # not `oct`: a published secret is none
    kid: str | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    d: str | None = None
    n: str | None = None
    e: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None


def algorithms_of(key: object) -> frozenset[str]:
    """Return the algorithms that a public key can verify."""
    match key:
        case RSAPublicKey():
            return RSA_ALGORITHMS
        case EllipticCurvePublicKey():
            return frozenset({CURVE_ALGORITHMS.get(key.curve.name, "")} - {""})
        case Ed25519PublicKey() | Ed448PublicKey():
            return frozenset({"EdDSA"})
    return frozenset()


def verification_key(key: object, allowed: Collection[str], kid: str | None = None) -> VerificationKey:
    """Return what a public key may verify. Raises `UnusableKey` if that is nothing."""
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise UnusableKey(f"has {key.key_size} bits, fewer than {MIN_RSA_BITS}")
    algorithms = algorithms_of(key) & frozenset(allowed)
    if not algorithms or not isinstance(key, PublicKey):
        raise UnusableKey("fits none of the allowed algorithms")
    return VerificationKey(key, algorithms, kid)


def published_keys(jwks: object, allowed: Collection[str]) -> tuple[KeySet, list[str]]:
    """Return the keys of a JWKS that may verify tokens, and why others may not."""
    members = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(members, list):
        raise UnusableKey("set has no list of keys")
    keys, problems = [], []
    for member in members[:MAX_KEYS]:
        try:
            keys.append(_published_key(member, allowed))
        except UnusableKey as error:
            problems.append(str(error))
    return KeySet(keys), problems


def _published_key(member: object, allowed: Collection[str]) -> VerificationKey:
    try:
        jwk = _Jwk.model_validate(member)
    except ValidationError:
        raise UnusableKey("is not of a known type") from None
    if jwk.use not in (None, "sig") or (jwk.key_ops is not None and "verify" not in jwk.key_ops):
        raise UnusableKey("is for another use")
    if jwk.d is not None:
        raise UnusableKey("is a private key: whoever reads it can sign tokens")
    if jwk.alg is not None:
        allowed = {jwk.alg} & set(allowed)
    try:
        key = PyJWK(jwk.model_dump(exclude_none=True, exclude={"alg"})).key
    except (PyJWTError, ValueError, UnsupportedAlgorithm):
        raise UnusableKey("cannot be read") from None
    return verification_key(key, allowed, jwk.kid)


def pem_keys(pem: str, allowed: Collection[str]) -> list[VerificationKey]:
    """Return the public keys and certificates of a PEM text. Raises `UnusableKey` if one must not be used."""
    blocks = PEM_BLOCK.findall(pem)
    if not blocks:
        raise UnusableKey("is not a public key or certificate in PEM")
    return [verification_key(_read_pem(block.encode()), allowed) for block in blocks]


def _read_pem(block: bytes) -> object:
    if b"PRIVATE KEY" in block:
        raise UnusableKey("is a private key, which belongs to the issuer alone; use its public key")
    try:
        if b"BEGIN CERTIFICATE" in block:
            return x509.load_pem_x509_certificate(block).public_key()
        return load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey("is not a public key or certificate in PEM") from None
