"""The keys of an issuer: rotation, made-up keys, an issuer that is away, and what it must not publish."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chatkit_server import NotAuthenticated, User
from chatkit_server.auth.claims import ClaimNames
from chatkit_server.auth.jwks import MAX_BYTES, IssuerKeys, Pauses
from chatkit_server.auth.jwt_login import JwtLogin
from chatkit_server.auth.jwt_setup import PUBLIC_KEY_ALGORITHMS
from chatkit_server.auth.jwt_verifier import Verifier
from chatkit_server.errors.http import LoginUnavailable
from tests.auth.issuer import DISCOVERY, JWKS, HttpIssuer, http_issuer
from tests.auth.test_jwt import FORGED, RSA, connection, jwt_settings
from tests.auth.tokens import AUDIENCE, ISSUER, TokenIssuer, forged_tokens, rsa_key
from tests.hostile.house import recorded
from tests.serving import serve

PS = TokenIssuer("key-ps", "PS256")
ES = TokenIssuer("key-es", "ES256", ec.generate_private_key(ec.SECP256R1()))
NEVER = 3600.0
SELDOM = Pauses(usual=NEVER, unknown_key=NEVER, failed=NEVER)
EAGER = Pauses(usual=NEVER, unknown_key=0.0, failed=0.0)
"""A token with an unknown key is always a reason to read the keys."""


class Client:
    """The login with the keys of an issuer."""

    def __init__(self, issuer: HttpIssuer, pauses: Pauses, *, discovery: bool = False) -> None:
        expected = issuer.url if discovery else ISSUER
        self.keys = IssuerKeys(
            PUBLIC_KEY_ALGORITHMS,
            issuer=expected,
            jwks_url=None if discovery else issuer.jwks_url,
            pauses=pauses,
        )
        verifier = Verifier(PUBLIC_KEY_ALGORITHMS, issuer=expected, audience=[AUDIENCE], leeway=30)
        self.login = JwtLogin(self.keys, verifier, ClaimNames())

    async def user(self, token: str) -> User | None:
        """Return the user of a token."""
        return await self.login(connection(f"Bearer {token}"))

    async def refusal(self, token: str) -> str:
        """Return why a token is refused."""
        with pytest.raises(NotAuthenticated) as caught:
            await self.user(token)
        return caught.value.reason


@asynccontextmanager
async def client_of(issuer: HttpIssuer, pauses: Pauses = SELDOM, *, discovery: bool = False) -> AsyncIterator[Client]:
    """Yield a client, and close it."""
    client = Client(issuer, pauses, discovery=discovery)
    try:
        yield client
    finally:
        await client.login.aclose()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged about the keys."""
    return [record.message for record in caplog.records if record.name == "chatkit_server.auth.jwks"]


async def test_the_key_is_the_one_that_the_token_names() -> None:
    async with http_issuer(RSA, PS, ES) as issuer, client_of(issuer) as client:
        for signer in (RSA, PS, ES):
            assert await client.user(signer.token("alice")) == User("alice")
            assert await client.user(signer.token("alice", {"kid": None})) == User("alice")
        assert issuer.fetches() == 1


async def test_forged_tokens_are_refused_and_hardly_ask_the_issuer() -> None:
    async with http_issuer(RSA, PS) as issuer, client_of(issuer) as client:
        for name, token in forged_tokens(RSA, PS).items():
            with pytest.raises(NotAuthenticated):
                print(name, await client.user(token))  # noqa: T201 - pytest shows it if the test fails
        assert issuer.requests == [JWKS]


async def test_a_key_that_the_token_brings_along_is_not_asked_for() -> None:
    async with http_issuer(RSA) as issuer, http_issuer(PS) as mallory, client_of(issuer, EAGER) as client:
        for header in ({"jku": mallory.jwks_url}, {"jwk": PS.jwk()}, {"x5u": mallory.jwks_url}):
            await client.refusal(PS.token(header=header))
            await client.refusal(PS.token(header=header | {"kid": None}))
        assert mallory.requests == []


async def test_discovery_names_the_keys() -> None:
    async with http_issuer(RSA) as issuer, client_of(issuer, discovery=True) as client:
        assert await client.user(RSA.token(iss=issuer.url)) == User("alice")
        assert issuer.requests == [DISCOVERY, JWKS]
        assert "issuer" in await client.refusal(RSA.token(iss=f"{issuer.url}/"))


