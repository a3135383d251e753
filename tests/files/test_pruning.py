"""Unused files are deleted: by the command, and by a running server."""

import asyncio
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatkit_server import cli
from tests.files.uploading import TEXT, UploadClient, picture, sqlite_only
from tests.serving import SECRET
from tests.turns.conftest import Start

pytestmark = sqlite_only


@pytest.fixture
def command(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the command the settings of the running app; return its arguments."""
    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)
    values = {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path), "SECRET": SECRET, "MODEL": "demo"}
    for name, value in values.items():
        monkeypatch.setenv(f"CHATKIT_{name}", value)
    return ["prune"]


async def run(*arguments: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cli.app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


async def test_the_command_deletes_only_unused_files(
    client: UploadClient, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await client.upload(picture(), "sent.png", "image/png")
    unsent = await client.upload(picture(), "unsent.png", "image/png")
    deleted = await client.upload(TEXT)
    reply = await client.send(deleted.id)
    await client.send(sent.id)
    await client.announce()
    await client.tab.post("threads.delete", {"thread_id": reply.thread_id})
    all_files = client.stored_files()
    assert len(all_files) == 5  # two images with their previews, and a text

    output = await run(*command, "--dry-run")
    size = len(TEXT)
    assert output == (
        f"Would delete 0 file(s) that were not sent within 24 hours and 1 of deleted conversations, {size} bytes "
        "in all.\n"
    )
    assert client.stored_files() == all_files
    assert (await run(*command)).startswith("Deleted 0 file(s)")
    assert deleted.id not in client.stored_files()
    assert len(client.stored_files()) == 4

    monkeypatch.setenv("CHATKIT_UNSENT_HOURS", "0")
    dry = await run(*command, "--dry-run")
    assert (await run(*command)) == dry.replace("Would delete", "Deleted")
    assert "2 file(s) that were not sent within 0 hours and 0 of deleted" in dry
    assert client.stored_files() == [sent.id, f"{sent.id}.preview"]
    assert [row[0] for row in await client.rows()] == ["sent.png"]
    assert (await client.get(client.link(sent.id)))[0] == 200
    assert "not found" in (await client.send(unsent.id)).error["message"]
    assert "Deleted 0 file(s) that were not sent within 0 hours and 0 of deleted" in await run(*command)


async def test_a_running_server_prunes_periodically(start: Start) -> None:
    chat = await start(prune_minutes=0.001, unsent_hours=0)
    async with UploadClient.of(chat) as client:
        await client.upload(picture(), "a.png", "image/png")
        async with asyncio.timeout(30):
            while client.stored_files() or await client.rows():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.02)


async def test_half_written_files_of_a_crashed_server_are_deleted(client: UploadClient) -> None:
    sent = (await client.upload(TEXT)).id
    folder = Path(client.chat.services.settings.data_dir) / "files"
    abandoned, active = folder / f"{sent}#1", folder / f"{sent}#2"
    for path in (abandoned, active):
        path.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    assert sent in client.stored_files()
    await client.chat.services.pruner.prune(dry_run=True)
    assert len(client.stored_files()) == 3
    await client.chat.services.pruner.prune()
    assert client.stored_files() == [sent, active.name]


async def test_an_upload_in_progress_is_not_pruned(client: UploadClient, command: list[str]) -> None:
    announced = await client.announce()
    await run(*command)
    assert (await client.put(announced, TEXT)).status == 200
    await run(*command)
    assert client.stored_files() == [announced["id"]]
