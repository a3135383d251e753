"""Forged credentials of every login mode open nothing: no operation, no route, no socket; and nothing is written."""

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import update

from chatkit_server.auth.anonymous import Anonymous
from chatkit_server.auth.session_issuer import IssuedSession, NewSession
from chatkit_server.auth.session_terms import Configuration, Workflow
from chatkit_server.auth.signing_keys import load_signing_keys
from chatkit_server.limits.new_users import NewUsers
from chatkit_store import Owner
from chatkit_store.tables import chat_sessions
from tests.auth.issuer import http_issuer
from tests.auth.tokens import AUDIENCE, TokenIssuer, forged_tokens
from tests.conftest import DATABASES, fresh_database
from tests.hostile.house import Headers, House, Ids, open_house
from tests.hostile.routes import SIGNED
from tests.hostile.sending import Try, refusal_status, tries_naming_nothing, tries_with

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.no_cover]

ALICE = Owner("", "alice")
PROXY_SECRET = "only the proxy and the server know this"
API_KEY = "an API key of the customer's backend"
FEW = 10
"""With how many requests each of the many other forgeries is tried."""
EVERYWHERE = (
    "alg none",
    "HS256 with the public key",
    "another audience",
    "expired",
    "not yet valid",
    "another key",
    "swapped kid",
    "user twice",
    "a cancelled secret",
    "an expired secret",
    "a secret of another server",
    "headers of no proxy",
    "headers with a wrong secret",
)
"""The forgeries that are tried with every request."""


@dataclass
class Locked:
    """An app with the modes `session`, `jwt` and `header`, and credentials that are not valid."""

    house: House
    tries: list[Try]
    forged: Mapping[str, Headers]
    valid: Mapping[str, Headers]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DATABASES)
async def locked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Locked]:
    folder = tmp_path_factory.mktemp("locked")
    key, other = TokenIssuer(), TokenIssuer("key-2", key=rsa.generate_private_key(65537, 2048))
    async with http_issuer(key, other) as issuer:
        settings = {
            "auth": "session,jwt,header",
            "jwt_jwks_url": issuer.jwks_url,
            "jwt_issuer": key.issuer,
            "jwt_audience": AUDIENCE,
            "header_secret": PROXY_SECRET,
            "api_keys": API_KEY,
        }
        with fresh_database(request.param, folder, request, with_schema=True) as url:
            async with open_house(folder, url, by=None, **settings) as house:
                ids = Ids(**{field.name: f"{field.name}_{secrets.token_hex(16)}" for field in fields(Ids)})
                tries = [
                    attempt
                    for attempt in (*tries_with(ids, ids), *tries_naming_nothing())
                    if attempt.name not in SIGNED
                ]
                issued = await issue(house)
                forged = {name: bearer(token) for name, token in forged_tokens(key, other).items()}
                forged |= await forged_secrets(house) | forged_headers(house)
                valid = {
                    "jwt": bearer(key.token("alice")),
                    "session": bearer(issued.secret),
                    "header": {"x-forwarded-user": "alice", "x-chatkit-proxy-secret": PROXY_SECRET},
                }
                yield Locked(house, tries, forged, valid)


def bearer(token: str) -> Headers:
    """Return the header of a bearer token, in which a server sees bytes."""
    return {"authorization": f"Bearer {token}".encode("utf-8", "surrogatepass")}


async def issue(house: House) -> IssuedSession:
    """Make a session for Alice."""
    new = NewSession(ALICE, Workflow(id="any"), Configuration(), requests_per_minute=None)
    return await house.services.session_issuer.create(new)


