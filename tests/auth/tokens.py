"""Tokens for tests: signed by a real key, and forged in every way that we know of."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import get_default_algorithms

Json = dict[str, Any]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

ISSUER = "https://login.example"
AUDIENCE = "chat"
SECRET = "a secret of an issuer, of 32 bytes or more"
"""For HS256."""
LIFETIME = 6 * 3600
"""Seconds. Some tokens are made when the tests are collected, and used at the end of a long run."""


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a new key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class TokenIssuer:
    """Signs tokens with one key."""

    kid: str | None = "key-1"
    algorithm: str = "RS256"
    key: PrivateKey = field(default_factory=rsa_key)
    issuer: str = ISSUER
    audience: str | list[str] = AUDIENCE

    def claims(self, user: str = "alice", **changes: Any) -> Json:
        """Return the claims of a valid token; a change to None removes a claim."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": self.audience, "sub": user, "iat": now, "exp": now + LIFETIME} | changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, user: str = "alice", header: Json | None = None, **changes: Any) -> str:
        """Return a token that the issuer signed, with changes to its header and claims."""
        return self.signed(encode(self.header(**(header or {}))), encode(self.claims(user, **changes)))

    def header(self, **changes: Any) -> Json:
        """Return the header of a token; a change to None removes a member."""
        header = {"typ": "JWT", "alg": self.algorithm, "kid": self.kid} | changes
        return {name: value for name, value in header.items() if value is not None}

    def signed(self, header: bytes, payload: bytes) -> str:
        """Return a token of any bytes, with a signature that is right."""
        algorithm = get_default_algorithms()[self.algorithm]
        return joined(header, payload, lambda data: algorithm.sign(data, self.key))

    @cached_property
    def public_pem(self) -> str:
        """The public key as PEM."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @cached_property
    def private_pem(self) -> str:
        """The private key as PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def jwk(self, *, private: bool = False, **changes: Any) -> Json:
        """Return the key as a member of a JWKS; a change to None removes a member."""
        key = self.key if private else self.key.public_key()
        algorithm: Any = get_default_algorithms()[self.algorithm]
        members = algorithm.to_jwk(key, as_dict=True)
        members = {name: value for name, value in members.items() if name != "key_ops"}
        members |= {"kid": self.kid, "alg": self.algorithm, "use": "sig"} | changes
        return {name: value for name, value in members.items() if value is not None}


