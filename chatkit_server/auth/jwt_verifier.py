"""Check a token: its form, its signature, and the claims that say for whom and until when.

PyJWT checks signatures and registered claims. Refused before that, because PyJWT (2.15) accepts it or leaves it to us:
members that occur twice, of which other software may read the other one; `exp` as text; types of other tokens, such as
`logout+jwt`; extensions (`crit`).
"""

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from ..errors.http import NotAuthenticated
from .verification_keys import VerificationKey

MAX_TOKEN = 16_384
"""Characters. More is refused before any work."""
MAX_KID = 256
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
TIMES = ("exp", "nbf", "iat")
MAX_TIME = 2**53
"""Seconds. PyJWT fails on a number that is no float, and on one that is not finite."""
SHOWN = 80
"""How many characters of a value of a token the log shows."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a token asks for."""

    algorithm: str
    kid: str | None


def refused(reason: str) -> NotAuthenticated:
    """Return the error of a token; only the log gets the reason."""
    return NotAuthenticated(reason=f"jwt: {reason}")


class Verifier:
    """Checks tokens against what the settings demand."""

    def __init__(
        self, algorithms: Sequence[str], *, issuer: str | None, audience: Sequence[str] | None, leeway: float
    ) -> None:
        """None for `issuer` or `audience` accepts any; an empty `audience` accepts tokens without one only."""
        self.algorithms = tuple(algorithms)
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway
        self._decoder = _Decoder()

    def header(self, token: str) -> Header:
        """Return the header of a token. Raises `NotAuthenticated` if no key could make the token valid."""
        if len(token) > MAX_TOKEN:
            raise refused("too long")
        if token.count(".") != 2 or not token.isascii():
            raise refused("malformed")
        header = _segment(token, 0)
        algorithm, kid, type_ = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if not isinstance(algorithm, str) or algorithm not in self.algorithms:
            raise refused(f"algorithm {_shown(algorithm)} is not allowed, only {', '.join(self.algorithms)}")
        if "crit" in header or "b64" in header:
            raise refused("extensions (crit, b64) are not supported")
        if not isinstance(type_, str) or type_.lower() not in TYPES:
            raise refused(f"type {_shown(type_)} is not that of an access token")
        if not isinstance(kid, str | None) or len(kid or "") > MAX_KID:
            raise refused("malformed kid")
        return Header(algorithm, kid)

    def claims(self, token: str, header: Header, keys: Sequence[VerificationKey]) -> Json:
        """Return the claims of a token that one of the keys has signed. Raises `NotAuthenticated`."""
        for key in keys:
            try:
                return self._decode(token, header.algorithm, key)
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError as error:
                raise self._refusal(token, error) from None
        key_name = "the key or secret" if header.kid is None else f"key {_shown(header.kid)}"
        raise refused(f"the signature is not that of {key_name}")

    def _decode(self, token: str, algorithm: str, key: VerificationKey) -> Json:
        return self._decoder.decode(
            token,
            key.value,
            algorithms=[algorithm],
            audience=self._audience or None,
            issuer=self._issuer,
            leeway=self._leeway,
            options={
                "require": ["exp"],
                "verify_aud": self._audience is not None,
                "verify_sub": False,  # claims.py reads the user's claim, which may be a number
                "verify_jti": False,
                "enforce_minimum_key_length": True,
            },
        )

    def _refusal(self, token: str, error: jwt.PyJWTError) -> NotAuthenticated:
        match error:
            case jwt.ExpiredSignatureError():
                return refused(f"expired {time.time() - _segment(token, 1)['exp']:.0f} s ago")
            case jwt.ImmatureSignatureError():
                return refused("not yet valid: are the clocks of issuer and server right?")
            case jwt.InvalidAudienceError() if not self._audience:
                return refused(f"audience {_shown(_segment(token, 1).get('aud'))}, but CHATKIT_JWT_AUDIENCE names none")
            case jwt.InvalidAudienceError():
                return refused(f"audience {_shown(_segment(token, 1).get('aud'))} is not {_shown(self._audience)}")
            case jwt.InvalidIssuerError():
                return refused(f"issuer {_shown(_segment(token, 1).get('iss'))} is not {_shown(self._issuer)}")
            case jwt.MissingRequiredClaimError():
                return refused(f"has no {error.claim}")
        return refused("malformed")


class _Decoder(jwt.PyJWT):
    """PyJWT with a strict reading of the claims: the hook that its documentation offers for that."""

    def _decode_payload(self, decoded: dict[str, Any]) -> Json:
        claims = _load(decoded["payload"])
        for name in TIMES:
            if name in claims and not _is_time(claims[name]):
                raise refused(f"{name} is not a time")
        return claims


def _segment(token: str, index: int) -> Json:
    segment = token.split(".")[index]
    try:
        return _load(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except ValueError:
        raise refused("malformed") from None


def _load(data: bytes) -> Json:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise refused("malformed") from None
    if not isinstance(value, dict):
        raise refused("malformed")
    return value


def _each_once(members: list[tuple[str, Any]]) -> Json:
    value = dict(members)
    if len(value) != len(members):
        raise refused("a member occurs twice")
    return value


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -MAX_TIME < value < MAX_TIME


def _shown(value: object) -> str:
    """Return a value of a token for the log: on one line and not long."""
    text = ascii(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
