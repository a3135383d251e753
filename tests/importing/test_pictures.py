"""Pictures of imported messages: what is fetched, and what becomes a note."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import ImageAttachment, ThreadItem, UserMessageItem
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import StreamingResponse

from chatkit_store import SqlStore
from tests.files.uploading import PDF, decompression_bomb, picture
from tests.importing.conftest import Command
from tests.importing.hosted_api import HostedApi, failure, question
from tests.store.factories import User

ADA = User("ada")


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def attachment(url: Any, **fields: Any) -> dict[str, Any]:
    common = {"id": "cfile_1", "type": "image", "name": "tea/../pot.png", "mime_type": "image/png"}
    return common | {"preview_url": url} | fields


async def message_of(engine: AsyncEngine) -> UserMessageItem:
    items: list[ThreadItem] = (await SqlStore[User](engine).load_thread_items("cthr_1", None, 1, "asc", ADA)).data
    assert isinstance(items[0], UserMessageItem)
    return items[0]


async def test_a_picture_is_stored_with_its_message(
    command: Command, api: HostedApi, engine: AsyncEngine, tmp_path: Path
) -> None:
    api.pictures = {"pot": picture()}
    url = f"{api.url}/pictures/pot"
    api.add("cthr_1", question(attachments=[attachment(url), attachment(url, id="atc_" + "a" * 32, name=None)]))
    for _ in range(2):
        assert (await command("openai")).exit_code == 0
    first, second = (await message_of(engine)).attachments
    assert isinstance(first, ImageAttachment)
    assert (first.name, str(first.preview_url), first.thread_id) == ("pot.png", f"attachment:{first.id}", "cthr_1")
    assert second.id == "atc_" + "a" * 32
    files = [path for path in (tmp_path / "data" / "files").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == sorted(
        name for id in (first.id, second.id) for name in (id, f"{id}.preview")
    )
    assert {path.read_bytes() for path in files if not path.name.endswith(".preview")} == {picture()}


async def test_what_is_no_picture_becomes_a_note(
    command: Command, api: HostedApi, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKIT_ATTACHMENT_MAX_BYTES", "2000000")
    api.pictures = {"large": bytes(3_000_000)}
    urls = [
        f"{api.url}/pictures/expired",
        f"{api.url}/pictures/large",
        "http://127.0.0.1:9/pot.png",
        "ftp://tea.example/pot.png",
        "http://[",
        "data:image/png;base64,!",
        "data:image/png;base64,é",
        "data:image/png,plain",
        data_url(PDF),
        data_url(b"\x89PNG\r\n\x1a\n half"),
        data_url(decompression_bomb()),
        data_url(bytes(3_000_000)),
        7,
        None,
    ]
    entries = [attachment(url, id=f"cfile_{place}") for place, url in enumerate(urls)]
    entries.append(attachment(data_url(picture()), id="cfile_text", type="file"))
    api.add("cthr_1", question("See", attachments=entries))
    done = await command("openai")
    assert done.exit_code == 0, done.output
    assert f"could not be read or fetched: {len(entries)} files." in done.stdout
    message = await message_of(engine)
    assert message.attachments == []
    assert ["could not be imported" in part.text for part in message.content] == [False, *[True] * len(entries)]


async def test_a_picture_that_fails_for_a_moment_is_asked_for_again(
    command: Command, api: HostedApi, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield picture()[:20]
        raise ConnectionResetError

    monkeypatch.setattr("chatkit_server.importing.pictures.FIRST_PAUSE", 0.001)
    api.pictures = {"pot": picture()}
    api.picture_faults = [
        failure(429, "Slow down", retry_after_ms="1"),
        failure(503, "Later", retry_after="0"),
        StreamingResponse(half(), headers={"content-length": str(len(picture()))}),
    ]
    api.add("cthr_1", question(attachments=[attachment(f"{api.url}/pictures/pot")]))
    assert "1 picture came along." in (await command("openai")).stdout
    assert api.picture_faults == []
    api.add("cthr_2", question(attachments=[attachment(f"{api.url}/pictures/pot")]))
    api.picture_faults = [failure(503, "Down", retry_after_ms="1") for _ in range(9)]
    assert "could not be read or fetched: 1 file." in (await command("openai")).stdout


async def test_the_key_is_not_sent_to_where_pictures_are(command: Command, api: HostedApi) -> None:
    api.pictures = {"pot": picture()}
    api.add("cthr_1", question(attachments=[attachment(f"{api.url}/pictures/pot")]))
    await command("openai")
    assert api.picture_headers
    assert not any("authorization" in headers for headers in api.picture_headers)