async def forged_secrets(house: House) -> dict[str, Headers]:
    """Return client secrets that are not valid."""
    cancelled, expired, valid = [await issue(house) for _ in range(3)]
    await house.services.session_issuer.cancel(cancelled.session.id)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    async with house.services.engine.begin() as connection:
        of_expired = chat_sessions.c.id == expired.session.id
        await connection.execute(update(chat_sessions).where(of_expired).values(expires_at=hour_ago))
    return {
        "a cancelled secret": bearer(cancelled.secret),
        "an expired secret": bearer(expired.secret),
        "a secret of another server": bearer("ek_" + secrets.token_urlsafe(32)),
        "a secret with more at its end": bearer(valid.secret + "A"),
        "a cut secret": bearer(valid.secret[:-1]),
        "a secret in other letters": bearer(valid.secret.swapcase()),
        "the prefix alone": bearer("ek_"),
        "a secret of a megabyte": bearer("ek_" + "A" * 2**20),
        "the hash of a secret": bearer(valid.session.secret_hash),
        "the hash as a secret": bearer("ek_" + valid.session.secret_hash),
        "the id of a session": bearer(valid.session.id),
        "an API key": bearer(API_KEY),
        "a secret as a password": {"authorization": f"Basic {valid.secret}"},
        "a secret without a scheme": {"authorization": valid.secret},
        "a secret in a cookie": {"cookie": f"client_secret={valid.secret}"},
    }


def forged_headers(house: House) -> dict[str, Headers]:
    """Return headers that only a proxy may send, and a cookie of a mode that is off."""
    keys = load_signing_keys(house.services.settings)
    cookie = Anonymous(keys, NewUsers(1))._cookies.dumps("alice")
    alice = {"x-forwarded-user": "alice"}
    return {
        "headers of no proxy": alice,
        "headers with a wrong secret": alice | {"x-chatkit-proxy-secret": PROXY_SECRET[:-1]},
        "headers with an empty secret": alice | {"x-chatkit-proxy-secret": ""},
        "headers with the secret in other letters": alice | {"x-chatkit-proxy-secret": PROXY_SECRET.upper()},
        "headers with the secret in UTF-8": alice | {"x-chatkit-proxy-secret": "é".encode()},
        "headers with underscores": {"x_forwarded_user": "alice", "x_chatkit_proxy_secret": PROXY_SECRET},
        "headers from a loopback address, as the client says": alice | {"x-forwarded-for": "127.0.0.1, ::1"},
        "no user of the proxy": {"x-chatkit-proxy-secret": PROXY_SECRET},
        "the test login's header": {"x-test-user": "acme/alice"},
        "a cookie of the mode none": {"cookie": f"chatkit_user={cookie}; __Host-chatkit_user={cookie}"},
    }


async def test_the_valid_credentials_open_the_door(locked: Locked) -> None:
    """Otherwise the tests below would show nothing."""
    for name, headers in locked.valid.items():
        answer = await locked.house.operation("threads.list", {}, headers)
        assert answer.status == 200, (name, answer.body)


async def test_forged_credentials_open_nothing_and_write_nothing(locked: Locked) -> None:
    house = locked.house
    before = await house.rows()
    assert set(EVERYWHERE) <= set(locked.forged)
    turns = cycle(locked.tries)
    for name, headers in locked.forged.items():
        for attempt in locked.tries if name in EVERYWHERE else islice(turns, FEW):
            seen = await attempt.send(house, headers)
            assert seen.answer.status == refusal_status(attempt), (name, attempt, seen)
            assert seen.is_refused, (name, attempt, seen)
            assert b"not logged in" in seen.answer.body, "the reason is for the log alone"
            assert len(seen.statements) <= 1, "at most the query for a client secret"
            assert "FROM chat_sessions" in "".join(seen.statements or ["FROM chat_sessions"])
    assert await house.rows() == before


async def test_valid_and_forged_credentials_together_open_nothing(locked: Locked) -> None:
    """A proxy that names a user does not make up for a token that is not valid."""
    for name in EVERYWHERE[:11]:
        headers = {**locked.valid["header"], **locked.forged[name]}
        answer = await locked.house.operation("threads.list", {}, headers)
        assert answer.status == 401, name


async def test_the_log_says_why_and_never_with_the_token(locked: Locked, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    for name, headers in locked.forged.items():
        await locked.house.operation("threads.list", {}, headers)
        value = headers.get("authorization", "")
        token = (value if isinstance(value, str) else value.decode("utf-8", "replace")).removeprefix("Bearer ")
        assert len(token) < 20 or token not in caplog.text, name
    reasons = [record.getMessage() for record in caplog.records if "not logged in" in record.getMessage()]
    assert len(reasons) == len(locked.forged)
    assert all("\n" not in reason and "\r" not in reason for reason in reasons)
