"""The login mode `jwt`: which tokens are valid, whom they name, and what is wrong with the others."""

import asyncio
import contextlib
import datetime
import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from chatkit_server import NotAuthenticated, User
from chatkit_server.auth import jwt_login, open_door
from chatkit_server.auth.jwt_login import JwtLogin
from chatkit_server.auth.jwt_setup import open_jwt_login
from chatkit_server.errors.setup import SetupError
from chatkit_server.settings import Settings
from tests.auth.tokens import (
    AUDIENCE,
    ISSUER,
    SECRET,
    TokenIssuer,
    encode,
    forged_tokens,
    hs256,
    joined,
    rsa_key,
)
from tests.auth.tokens import b64 as base64url
from tests.serving import make_settings

ISSUERS = {
    "RS256": TokenIssuer(),
    "PS256": TokenIssuer("ps", "PS256"),
    "ES256": TokenIssuer("es", "ES256", ec.generate_private_key(ec.SECP256R1())),
    "ES384": TokenIssuer("es3", "ES384", ec.generate_private_key(ec.SECP384R1())),
    "EdDSA": TokenIssuer("ed", "EdDSA", ed25519.Ed25519PrivateKey.generate()),
}
RSA = ISSUERS["RS256"]
FORGED = forged_tokens(RSA, ISSUERS["PS256"])


def jwt_settings(folder: Path = Path("unused"), **values: Any) -> Settings:
    """Return settings for tokens of `RSA`, by its public key; a None removes a setting."""
    defaults: dict[str, Any] = {
        "auth": "jwt",
        "jwt_public_key": RSA.public_pem,
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
    }
    return make_settings(folder, **{name: value for name, value in (defaults | values).items() if value is not None})


def login(**values: Any) -> JwtLogin:
    """Return the login of `jwt_settings`."""
    return open_jwt_login(jwt_settings(**values))


def connection(authorization: str | None) -> HTTPConnection:
    """Return a request with an `Authorization` header."""
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1", "replace"))]
    return HTTPConnection({"type": "http", "headers": headers, "state": {"request_id": "req_test"}})


async def user_of(token: str, **values: Any) -> User:
    """Return the user of a token."""
    user = await login(**values)(connection(f"Bearer {token}"))
    assert user is not None
    return user


async def reason_of(token: str, **values: Any) -> str:
    """Return why a token is refused."""
    with pytest.raises(NotAuthenticated) as caught:
        await user_of(token, **values)
    assert token not in caught.value.reason
    assert caught.value.message == NotAuthenticated.default_message
    return caught.value.reason


# Valid tokens


@pytest.mark.parametrize("issuer", ISSUERS.values(), ids=ISSUERS)
async def test_a_token_names_its_user(issuer: TokenIssuer) -> None:
    assert await user_of(issuer.token("alice"), jwt_public_key=issuer.public_pem) == User("alice")


async def test_a_token_of_a_shared_secret_names_its_user() -> None:
    token = joined(b'{"alg": "HS256"}', encode(RSA.claims("alice")), hs256(SECRET.encode()))
    assert await user_of(token, jwt_public_key=None, jwt_secret=[SECRET]) == User("alice")
    assert "signature" in await reason_of(token, jwt_public_key=None, jwt_secret=[SECRET[::-1]])


@pytest.mark.parametrize("issuer", ISSUERS.values(), ids=ISSUERS)
@pytest.mark.parametrize("signature", [b"", b"x", b"x" * 63, b"x" * 64, bytes(64), bytes(96), b"x" * 256, bytes(1000)])
async def test_any_bytes_are_no_signature(issuer: TokenIssuer, signature: bytes) -> None:
    token = f"{issuer.token().rpartition('.')[0]}.{base64url(signature)}"
    assert "signature" in await reason_of(token, jwt_public_key=issuer.public_pem)


async def test_an_old_key_or_secret_is_valid_until_the_settings_drop_it() -> None:
    new = TokenIssuer("key-2")
    keys = f"{new.public_pem}\n{certificate()}"
    for issuer in (RSA, new):
        assert await user_of(issuer.token("alice"), jwt_public_key=keys) == User("alice")
    secrets = [f"{SECRET} (old)", SECRET]
    for secret in secrets:
        token = joined(b'{"alg": "HS256"}', encode(RSA.claims("alice")), hs256(secret.encode()))
        assert await user_of(token, jwt_public_key=None, jwt_secret=json.dumps(secrets)) == User("alice")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer ek_abc.def.ghi"])
