"""Files in messages: in the stream, in SQL, after a reload, and in the request to the model."""

import base64
import threading
from collections.abc import Collection
from typing import Any

import pytest
from sqlalchemy import text

from chatkit_store import UploadStore
from chatkit_store.owner import HasUser
from chatkit_store.tables import metadata
from tests.files.uploading import PDF, TEXT, UploadClient, picture, sqlite_only
from tests.support.chatkit import Json
from tests.support.openai_answers import Answer, Failure
from tests.turns.chat import Chat
from tests.turns.conftest import Start


def parts_of(chat: Chat, request: int = -1) -> list[Json]:
    """Return all parts of user messages in a request to the model."""
    body = chat.upstream.requests[request].body
    messages = body.get("input") or body["messages"]
    content = [message["content"] for message in messages if message.get("role") == "user"]
    return [part for parts in content if isinstance(parts, list) for part in parts]


def data_url(mime_type: str, data: bytes) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


async def whole_database(chat: Chat) -> str:
    """Return every value of every table as one text."""
    return "\n".join([str(await chat.select(f"SELECT * FROM {table}")) for table in metadata.tables])


@sqlite_only
async def test_the_demo_model_counts_files_and_quotes_only_the_text(start: Start) -> None:
    async with UploadClient.of(await start(model="demo", base_url=None, demo_tokens_per_second=1e6)) as client:
        notes = [(await client.upload(b"call current_time", "notes.txt", "text/plain")).id for _ in range(2)]
        image = (await client.upload(picture("JPEG"), "sea.jpg", "image/jpeg")).id
        answer = (await client.send(notes[0], text="What is\nthis?")).text
        both = (await client.send(notes[1], image, text="And these?")).text
    start_of_answer = "> What is\n> this?\n\nYou attached a file, which I cannot read.\n\nUse one of these words"
    assert start_of_answer in answer
    assert "call current_time" not in answer
    assert "> And these?\n\nYou attached 2 files, which I cannot read.\n\nUse one" in both


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
async def test_a_file_reaches_the_stream_the_database_the_reload_and_both_turns(client: UploadClient, api: str) -> None:
    image, chat = picture("JPEG"), client.chat
    uploads = [
        await client.upload(image, "sea.jpg", "image/jpeg"),
        await client.upload(PDF, "form.pdf", "application/pdf"),
        await client.upload(TEXT, "notes.txt", "text/plain"),
    ]
    reply = await client.send(*(upload.id for upload in uploads), text="What are these?")
    assert reply.error is None
    attachments = [{**upload.body, "thread_id": reply.thread_id} for upload in uploads]
    assert reply.user_item["attachments"] == attachments
    assert attachments[0]["preview_url"].startswith("data:image/webp;base64,")
    assert (await client.tab.reload(reply.thread_id)).items == reply.picture.items
    bound = await chat.select("SELECT DISTINCT thread_id FROM attachments")
    assert bound == [(reply.thread_id,)]
    assert "data:" not in await whole_database(chat)
    assert f"attachment:{uploads[0].id}" in await whole_database(chat)

    if api == "responses":
        files: list[Json] = [
            {"type": "input_image", "detail": "auto", "image_url": data_url("image/jpeg", image)},
            {"type": "input_file", "filename": "form.pdf", "file_data": data_url("application/pdf", PDF)},
        ]
    else:
        url = {"url": data_url("image/jpeg", image), "detail": "auto"}
        file = {"filename": "form.pdf", "file_data": data_url("application/pdf", PDF)}
        files = [{"type": "image_url", "image_url": url}, {"type": "file", "file": file}]
    parts = parts_of(chat)
    assert parts[1:3] == files
    assert parts[3]["text"] == f"The user attached the file “notes.txt”:\n\n{TEXT.decode()}"
    again = await client.send(text="And now?", thread_id=reply.thread_id)
    assert again.error is None
    assert parts_of(chat)[:4] == parts


