"""API keys are found by their hash until they are revoked."""

from chatkit_store import ApiKeyStore
from tests.store.conftest import fixture_of
from tests.store.factories import make_key

keys = fixture_of(ApiKeyStore)


async def test_a_key_is_found_until_it_is_revoked(keys: ApiKeyStore) -> None:
    assert await keys.is_empty()
    first, second = make_key(is_admin=True), make_key(name="two")
    await keys.create(first)
    await keys.create(second)
    assert not await keys.is_empty()
    assert await keys.find(first.key_hash) == first
    assert await keys.find(first.id) is None
    assert await keys.revoke(first.id)
    assert not await keys.revoke(first.id), "it is already revoked"
    assert await keys.find(first.key_hash) is None
    assert await keys.find(second.key_hash) == second
    newest, oldest = await keys.list()
    assert newest == second
    assert (oldest.id, oldest.revoked_at is None) == (first.id, False)
    assert await keys.revoke(second.id)
    assert await keys.is_empty()