async def test_other_credentials_are_left_to_other_logins(authorization: str | None) -> None:
    assert await login()(connection(authorization)) is None


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["billing", AUDIENCE]])
async def test_the_audience_is_one_of_the_tokens(audience: object) -> None:
    assert await user_of(RSA.token(aud=audience)) == User("alice")


async def test_the_audience_is_one_of_the_settings() -> None:
    assert await user_of(RSA.token(aud="https://api.example/"), jwt_audience="chat,https://api.example/")
    assert "audience" in await reason_of(RSA.token(aud="https://api.example"), jwt_audience="https://api.example/")


async def test_any_audience_and_issuer_on_demand() -> None:
    token = RSA.token(aud=None, iss=None)
    assert await user_of(token, jwt_audience="*", jwt_issuer="*") == User("alice")
    assert await user_of(RSA.token(aud="billing"), jwt_audience="*") == User("alice")


async def test_with_a_key_of_ones_own_and_no_audience_a_token_must_have_none() -> None:
    assert await user_of(RSA.token(aud=None), jwt_audience=None) == User("alice")
    for audience in ("billing", ["chat", "billing"]):
        reason = await reason_of(RSA.token(aud=audience), jwt_audience=None)
        assert "CHATKIT_JWT_AUDIENCE names none" in reason, audience


@pytest.mark.parametrize("type_", [None, "JWT", "jwt", "at+jwt", "application/at+jwt"])
async def test_a_token_is_an_access_token(type_: str | None) -> None:
    assert await user_of(RSA.token(header={"typ": type_})) == User("alice")


async def test_clocks_may_differ_by_the_leeway() -> None:
    now = int(time.time())
    late, early = RSA.token(exp=now - 60), RSA.token(nbf=now + 60, iat=now + 60)
    for token in late, early:
        assert await user_of(token, jwt_leeway=120) == User("alice")
        assert await reason_of(token, jwt_leeway=0)


async def test_a_token_without_kid_and_one_with_any_kid_fit_the_key_of_the_settings() -> None:
    assert await user_of(RSA.token(header={"kid": None})) == User("alice")
    assert await user_of(RSA.token(header={"kid": "any"})) == User("alice")


# Forged and broken tokens


@pytest.mark.parametrize("name", [name for name in FORGED if "kid" not in name or name in ("swapped kid", "kid twice")])
async def test_a_forged_token_is_refused(name: str) -> None:
    reason = await reason_of(FORGED[name])
    assert reason.startswith(("jwt: ", "the user's id or tenant"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alg none", "algorithm 'none' is not allowed, only RS256, PS256"),
        ("HS256 with the public key", "algorithm 'HS256' is not allowed"),
        ("expired", r"expired \d{4} s ago"),
        ("not yet valid", "not yet valid"),
        ("issued in the future", "not yet valid"),
        ("no exp", "has no exp"),
        ("exp a text", "exp is not a time"),
        ("another audience", r"audience 'billing' is not \['chat'\]"),
        ("no audience", "has no aud"),
        ("another issuer", "issuer 'https://mallory.example' is not 'https://login.example'"),
        ("another key", "the signature is not that of key 'key-1'"),
        ("user twice", "a member occurs twice"),
        ("alg twice", "a member occurs twice"),
        ("crit", "extensions"),
        ("another type", "type 'logout.jwt' is not"),
        ("no user", "claim sub is missing"),
        ("too long", "too long"),
        ("words", "malformed"),
    ],
)
async def test_the_log_says_why(name: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    door = open_door(jwt_settings())
    request = connection(f"Bearer {FORGED[name]}")
    with pytest.raises(NotAuthenticated):
        await door.authenticate(request)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("chatkit_server.auth.door", "INFO")
    assert re.search(f"^not logged in: jwt: {reason}", record.message)
    assert FORGED[name].split(".")[-1] not in record.message or name == "alg none"


async def test_a_value_of_a_token_cannot_forge_a_line_of_the_log() -> None:
    reason = await reason_of(RSA.token(header={"alg": "x\nINFO logged in: alice" + "y" * 200}))
    assert "\n" not in reason
    assert len(reason) < 200


LOGIN = login()
VALID = RSA.token()
PARTS = VALID.split(".")


@given(
    st.one_of(
        st.text(max_size=300),
        st.lists(st.sampled_from([*PARTS, "", "e30", "bnVsbA", "W10", "="]), max_size=5).map(".".join),
        st.tuples(st.binary(max_size=60), st.binary(max_size=60)).map(
            lambda two: f"{base64url(two[0])}.{base64url(two[1])}.{PARTS[2]}"
        ),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists).map(
            lambda value: RSA.token(header={"alg": value, "kid": value, "typ": value})
        ),
        st.dictionaries(
            st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "name"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
        ).map(lambda claims: RSA.signed(encode(RSA.header()), encode(RSA.claims() | claims))),
        st.tuples(st.integers(0, len(VALID) - 1), st.characters()).map(
            lambda change: VALID[: change[0]] + change[1] + VALID[change[0] + 1 :]
        ),
    )
)
async def test_no_token_is_an_error_of_the_server(token: str) -> None:
    """Any text is refused, or is the token of a user."""
    with contextlib.suppress(NotAuthenticated):
        await LOGIN(connection(f"Bearer {token}"))