@sqlite_only
async def test_files_with_a_wrong_or_missing_type_reach_the_model_as_what_they_are(client: UploadClient) -> None:
    image, table = picture("JPEG"), "Name;Größe\nMüller;5,50 €\n"
    uploads = [
        await client.upload(image, "sea.jpg", "image/jpg"),
        await client.upload(image, "sea.txt", "text/plain"),
        await client.upload(b"\r\n" + PDF, "form.png", "image/png"),
        await client.upload(table.encode("cp1252"), "table.csv", "application/vnd.ms-excel"),
        await client.upload("[a]\nb = ü\n".encode("utf-16"), "settings.ini", ""),
    ]
    types = ["image/jpeg", "image/jpeg", "application/pdf", "text/plain", "text/plain"]
    assert [upload.body["mime_type"] for upload in uploads] == types
    reply = await client.send(*(upload.id for upload in uploads), text="What are these?")
    assert reply.error is None
    parts = parts_of(client.chat)[1:]
    assert [part.get("type") for part in parts[:3]] == ["input_image", "input_image", "input_file"]
    assert parts[3]["text"] == f"The user attached the file “table.csv”:\n\n{table}"
    assert parts[4]["text"] == "The user attached the file “settings.ini”:\n\n[a]\nb = ü\n"


@sqlite_only
async def test_a_retry_sends_the_same_file_to_the_model(client: UploadClient) -> None:
    image = await client.upload(picture(), "a.png", "image/png")
    reply = await client.send(image.id)
    await client.tab.retry(reply.thread_id, reply.user_item["id"])
    first, second = (parts_of(client.chat, request) for request in (0, 1))
    assert first == second
    assert first[1]["image_url"].startswith("data:image/png;base64,")


@sqlite_only
async def test_a_file_stays_bound_to_its_first_thread(client: UploadClient) -> None:
    file = (await client.upload(TEXT)).id
    first, other = await client.send(file), await client.tab.create("Another conversation")
    again = await client.send(file, thread_id=first.thread_id)
    assert again.error is None
    refused = await client.send(file, thread_id=other.thread_id)
    assert "attach it again" in refused.error["message"]
    assert "attach it again" in (await client.send(file)).error["message"]
    assert len(await client.chat.select("SELECT id FROM threads")) == 2


@sqlite_only
async def test_the_number_of_files_per_message_is_limited(start: Start) -> None:
    async with UploadClient.of(await start(attachments_per_message=2)) as client:
        files = [(await client.upload(TEXT)).id for _ in range(3)]
        refused = await client.send(*files)
        assert "at most 2 files" in refused.error["message"]
        assert await client.chat.select("SELECT id FROM threads") == []
        assert (await client.send(*files[:2])).error is None


def pdf_of(size: int) -> bytes:
    return PDF.ljust(size, b"\n")


def files_in_input(chat: Chat) -> list[str]:
    """Return for each file of the last request its name if its content was sent, else the note about it."""
    files = [part.get("filename") or part["text"] for part in parts_of(chat) if part["type"] != "input_image"]
    return [name for name in files if ".pdf" in name or ".txt" in name]


@sqlite_only
async def test_the_oldest_files_are_replaced_by_notes_if_the_total_is_too_large(start: Start) -> None:
    async with UploadClient.of(await start(attachments_model_bytes=2_500)) as client:
        thread_id = None
        for number in range(4):
            file = await client.upload(pdf_of(1_000), f"{number}.pdf", "application/pdf")
            reply = await client.send(file.id, thread_id=thread_id)
            assert reply.error is None
            thread_id = reply.thread_id
        note = "[The user attached a file here that no longer fits into the request; they can attach it again: "
        assert files_in_input(client.chat) == [
            f"{note}0.pdf (application/pdf)]",
            f"{note}1.pdf (application/pdf)]",
            "2.pdf",
            "3.pdf",
        ]
        await client.send((await client.upload(TEXT, "a.txt")).id, thread_id=thread_id)
        assert files_in_input(client.chat)[2:4] == ["2.pdf", "3.pdf"]


@sqlite_only
async def test_too_large_files_of_one_message_are_refused_before_the_model_request(start: Start) -> None:
    async with UploadClient.of(await start(attachments_model_bytes=150_000)) as client:
        files = [(await client.upload(pdf_of(100_000), f"{n}.pdf", "application/pdf")).id for n in range(2)]
        reply = await client.send(*files)
        assert reply.error["message"].startswith(
            "The model accepts at most 0.143 MB of images and PDF files in one message; these are 0.191 MB. "
            "Please send fewer or smaller files."
        )
        assert not reply.error["allow_retry"]
        assert client.chat.upstream.requests == []
        assert (await client.tab.reload(reply.thread_id)).items == [reply.user_item]
        assert (await client.send(text="Only the first, then", thread_id=reply.thread_id)).error is None
        included, left_out = files_in_input(client.chat)
        assert (included, "1.pdf" in left_out) == ("0.pdf", True)


