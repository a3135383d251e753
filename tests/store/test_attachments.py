import pytest
from chatkit.types import AttachmentUploadDescriptor, FileAttachment, ImageAttachment, ThreadMetadata, UserMessageItem

from store import NotFound, SqlStore
from tests.store.conftest import Query
from tests.store.making import ALICE, User, say

Store = SqlStore[User]


def make_file() -> FileAttachment:
    return FileAttachment(id="atc_1", name="a\ud800.txt", mime_type="text/plain", metadata={"size": 3, "key": "k"})


async def test_attachment_comes_back_with_its_metadata(store: Store) -> None:
    image = ImageAttachment.model_validate(
        {"id": "atc_2", "name": "ü.png", "mime_type": "image/png", "preview_url": "https://example.com/p?a=1"}
    )
    image.upload_descriptor = AttachmentUploadDescriptor.model_validate(
        {"url": "https://example.com/up", "method": "PUT", "headers": {"a": "b"}}
    )
    image.metadata = {"key": {"deep": [1]}}
    await store.save_attachment(image, ALICE)
    assert await store.load_attachment("atc_2", ALICE) == image


async def test_attachment_is_bound_to_a_thread_by_saving_it_again(
    store: Store, thread: ThreadMetadata, sql: Query
) -> None:
    file = make_file()
    await store.save_attachment(file, ALICE)
    bound = file.model_copy(update={"thread_id": thread.id, "metadata": {"size": 4}})
    await store.save_attachment(bound, ALICE)
    found = await store.load_attachment(file.id, ALICE)
    assert (found.thread_id, found.metadata, found.name) == (thread.id, {"size": 4}, "a\ufffd.txt")
    rows = await sql("SELECT thread_id, user_id, name, mime_type FROM attachments")
    assert [tuple(row) for row in rows] == [(thread.id, "alice", "a\ufffd.txt", "text/plain")]


async def test_attachment_of_a_thread_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="thr_gone"):
        await store.save_attachment(make_file().model_copy(update={"thread_id": "thr_gone"}), ALICE)


async def test_deleted_attachment_is_gone_but_not_from_the_message(store: Store, thread: ThreadMetadata) -> None:
    file = make_file()
    await store.save_attachment(file, ALICE)
    item = say(attachments=[file])
    await store.add_thread_item(thread.id, item, ALICE)
    await store.delete_attachment(file.id, ALICE)
    for call in (store.load_attachment, store.delete_attachment):
        with pytest.raises(NotFound, match="Attachment atc_1"):
            await call(file.id, ALICE)
    kept = await store.load_item(thread.id, item.id, ALICE)
    assert isinstance(kept, UserMessageItem)
    assert [attachment.metadata for attachment in kept.attachments] == [{"size": 3, "key": "k"}]


async def test_attachment_that_this_version_cannot_read_is_not_found(store: Store, sql: Query) -> None:
    await store.save_attachment(make_file(), ALICE)
    await sql("UPDATE attachments SET payload = '{}'")
    with pytest.raises(NotFound):
        await store.load_attachment("atc_1", ALICE)