# Claims


@pytest.mark.parametrize(
    ("claim", "claims", "user"),
    [
        ("sub", {}, "alice"),
        ("email", {"email": "alice@example.com"}, "alice@example.com"),
        ("account.id", {"account": {"id": 42}}, "42"),
        ("https://app.example/id", {"https://app.example/id": "a1"}, "a1"),
        ("app.example.id", {"app.example": {"id": "a1"}}, "a1"),
        ("a.b", {"a.b": "outer", "a": {"b": "inner"}}, "outer"),
        ("sub", {"sub": 7}, "7"),
        ("sub", {"sub": "日本 語"}, "日本 語"),
    ],
)
async def test_the_user_is_a_claim(claim: str, claims: dict[str, Any], user: str) -> None:
    assert (await user_of(RSA.token(**claims), jwt_user_claim=claim)).id == user


async def test_the_tenant_is_a_claim_and_demanded_if_set() -> None:
    assert (await user_of(RSA.token(org={"id": "acme"}), jwt_tenant_claim="org.id")).tenant == "acme"
    assert "claim org_id is missing" in await reason_of(RSA.token(), jwt_tenant_claim="org_id")
    values: list[object] = ["", " ", True, ["acme"], {}]
    for value in values:
        assert "claim org_id" in await reason_of(RSA.token(org_id=value), jwt_tenant_claim="org_id")
    assert (await user_of(RSA.token(org_id="acme"))).tenant == ""


async def test_the_name_is_a_claim_and_never_a_reason_to_refuse() -> None:
    assert (await user_of(RSA.token(name="Alice\n Smith"))).name == "Alice Smith"
    assert (await user_of(RSA.token(nick="Al"), jwt_name_claim="nick")).name == "Al"
    values: list[object] = [None, "", 3, ["Alice"]]
    for value in values:
        assert (await user_of(RSA.token(name=value))).name is None


@pytest.mark.parametrize(
    ("claim", "claims", "is_admin"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["user", "admin"]}}, True),
        ("realm_access.roles", {"realm_access": {"roles": ["user", "administrator"]}}, False),
        ("https://app.example/roles", {"https://app.example/roles": ["admin"]}, True),
        ("scope", {"scope": "openid admin"}, True),
        ("scope", {"scope": "openid not-admin"}, False),
        ("role", {"role": "admin"}, True),
        ("role", {"role": "ADMIN"}, False),
        ("roles", {"roles": {"admin": True}}, False),
        ("roles", {"roles": [["admin"], {"admin": 1}, None, 1]}, False),
        ("roles", {}, False),
        (None, {"roles": ["admin"]}, False),
    ],
)
async def test_a_role_makes_an_admin(claim: str | None, claims: dict[str, Any], is_admin: bool) -> None:
    user = await user_of(RSA.token(**claims), jwt_roles_claim=claim, admin_role="admin")
    assert user.is_admin is is_admin


async def test_nobody_is_an_admin_without_the_setting() -> None:
    assert not (await user_of(RSA.token(roles=["admin", None, ""]), jwt_roles_claim="roles")).is_admin


# Verified tokens are remembered


class Counting:
    """Counts signatures that are checked."""

    def __init__(self, subject: JwtLogin, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        check = subject._verifier.claims

        def counted(*args: Any) -> Any:
            self.count += 1
            return check(*args)

        monkeypatch.setattr(subject._verifier, "claims", counted)


async def test_a_token_is_checked_once_in_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = login()
    checks = Counting(subject, monkeypatch)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    request = connection(f"Bearer {RSA.token(exp=int(now) + 3600)}")
    for _ in range(3):
        assert await subject(request) == User("alice")
    assert checks.count == 1
    now += 61
    assert await subject(request) == User("alice")
    assert checks.count == 2


async def test_a_remembered_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = login(jwt_leeway=0)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    request = connection(f"Bearer {RSA.token(exp=int(now) + 30)}")
    await subject(request)
    now += 31
    assert subject._verified.user(next(iter(subject._verified._users)), subject._keys.known) is None


async def test_few_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_login, "CACHED_TOKENS", 3)
    subject = login()
    checks = Counting(subject, monkeypatch)
    requests = [connection(f"Bearer {RSA.token(f'user {number}')}") for number in range(5)]
    for request in requests:
        await subject(request)
    assert len(subject._verified._users) == 3
    await subject(requests[4])
    assert checks.count == 5
    await subject(requests[0])
    assert checks.count == 6


