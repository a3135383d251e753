"""A secret finds its session until it expires or is cancelled, and renews it within the limits."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chatkit_store import ChatSession, ChatSessionStore, IdClash, Owner, new_id
from chatkit_store.chat_sessions import VALID_SECRETS
from tests.store.conftest import Query, fixture_of
from tests.store.factories import make_session

GRACE = 60.0

sessions = fixture_of(ChatSessionStore)


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def expired(seconds: float) -> ChatSession:
    """Return a session that was valid for ten minutes and expired some seconds ago."""
    expires_at = ago(seconds)
    return make_session(created_at=expires_at - timedelta(seconds=600), expires_at=expires_at)


async def renew(sessions: ChatSessionStore, session: ChatSession, grace: float = GRACE) -> ChatSession | None:
    return await sessions.renew(session.secret_hash, new_id("cksess"), new_id("hash"), grace)


async def test_a_session_is_found_by_its_secret_only(sessions: ChatSessionStore) -> None:
    session = make_session(tenant="acme", user_name="Ada", workflow='{"id":"wf_1","state_variables":{"plan":"a"}}')
    await sessions.create(session)
    assert await sessions.find(session.secret_hash) == session
    assert (session.owner, session.status) == (Owner("acme", "alice"), "active")
    assert await sessions.find(session.id) is None
    with pytest.raises(IdClash):
        await sessions.create(make_session(secret_hash=session.secret_hash))


async def test_a_valid_secret_is_renewed_again_and_again(sessions: ChatSessionStore) -> None:
    session = make_session()
    await sessions.create(session)
    for _ in range(3):
        renewed = await renew(sessions, session)
        assert renewed is not None
        same = replace(renewed, id="", secret_hash="", created_at=session.created_at, expires_at=session.expires_at)
        assert same == replace(session, id="", secret_hash="")
        assert renewed.expires_at >= session.expires_at
        assert await sessions.find(renewed.secret_hash) == renewed
    assert await sessions.find(session.secret_hash) == session


async def test_an_expired_secret_is_renewed_once_however_many_ask(sessions: ChatSessionStore) -> None:
    session = expired(10)
    await sessions.create(session)
    assert session.status == "expired"
    renewals = await asyncio.gather(*(renew(sessions, session) for _ in range(6)))
    (renewed,) = (renewal for renewal in renewals if renewal is not None)
    assert renewed.expires_at - renewed.created_at == timedelta(seconds=600)
    found = await sessions.find(session.secret_hash)
    assert found is not None
    assert found.renewed_at is not None
    assert (await sessions.find(renewed.secret_hash)) == renewed, "the new secret can be renewed in its turn"
    assert await renew(sessions, renewed) is not None


async def test_a_secret_is_not_renewed_after_the_grace_or_its_end(sessions: ChatSessionStore) -> None:
    late, over = expired(GRACE + 10), replace(expired(10), renewable_until=ago(1))
    short = make_session(renewable_until=datetime.now(UTC) + timedelta(seconds=300))
    for session in (late, over, short):
        await sessions.create(session)
    assert await renew(sessions, late) is None
    assert await renew(sessions, over) is None
    renewed = await renew(sessions, short)
    assert renewed is not None
    assert renewed.expires_at == short.renewable_until
    assert await sessions.renew("another", new_id("cksess"), new_id("hash"), GRACE) is None


async def test_cancelling_ends_all_secrets_of_a_session_and_no_others(sessions: ChatSessionStore) -> None:
    session, other = make_session(), make_session()
    await sessions.create(session)
    await sessions.create(other)
    renewed = await renew(sessions, session)
    assert renewed is not None
    cancelled = await sessions.cancel(session.session_id)
    assert cancelled is not None
    assert (cancelled.id, cancelled.status) == (renewed.id, "cancelled")
    assert await sessions.cancel(session.session_id) == cancelled, "a second time changes nothing"
    for secret in (session, renewed):
        found = await sessions.find(secret.secret_hash)
        assert found is not None
        assert found.status == "cancelled"
        assert await renew(sessions, secret) is None
    assert await sessions.find(other.secret_hash) == other
    assert await sessions.cancel("cksess_unknown") is None


async def test_renewals_are_limited(sessions: ChatSessionStore, sql: Query) -> None:
    session = make_session()
    await sessions.create(session)
    for _ in range(VALID_SECRETS - 1):
        assert await renew(sessions, session) is not None
    assert await renew(sessions, session) is None
    assert await sessions.create_for_page(make_session()) is False
    assert await sessions.create_for_page(make_session(user_id="bob"))
    assert await sessions.create_for_page(make_session(tenant="acme")), "the user of a tenant is another user"
    assert (await sql("SELECT count(*) FROM chat_sessions"))[0][0] == VALID_SECRETS + 2


async def test_pruning_deletes_only_what_expired_before(sessions: ChatSessionStore) -> None:
    old, recent, valid = expired(1000), expired(10), make_session()
    for session in (old, recent, valid):
        await sessions.create(session)
    assert await sessions.prune(ago(500)) == 1
    assert [await sessions.find(session.secret_hash) for session in (old, recent, valid)] == [None, recent, valid]
