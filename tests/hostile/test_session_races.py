"""Requests about one client secret that arrive together."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import ChatSessionStore, new_id
from tests.store.factories import make_session

RACES = 20


async def test_no_secret_outlives_the_cancellation_of_its_session(engine: AsyncEngine) -> None:
    """A renewal that has begun before the cancellation may commit its secret after that has looked for secrets."""
    sessions = ChatSessionStore(engine)

    async def race() -> None:
        session = make_session(id=(id := new_id("cksess")), session_id=id, secret_hash=new_id("hash"))
        await sessions.create(session)
        hashes = [new_id("hash") for _ in range(4)]
        renewals = [sessions.renew(session.secret_hash, new_id("cksess"), hashed, 0) for hashed in hashes]
        await asyncio.gather(*renewals[:2], sessions.cancel(session.session_id), *renewals[2:])
        for hashed in (session.secret_hash, *hashes):
            found = await sessions.find(hashed)
            assert found is None or found.status == "cancelled"

    await asyncio.gather(*(race() for _ in range(RACES)))