def forged_tokens(issuer: TokenIssuer, other: TokenIssuer, user: str = "alice") -> dict[str, str]:
    """Return tokens for `user` that no server which trusts `issuer` (an RSA key) may accept, by what is wrong.

    `other` is a second key of the same issuer's JWKS.
    """
    now = int(time.time())
    stranger = TokenIssuer(kid=issuer.kid)
    valid = issuer.token(user)
    header, payload, signature = valid.split(".")
    pem = issuer.public_pem.encode()
    hs_header = encode(issuer.header(alg="HS256"))
    own_key = stranger.jwk()
    return {
        "alg none": joined(encode(issuer.header(alg="none")), encode(issuer.claims(user)), lambda data: b""),
        "alg None": joined(encode(issuer.header(alg="None")), encode(issuer.claims(user)), lambda data: b""),
        "no alg": issuer.token(user, {"alg": None}),
        "alg null": issuer.signed(b'{"alg": null, "kid": "key-1"}', encode(issuer.claims(user))),
        "alg a list": issuer.signed(b'{"alg": ["RS256"], "kid": "key-1"}', encode(issuer.claims(user))),
        "HS256 with the public key": joined(hs_header, encode(issuer.claims(user)), hs256(pem)),
        "HS256 with the public key stripped": joined(hs_header, encode(issuer.claims(user)), hs256(pem.strip())),
        "HS256 with an empty key": joined(hs_header, encode(issuer.claims(user)), hs256(b"")),
        "HS256 with the modulus": joined(hs_header, encode(issuer.claims(user)), hs256(issuer.jwk()["n"].encode())),
        "no signature": f"{header}.{payload}.",
        "a signature of another token": f"{header}.{b64(encode(issuer.claims('mallory')))}.{signature}",
        "a changed signature": f"{header}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "a cut signature": f"{header}.{payload}.{signature[:-4]}",
        "another key": stranger.token(user),
        "another key without kid": stranger.token(user, {"kid": None}),
        "swapped kid": other.token(user, {"kid": issuer.kid}),
        "the other kid": issuer.token(user, {"kid": other.kid}),
        "unknown kid": issuer.token(user, {"kid": "no such key"}),
        "kid a path": stranger.token(user, {"kid": "../../dev/null"}),
        "kid a number": issuer.token(user, {"kid": 1}),
        "its own key in jwk": stranger.token(user, {"jwk": own_key, "kid": None}),
        "its own key by jku": stranger.token(user, {"jku": "https://mallory.example/jwks", "kid": "mallory"}),
        "expired": issuer.token(user, exp=now - 3600),
        "not yet valid": issuer.token(user, nbf=now + 3600),
        "issued in the future": issuer.token(user, iat=now + 3600),
        "no exp": issuer.token(user, exp=None),
        "exp a text": issuer.token(user, exp=str(now + 600)),
        "exp true": issuer.token(user, exp=True),
        "exp infinite": issuer.signed(encode(issuer.header()), _with(issuer, user, b'"exp": 1e999')),
        "exp of 400 digits": issuer.signed(encode(issuer.header()), _with(issuer, user, b'"exp": 1' + b"0" * 400)),
        "exp not a number": issuer.signed(encode(issuer.header()), _with(issuer, user, b'"exp": NaN')),
        "exp huge": issuer.signed(encode(issuer.header()), _with(issuer, user, b'"exp": 1' + b"0" * 5000)),
        "nbf a list": issuer.token(user, nbf=[now]),
        "another audience": issuer.token(user, aud="billing"),
        "no audience": issuer.token(user, aud=None),
        "audience a prefix": issuer.token(user, aud=AUDIENCE[:-1]),
        "audience in other letters": issuer.token(user, aud=AUDIENCE.upper()),
        "audience an object": issuer.token(user, aud={AUDIENCE: True}),
        "audiences not texts": issuer.token(user, aud=[AUDIENCE, 1]),
        "another issuer": issuer.token(user, iss="https://mallory.example"),
        "issuer with a slash": issuer.token(user, iss=f"{issuer.issuer}/"),
        "issuers in a list": issuer.token(user, iss=[issuer.issuer]),
        "no issuer": issuer.token(user, iss=None),
        "no user": issuer.token(user, sub=None),
        "user empty": issuer.token(user, sub=""),
        "user blank": issuer.token(user, sub="  "),
        "user true": issuer.token(user, sub=True),
        "user a fraction": issuer.token(user, sub=1.5),
        "user a list": issuer.token(user, sub=[user]),
        "user an object": issuer.token(user, sub={"id": user}),
        "user too long": issuer.token(user, sub="a" * 5000),
        "user with NUL": issuer.token(user, sub=f"{user}\0"),
        "user with half a character": issuer.token(user, sub=f"{user}\ud800"),
        "user with a replaced character": issuer.token(user, sub=f"{user}\ufffd"),
        "user twice": issuer.signed(encode(issuer.header()), _with(issuer, "mallory", b'"sub": ' + encode(user))),
        "audience twice": issuer.signed(encode(issuer.header()), _with(issuer, user, b'"aud": ["x", "chat"]')),
        "exp twice": issuer.signed(
            encode(issuer.header()), _with(issuer, user, f'"exp": {now + 60}, "exp": {now + 900}'.encode())
        ),
        "alg twice": issuer.signed(b'{"alg": "none", "alg": "RS256", "kid": "key-1"}', encode(issuer.claims(user))),
        "kid twice": issuer.signed(b'{"alg": "RS256", "kid": "x", "kid": "key-1"}', encode(issuer.claims(user))),
        "twice in an object inside": issuer.signed(
            encode(issuer.header()), _with(issuer, user, b'"realm_access": {"roles": [], "roles": ["admin"]}')
        ),
        "crit": issuer.token(user, {"crit": ["exp"], "exp": 0}),
        "crit b64": issuer.token(user, {"crit": ["b64"], "b64": True}),
        "crit empty": issuer.token(user, {"crit": []}),
        "b64 false": issuer.token(user, {"b64": False}),
        "another type": issuer.token(user, {"typ": "logout+jwt"}),
        "header a list": issuer.signed(b'["RS256"]', encode(issuer.claims(user))),
        "header not JSON": issuer.signed(b"RS256", encode(issuer.claims(user))),
        "header not UTF-8": issuer.signed(b'{"alg": "RS256\xff"}', encode(issuer.claims(user))),
        "header deep": issuer.signed(b'{"a":' + b"[" * 9000, encode(issuer.claims(user))),
        "payload a list": issuer.signed(encode(issuer.header()), encode([user])),
        "payload not JSON": issuer.signed(encode(issuer.header()), b"alice"),
        "payload deep": issuer.signed(encode(issuer.header()), b'{"a":' + b"[" * 9000),
        "payload empty": issuer.signed(encode(issuer.header()), b""),
        "too long": issuer.token(user, padding="x" * 40_000),
        "two dots": "..",
        "one part": valid.replace(".", ""),
        "four parts": f"{valid}.{signature}",
        "five parts, as an encrypted token": f"{header}.{payload}.{signature}.{payload}.{signature}",
        "a space inside": f"{header}. {payload}.{signature}",
        "JSON serialization": json.dumps({"protected": header, "payload": payload, "signature": signature}),
        "not ASCII": valid[:-1] + "é",
        "words": "let-me-in",
        "base64 junk": "!!!!.????.####",
    }


def joined(header: bytes, payload: bytes, sign: Callable[[bytes], bytes]) -> str:
    """Return a token of these bytes with the signature that `sign` makes."""
    signed_part = f"{b64(header)}.{b64(payload)}"
    return f"{signed_part}.{b64(sign(signed_part.encode()))}"


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    """Return a function that signs with a secret."""
    return lambda data: hmac.digest(secret, data, "sha256")


def encode(value: Any) -> bytes:
    """Return JSON."""
    return json.dumps(value).encode()


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _with(issuer: TokenIssuer, user: str, members: bytes) -> bytes:
    """Return the payload of a valid token with further members, perhaps a second time."""
    return encode(issuer.claims(user))[:-1] + b", " + members + b"}"
