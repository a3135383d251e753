"""The states of an upload: each step happens once, and from one state only."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from chatkit.types import AttachmentUploadDescriptor, FileAttachment, ThreadMetadata
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import NotFound, SqlStore, TooManyUnsent, TurnStore, UploadStore, new_id
from chatkit_store.tables import attachments
from chatkit_store.uploads import PART
from tests.store.factories import ALICE, User, make_turn, user_message


def make_upload() -> FileAttachment:
    descriptor = AttachmentUploadDescriptor.model_validate({"url": "attachment-upload:x", "method": "PUT"})
    return FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain", upload_descriptor=descriptor)


def as_stored(upload: FileAttachment) -> FileAttachment:
    return upload.model_copy(update={"upload_descriptor": None, "mime_type": "text/csv"})


async def test_upload_passes_through_its_states_once(uploads: UploadStore) -> None:
    file = make_upload()
    assert await uploads.add(file, ALICE, size=3, limit=1)
    assert not await uploads.finish(as_stored(file), 3, ALICE)
    assert not await uploads.release(file.id, ALICE)
    claims = await asyncio.gather(*(uploads.claim(file.id, ALICE) for _ in range(4)))
    assert sorted(claims) == [False, False, False, True]
    assert await uploads.release(file.id, ALICE)
    assert await uploads.claim(file.id, ALICE)
    assert await uploads.finish(as_stored(file), 4, ALICE)
    assert not await uploads.claim(file.id, ALICE)
    assert not await uploads.release(file.id, ALICE)
    upload = await uploads.load(file.id, ALICE)
    assert (upload.attachment, upload.status, upload.size) == (as_stored(file), "stored", 4)


async def test_pending_upload_cannot_be_bound(uploads: UploadStore, turns: TurnStore, thread: ThreadMetadata) -> None:
    file = make_upload()
    await uploads.add(file, ALICE, size=3, limit=1)
    with pytest.raises(NotFound):
        await turns.start(make_turn(thread.id), ALICE, items=[user_message(attachments=[as_stored(file)])])
    assert await turns.list(ALICE) == []


async def test_unsent_files_are_limited_and_deleted(
    store: SqlStore[User], uploads: UploadStore, turns: TurnStore, thread: ThreadMetadata
) -> None:
    files = [make_upload() for _ in range(3)]
    assert [await uploads.add(file, ALICE, size=3, limit=2) for file in files] == [True, True, False]
    bound, unsent, refused = (file.id for file in files)
    await uploads.claim(bound, ALICE)
    await uploads.finish(as_stored(files[0]), 3, ALICE)
    await turns.start(make_turn(thread.id), ALICE, items=[user_message(attachments=[as_stored(files[0])])])
    later, earlier = datetime.now(UTC) + timedelta(seconds=1), datetime.now(UTC) - timedelta(hours=1)
    assert await uploads.list_unsent(earlier) == await uploads.delete_unsent(earlier) == []
    assert await uploads.list_unsent(later) == await uploads.delete_unsent(later) == [unsent]
    assert await uploads.existing([bound, unsent, refused, "atc_never"]) == {bound}
    assert not await uploads.forget(bound, ALICE)
    await store.delete_thread(thread.id, ALICE)
    assert await uploads.existing([bound]) == set()


async def test_new_users_share_a_limit_of_files(uploads: UploadStore, thread: ThreadMetadata) -> None:
    since = datetime.now(UTC) - timedelta(minutes=10)

    async def add(user: User, since: datetime = since) -> bool:
        return await uploads.add(make_upload(), user, size=3, limit=9, newcomers=2, since=since)

    strangers = [User(new_id("user")) for _ in range(4)]
    assert await add(ALICE)  # has a thread
    assert await add(strangers[0])
    assert await add(strangers[1])
    for user in strangers:
        with pytest.raises(TooManyUnsent):
            await add(user)
    assert await add(ALICE)
    assert await add(strangers[2], since=datetime.now(UTC) + timedelta(seconds=1))  # the others are from before


async def test_the_size_of_unsent_files_is_that_of_all_users_without_announced_ones(
    uploads: UploadStore,
) -> None:
    files = [(make_upload(), User(new_id("user"))) for _ in range(3)]
    for file, user in files:
        await uploads.add(file, user, size=10, limit=9)
    assert await uploads.unsent_bytes() == 0
    for file, user in files[1:]:
        await uploads.claim(file.id, user)
    assert await uploads.unsent_bytes() == 20


async def test_many_unsent_files_are_counted_in_parts(uploads: UploadStore, engine: AsyncEngine) -> None:
    start = datetime.now(UTC)
    rows = [
        {"id": f"atc_{n}", "user_id": "u", "name": "a", "mime_type": "a/b", "payload": "{}", "size": 2}
        | {"created_at": start + timedelta(seconds=n)}
        for n in range(2 * PART)
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(attachments), rows)
    assert await uploads.unsent_bytes() == 4 * PART