@sqlite_only
async def test_the_files_of_a_message_are_looked_up_in_one_query(
    client: UploadClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[int] = []
    load_sizes = UploadStore.sizes

    async def sizes(uploads: UploadStore, ids: Collection[str], context: HasUser) -> dict[str, int | None]:
        queries.append(len(ids))
        return await load_sizes(uploads, ids, context)

    monkeypatch.setattr(UploadStore, "sizes", sizes)
    files = [(await client.upload(pdf_of(100 + n), f"{n}.pdf", "application/pdf")).id for n in range(3)]
    thread_id = (await client.send(*files)).thread_id
    async with client.chat.services.engine.begin() as connection:  # like rows of earlier versions
        await connection.execute(text("UPDATE attachments SET size = NULL"))
    await client.send((await client.upload(PDF, "a.pdf", "application/pdf")).id, thread_id=thread_id)
    assert queries == [3, 1, 3]
    assert files_in_input(client.chat) == ["0.pdf", "1.pdf", "2.pdf", "a.pdf"]


@sqlite_only
async def test_files_are_encoded_outside_the_event_loop(client: UploadClient, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def encode(mime_type: str, data: bytes) -> str:
        threads.append(threading.current_thread())
        return data_url(mime_type, data)

    file = await client.upload(PDF, "a.pdf", "application/pdf")
    monkeypatch.setattr("chatkit_server.files.user_files._encode", encode)
    assert (await client.send(file.id)).error is None
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


@sqlite_only
async def test_a_thread_continues_after_one_of_its_files_is_gone(client: UploadClient) -> None:
    image = (await client.upload(picture(), "a.png", "image/png")).id
    reply = await client.send(image)
    await client.chat.services.pruner._blobs.delete(image, f"{image}.preview")
    again = await client.send(text="Still there?", thread_id=reply.thread_id)
    assert again.error is None
    assert parts_of(client.chat)[1]["text"] == "[The user attached a file that cannot be read: a.png (image/png)]"
    (attachment,) = (await client.tab.reload(reply.thread_id)).items[0]["attachments"]
    assert attachment["preview_url"].startswith(client.chat.url)


@sqlite_only
async def test_a_reader_that_attaches_to_a_turn_gets_fresh_links(client: UploadClient) -> None:
    image = await client.upload(picture(), "a.png", "image/png")
    client.chat.upstream.script(Answer("one two three", hang_after=1))
    params = {"input": {"content": [], "attachments": [image.id], "inference_options": {}}}
    async with client.tab.open("threads.create", params) as reply:
        await reply.wait_for("assistant_message.content_part.text_delta")
        attach = {"thread_id": reply.thread_id, "action": {"type": "turn.attach", "payload": None}}
        async with client.chat.tab(cookies=client.tab.cookies) as second:
            async with second.open("threads.custom_action", attach) as again:
                await again.wait_for("thread.item.added")
                client.chat.upstream.release()
                await again.read()
                await reply.read()
                assert again.picture.items[0]["attachments"][0]["preview_url"] == image.body["preview_url"]
        url = f"{client.chat.url}/api/turns/{reply.headers['x-chatkit-turn-id']}/events"
        async with client.tab.session.get(url) as response:
            events = await response.text()
    assert image.body["preview_url"] in events
    assert '"attachment:' not in events


@sqlite_only
async def test_a_model_without_image_input_is_reported_clearly(client: UploadClient) -> None:
    image = await client.upload(picture(), "a.png", "image/png")
    failure = Failure(400, None, "image input is not supported - hint: if this is unexpected, provide the mmproj")
    client.chat.upstream.script(Answer(fail=failure))
    reply = await client.send(image.id)
    assert "The model cannot read a picture or file of this message." in reply.error["message"]
    assert not reply.error["allow_retry"]
    assert (await client.tab.reload(reply.thread_id)).items == [reply.user_item]


@sqlite_only
@pytest.mark.parametrize("model", ["demo"])
async def test_the_demo_model_accepts_files(start: Start, model: str) -> None:
    async with UploadClient.of(await start(model=model, base_url=None)) as client:
        image = await client.upload(picture(), "a.png", "image/png")
        assert (await client.send(image.id, text="markdown")).error is None


@sqlite_only
async def test_text_that_looks_like_a_reference_is_left_alone(client: UploadClient) -> None:
    image = (await client.upload(picture(), "a.png", "image/png")).id
    text = f'"url":"attachment:{image}" and {{"preview_url":"attachment:{image}"}}'
    client.chat.upstream.script(Answer(text))
    reply: Any = await client.send(text=text)
    assert reply.picture.texts() == [("user", text), ("assistant", text)]
    assert (await client.tab.reload(reply.thread_id)).texts() == reply.picture.texts()