async def test_a_refused_token_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = login()
    for _ in range(2):
        with pytest.raises(NotAuthenticated):
            await subject(connection(f"Bearer {FORGED['expired']}"))
    assert not subject._verified._users


# Mistakes in the settings


def certificate() -> str:
    """Return a certificate of the key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "login.example")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, RSA.key.public_key(), 1, start, start.replace(year=2036))
    return builder.sign(RSA.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


async def test_a_public_key_is_pem_or_a_file_or_a_certificate(tmp_path: Path) -> None:
    file = tmp_path / "issuer.pem"
    file.write_text(RSA.public_pem, encoding="ascii")
    for key in (str(file), RSA.public_pem.replace("\n", "\\n"), certificate()):
        assert await user_of(RSA.token(), jwt_public_key=key) == User("alice")


BOTH = f"{RSA.public_pem}{RSA.private_pem}"
NO_PEM = "-----BEGIN PUBLIC KEY-----\nnone\n-----END PUBLIC KEY-----"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"jwt_public_key": None, "jwt_issuer": None}, "CHATKIT_AUTH=jwt needs a key: set CHATKIT_JWT_ISSUER"),
        ({"jwt_public_key": None, "jwt_issuer": "*"}, "CHATKIT_AUTH=jwt needs a key"),
        ({"jwt_public_key": None, "jwt_issuer": "me"}, "CHATKIT_JWT_ISSUER=me is not a URL"),
        ({"jwt_public_key": None, "jwt_issuer": None, "jwt_jwks_url": "https://a.example/k"}, "needs CHATKIT_JWT_ISSU"),
        ({"jwt_audience": None, "jwt_public_key": None}, "CHATKIT_AUTH=jwt needs CHATKIT_JWT_AUDIENCE"),
        ({"jwt_jwks_url": "https://a.example/k"}, "CHATKIT_JWT_JWKS_URL and CHATKIT_JWT_PUBLIC_KEY are both set"),
        ({"jwt_secret": [SECRET]}, "CHATKIT_JWT_PUBLIC_KEY and CHATKIT_JWT_SECRET are both set"),
        ({"jwt_public_key": "no/such.pem"}, "neither PEM nor a readable file: No such file"),
        ({"jwt_public_key": NO_PEM}, "is not a public key or certificate in PEM"),
        ({"jwt_public_key": BOTH}, "is a private key"),
        ({"jwt_public_key": RSA.private_pem}, "is a private key, which belongs to the issuer alone"),
        ({"jwt_public_key": TokenIssuer(key=rsa_key(1024)).public_pem}, "has 1024 bits, fewer than 2048"),
        ({"jwt_algorithms": "ES256"}, "CHATKIT_JWT_PUBLIC_KEY fits none of the allowed algorithms"),
        ({"jwt_algorithms": "RS256,HS256"}, "HS256 does not go with public keys"),
        (
            {"jwt_public_key": None, "jwt_secret": [SECRET], "jwt_algorithms": "RS256"},
            "RS256 does not go with a secret",
        ),
        ({"jwt_public_key": None, "jwt_secret": ["x" * 31]}, "CHATKIT_JWT_SECRET has 31 bytes; HS256 need 32"),
        ({"jwt_public_key": None, "jwt_secret": [SECRET], "jwt_algorithms": "HS512"}, "HS512 need 64"),
        ({"jwt_public_key": None, "jwt_secret": [RSA.public_pem]}, "CHATKIT_JWT_SECRET is a key in PEM or JSON"),
    ],
)
def test_a_mistake_in_the_settings_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SetupError) as caught:
        open_door(jwt_settings(**values))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_algorithm_that_is_none_of_ours_is_a_mistake() -> None:
    for name in ("none", "ES256K", "RS1"):
        with pytest.raises(ValueError, match="jwt_algorithms"):
            jwt_settings(jwt_algorithms=name)


async def test_requests_at_once_are_checked_alone() -> None:
    users = await asyncio.gather(*(user_of(RSA.token(f"user {number}")) for number in range(5)))
    assert [user.id for user in users] == [f"user {number}" for number in range(5)]