@pytest.mark.parametrize(
    ("discovery", "problem"),
    [
        ({"issuer": "https://mallory.example"}, "that of another issuer"),
        ({"jwks_uri": None}, "no usable jwks_uri"),
        ({"jwks_uri": "file:///etc/passwd"}, "no usable jwks_uri"),
    ],
)
async def test_discovery_must_be_that_of_the_issuer(discovery: dict[str, Any], problem: str) -> None:
    async with http_issuer(RSA) as issuer, client_of(issuer, discovery=True) as client:
        issuer.discovery = discovery
        assert problem in (await client.login.problem() or "")
        with pytest.raises(LoginUnavailable):
            await client.user(RSA.token(iss=issuer.url))
        assert JWKS not in issuer.requests


# Rotation


async def test_a_new_key_is_found_by_its_first_token_and_an_old_one_ends() -> None:
    new = TokenIssuer("key-2")
    async with http_issuer(RSA) as issuer, client_of(issuer, EAGER) as client:
        old_token = RSA.token()
        assert await client.user(old_token) == User("alice")
        issuer.keys = [new.jwk()]
        assert await client.user(old_token) == User("alice")  # nobody has said yet that it ended
        assert await client.user(new.token("bob")) == User("bob")
        assert "no key 'key-1' for RS256" in await client.refusal(old_token)


async def test_the_same_name_for_a_new_key_is_a_new_key() -> None:
    new = TokenIssuer(RSA.kid)
    async with http_issuer(RSA) as issuer, client_of(issuer, EAGER) as client:
        assert await client.user(RSA.token()) == User("alice")
        issuer.keys = [new.jwk()]
        await client.keys.problem()  # reads them
        assert await client.user(new.token()) == User("alice")
        assert "signature" in await client.refusal(RSA.token())


async def test_the_keys_are_read_again_without_any_token() -> None:
    new = TokenIssuer("key-2")
    often = Pauses(usual=0.02, unknown_key=NEVER, failed=NEVER)
    async with http_issuer(RSA) as issuer, client_of(issuer, often) as client:
        await client.user(RSA.token())
        issuer.keys = [new.jwk()]
        await issuer.wait_for_fetches(issuer.fetches() + 2)
        assert await client.user(new.token()) == User("alice")


async def test_unchanged_keys_keep_what_they_verified() -> None:
    async with http_issuer(RSA) as issuer, client_of(issuer, EAGER) as client:
        await client.user(RSA.token())
        known = client.keys.known
        await client.keys.problem()
        assert (issuer.fetches(), client.keys.known is known) == (2, True)


async def test_many_unknown_keys_are_one_read() -> None:
    async with http_issuer(RSA) as issuer, client_of(issuer) as client:
        await client.user(RSA.token())
        client.keys._not_before = 0.0
        tokens = [RSA.token(header={"kid": f"made up {number}"}) for number in range(50)]
        reasons = await asyncio.gather(*map(client.refusal, tokens))
        assert all("no key 'made up" in reason for reason in reasons)
        assert issuer.fetches() == 2
        await asyncio.gather(*map(client.refusal, tokens))
        assert issuer.fetches() == 2  # that was a moment ago


async def test_nobody_else_waits_for_an_unknown_key() -> None:
    async with http_issuer(RSA) as issuer, client_of(issuer, EAGER) as client:
        await client.user(RSA.token())
        issuer.gate.clear()
        flood = [asyncio.create_task(client.refusal(RSA.token(header={"kid": f"{n}"}))) for n in range(20)]
        await issuer.wait_for_fetches(2)
        assert await client.user(RSA.token("bob")) == User("bob")
        assert not any(task.done() for task in flood)
        assert issuer.fetches() == 2
        issuer.gate.set()
        await asyncio.gather(*flood)


async def test_a_client_that_leaves_does_not_end_the_read() -> None:
    async with http_issuer(RSA) as issuer, client_of(issuer) as client:
        issuer.gate.clear()
        first, second = (asyncio.create_task(client.user(RSA.token(user))) for user in ("alice", "bob"))
        await issuer.wait_for_fetches(1)
        first.cancel()
        issuer.gate.set()
        assert await second == User("bob")
        assert issuer.fetches() == 1


# An issuer that is away


