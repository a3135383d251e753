import asyncio
import json

import pytest
from chatkit.types import AttachmentUploadDescriptor, FileAttachment, ImageAttachment, ThreadMetadata, UserMessageItem

from chatkit_store import NotFound, SqlStore, TurnEnd, TurnStore
from tests.store.conftest import Query
from tests.store.factories import ALICE, BOB, User, assistant_message, make_thread, make_turn, text_of, user_message

Store = SqlStore[User]


def make_file() -> FileAttachment:
    return FileAttachment(id="atc_1", name="a\ud800.txt", mime_type="text/plain", metadata={"size": 3, "key": "k"})


async def test_attachment_loads_equal_with_its_metadata(store: Store) -> None:
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
    loaded = await store.load_attachment(file.id, ALICE)
    assert (loaded.thread_id, loaded.metadata, loaded.name) == (thread.id, {"size": 4}, "a\ufffd.txt")
    rows = await sql("SELECT thread_id, user_id, name, mime_type FROM attachments")
    assert [tuple(row) for row in rows] == [(thread.id, "alice", "a\ufffd.txt", "text/plain")]


async def test_attachment_of_an_unknown_thread_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="thr_gone"):
        await store.save_attachment(make_file().model_copy(update={"thread_id": "thr_gone"}), ALICE)


async def test_deleted_attachment_stays_in_its_message(store: Store, thread: ThreadMetadata) -> None:
    file = make_file()
    await store.save_attachment(file, ALICE)
    item = user_message(attachments=[file])
    await store.add_thread_item(thread.id, item, ALICE)
    await store.delete_attachment(file.id, ALICE)
    for call in (store.load_attachment, store.delete_attachment):
        with pytest.raises(NotFound, match="Attachment atc_1"):
            await call(file.id, ALICE)
    message = await store.load_item(thread.id, item.id, ALICE)
    assert isinstance(message, UserMessageItem)
    assert [attachment.metadata for attachment in message.attachments] == [{"size": 3, "key": "k"}]


async def test_unreadable_attachment_is_not_found(store: Store, sql: Query) -> None:
    await store.save_attachment(make_file(), ALICE)
    await sql("UPDATE attachments SET payload = '{}'")
    with pytest.raises(NotFound):
        await store.load_attachment("atc_1", ALICE)


async def test_attachment_of_a_message_is_bound_to_its_thread_for_good(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query
) -> None:
    file, other = make_file(), make_thread()
    await store.save_attachment(file, ALICE)
    first = make_turn(thread.id)
    await turns.start(first, ALICE, items=[user_message(attachments=[file])])
    await turns.finish(first.id, TurnEnd("completed"), ALICE)
    (row,) = await sql("SELECT thread_id, payload FROM attachments")
    payload = json.loads(row.payload) if isinstance(row.payload, str) else row.payload
    assert row.thread_id == payload["thread_id"] == thread.id
    await turns.start(make_turn(thread.id), ALICE, items=[user_message("again", attachments=[file, file])])
    with pytest.raises(NotFound, match="Attachment atc_1"):
        await turns.start(make_turn(other.id), ALICE, new_thread=other, items=[user_message(attachments=[file])])
    assert (await store.load_attachment(file.id, ALICE)).metadata == {"size": 3, "key": "k"}
    assert [row.id for row in await sql("SELECT id FROM threads")] == [thread.id]
    await store.delete_thread(thread.id, ALICE)
    assert await sql("SELECT id FROM attachments") == []


async def test_attachment_of_a_first_message_is_bound_to_the_new_thread(
    store: Store, turns: TurnStore, sql: Query
) -> None:
    file, thread = make_file(), make_thread()
    await store.save_attachment(file, ALICE)
    await turns.start(make_turn(thread.id), ALICE, new_thread=thread, items=[user_message(attachments=[file])])
    assert (await store.load_attachment(file.id, ALICE)).thread_id == thread.id
    await store.delete_thread(thread.id, ALICE)
    assert await sql("SELECT id FROM attachments") == []


@pytest.mark.parametrize("owner", [None, BOB], ids=["unknown", "another user's"])
async def test_message_with_a_foreign_attachment_writes_nothing(
    store: Store, turns: TurnStore, thread: ThreadMetadata, sql: Query, owner: User | None
) -> None:
    file = make_file()
    if owner is not None:
        await store.save_attachment(file, owner)
    old = user_message("q")
    await store.add_thread_items(thread.id, [old, assistant_message("a")], ALICE)
    mine = make_file().model_copy(update={"id": "atc_0"})
    await store.save_attachment(mine, ALICE)
    with pytest.raises(NotFound, match="Attachment atc_1"):
        await turns.start(
            make_turn(thread.id), ALICE, items=[user_message(attachments=[mine, file])], replace_after=old.id
        )
    items = await store.load_thread_items(thread.id, None, 9, "asc", ALICE)
    assert [text_of(item) for item in items.data] == ["q", "a"]
    assert await turns.list(ALICE) == []
    assert {row.thread_id for row in await sql("SELECT thread_id FROM attachments")} == {None}


async def test_one_of_many_concurrent_threads_gets_an_attachment(store: Store, turns: TurnStore, sql: Query) -> None:
    file, threads = make_file(), [make_thread() for _ in range(6)]
    await store.save_attachment(file, ALICE)
    ends = await asyncio.gather(
        *(turns.start(make_turn(t.id), ALICE, new_thread=t, items=[user_message(attachments=[file])]) for t in threads),
        return_exceptions=True,
    )
    assert [end for end in ends if not isinstance(end, NotFound)] == [[]]
    (row,) = await sql("SELECT id FROM threads")
    assert (await store.load_attachment(file.id, ALICE)).thread_id == row.id