async def test_without_any_keys_nobody_can_say_who_is_logged_in(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with http_issuer(RSA) as issuer, client_of(issuer, EAGER) as client:
        issuer.status = 500
        for _ in range(3):
            with pytest.raises(LoginUnavailable):
                await client.user(RSA.token())
        assert "malformed" in await client.refusal("words")  # which no key could verify
        assert lines(caplog) == [
            f"the keys of {issuer.jwks_url} cannot be read: it answers with status 500; nobody can log in"
        ]
        issuer.status = 200
        assert await client.user(RSA.token()) == User("alice")


async def test_old_keys_stay_in_use_while_the_issuer_is_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with http_issuer(RSA) as issuer, client_of(issuer, EAGER) as client:
        await client.user(RSA.token())
        issuer.status = 503
        for _ in range(2):
            assert "status 503" in (await client.login.problem() or "")
        assert await client.user(RSA.token("bob")) == User("bob")
        with pytest.raises(LoginUnavailable):  # it may be the issuer's next key
            await client.user(RSA.token(header={"kid": "key-2"}))
        issuer.status = 200
        assert await client.login.problem() is None
        keys = f"the keys of {issuer.jwks_url}"
        assert lines(caplog) == [
            f"read {keys}: 1 for tokens",
            f"{keys} cannot be read: it answers with status 503; the keys read before stay in use",
            f"{keys} can be read again",
        ]


async def test_a_failed_read_is_repeated_on_its_own() -> None:
    soon = Pauses(usual=NEVER, unknown_key=NEVER, failed=0.01)
    async with http_issuer(RSA) as issuer, client_of(issuer, soon) as client:
        issuer.status = 500
        with pytest.raises(LoginUnavailable):
            await client.user(RSA.token())
        await issuer.wait_for_fetches(3)
        issuer.status = 200
        await issuer.wait_for_fetches(issuer.fetches() + 1)
        async with asyncio.timeout(20):
            while client.keys.known is None:  # noqa: ASYNC110 - the answer is on its way
                await asyncio.sleep(0.01)
        assert await client.user(RSA.token()) == User("alice")


async def test_nobody_listens() -> None:
    issuer = HttpIssuer(keys=[RSA.jwk()])
    async with issuer.serving():
        port = int(issuer.url.rpartition(":")[2])
    async with client_of(issuer, EAGER) as client:
        with pytest.raises(LoginUnavailable):
            await client.user(RSA.token())
        assert "Connection refused" in (await client.login.problem() or "")
        async with issuer.serving(port):
            assert await client.user(RSA.token()) == User("alice")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "they are not JSON"),
        (b'{"keys":' + b"[" * 99_999, "they are not JSON"),
        (b"[]", "the key set has no list of keys"),
        (b'{"keys": {}}', "the key set has no list of keys"),
        (b'{"keys": []}', "no key can verify a token (the key is missing)"),
        (b" " * (MAX_BYTES + 1), "they are larger than 256 KiB"),
    ],
)
async def test_an_answer_without_keys(body: bytes, problem: str) -> None:
    async with http_issuer() as issuer, client_of(issuer) as client:
        issuer.body = body
        assert problem in (await client.login.problem() or "")


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("file:///etc/passwd", "not http or https"),
        ("/keys", "redirects too often"),
    ],
)
async def test_a_redirect_that_is_not_followed(location: str, problem: str) -> None:
    async with http_issuer(RSA) as issuer, client_of(issuer) as client:
        issuer.status, issuer.headers = 302, {"location": location}
        assert problem in (await client.login.problem() or "")


async def test_an_address_in_the_log_has_no_password() -> None:
    keys = IssuerKeys(PUBLIC_KEY_ALGORITHMS, issuer=ISSUER, jwks_url="http://me:secret@127.0.0.1:1/keys?key=secret")
    problem = await keys.problem()
    await keys.aclose()
    assert problem is not None
    assert "http://127.0.0.1:1/keys" in problem
    assert "secret" not in problem


# What an issuer must not publish


X = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@pytest.mark.parametrize(
    ("jwk", "why"),
    [
        (RSA.jwk(use="enc"), "is for another use"),
        (RSA.jwk(use=None, key_ops=["encrypt"]), "is for another use"),
        (RSA.jwk(alg="RSA-OAEP"), "fits none of the allowed algorithms"),
        (RSA.jwk(alg="HS256"), "fits none of the allowed algorithms"),
        (RSA.jwk(alg="none"), "fits none of the allowed algorithms"),
        (RSA.jwk(private=True), "is a private key: whoever reads it can sign tokens"),
        (RSA.jwk(n=None, e=None, x5c=["MIIB"]), "cannot be read"),
        (RSA.jwk(n="AQAB"), "cannot be read"),
        (RSA.jwk(n="!"), "cannot be read"),
        (RSA.jwk(kid=1), "is not of a known type"),
        (TokenIssuer(key=rsa_key(1024)).jwk(), "has 1024 bits"),
        (ES.jwk(x=X), "cannot be read"),  # no point of the curve
        (ES.jwk(crv="secp256k1"), "cannot be read"),
        ({"kty": "OKP", "crv": "X25519", "x": X}, "cannot be read"),
        ({"kty": "oct", "k": "AAAA", "kid": "key-1"}, "is not of a known type"),
        ({"kty": ["RSA"]}, "is not of a known type"),
        ({}, "is not of a known type"),
        (["RSA"], "is not of a known type"),
        (None, "is not of a known type"),
    ],
)
async def test_a_key_that_must_not_verify_tokens_is_left_out(
    jwk: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with http_issuer(ES) as issuer, client_of(issuer, EAGER) as client:
        issuer.keys.append(jwk)
        assert await client.user(ES.token()) == User("alice")
        assert client.keys.known is not None
        assert [key.kid for key in client.keys.known.keys] == ["key-es"]
        assert why in lines(caplog)[0]
        await client.refusal(FORGED["HS256 with the public key"])


async def test_a_key_verifies_only_what_it_is_for() -> None:
    async with http_issuer() as issuer, client_of(issuer, EAGER) as client:
        issuer.keys = [PS.jwk(), RSA.jwk(alg=None)]
        as_rs = TokenIssuer(PS.kid, "RS256", PS.key)
        assert "no key 'key-ps' for RS256" in await client.refusal(as_rs.token())
        for algorithm in ("RS256", "PS256"):  # a key without `alg` is for all of its type
            assert await client.user(TokenIssuer(RSA.kid, algorithm, RSA.key).token()) == User("alice")


# The whole server


async def test_the_server_refuses_strangers_and_waits_for_the_issuer(tmp_path: Path) -> None:
    async with http_issuer(RSA) as issuer:
        issuer.status = 500
        values = jwt_settings(tmp_path).model_dump(include={"auth", "jwt_issuer", "jwt_audience"})
        async with serve(tmp_path, jwt_jwks_url=issuer.jwks_url, **values) as served:
            bearer = {"authorization": f"Bearer {RSA.token('alice')}"}
            async with served.tab(headers=bearer) as tab:
                answer = await tab.post("threads.list", {})
                assert (answer.status, answer.body["code"]) == (503, "login_unavailable")
                assert int(answer.headers["retry-after"]) > 0
                stream = await tab.create(
                    "Hello"
                )  # a ChatKit frame: on a 5xx, it would post six times and show nothing
                assert (stream.status, stream.types) == (200, ["error"])
                assert "could not be checked" in stream.events[0]["message"]
                issuer.status = 200
                served.services.door._logins[0]._keys._not_before = 0.0  # type: ignore[attr-defined]
                thread_id = (await tab.create("Hello")).thread_id
                assert (await served.owner(thread_id)).user_id == "alice"
            forged = {"authorization": f"Bearer {FORGED['another key']}"}
            async with served.tab(headers=forged) as tab:
                answer = await tab.post("threads.list", {})
                assert (answer.status, answer.body["message"]) == (401, NotAuthenticated.default_message)
                assert "set-cookie" not in answer.headers


async def test_a_login_asks_neither_the_database_nor_the_issuer_again(tmp_path: Path) -> None:
    async with http_issuer(RSA) as issuer:
        values = jwt_settings(tmp_path).model_dump(include={"auth", "jwt_issuer", "jwt_audience"})
        async with serve(tmp_path, jwt_jwks_url=issuer.jwks_url, **values) as served:
            await served.services.door.authenticate(connection(f"Bearer {RSA.token()}"))
            with recorded() as statements:
                for user in ("alice", "bob", "alice"):
                    context = await served.services.door.authenticate(connection(f"Bearer {RSA.token(user)}"))
                    assert context.user_id == user
            assert (list(statements.texts), issuer.fetches()) == ([], 1)
