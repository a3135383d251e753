"""What nobody holds any more is collected: by the command, and by a server that runs."""

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
    """The settings of the running app for the command; the words that call it."""
    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)
    values = {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path), "SECRET": SECRET, "MODEL": "demo"}
    for name, value in values.items():
        monkeypatch.setenv(f"CHATKIT_{name}", value)
    return ["prune"]


async def run(*words: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cli.app, list(words))
    assert result.exit_code == 0, result.output
    return result.output


async def test_the_command_deletes_what_nobody_holds_and_nothing_else(
    client: UploadClient, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await client.upload(picture(), "kept.png", "image/png")
    unsent = await client.upload(picture(), "unsent.png", "image/png")
    of_deleted = await client.upload(TEXT)
    reply = await client.send(of_deleted.id)
    await client.send(kept.id)
    await client.announce()
    await client.tab.post("threads.delete", {"thread_id": reply.thread_id})
    everything = client.kept()
    assert len(everything) == 5  # two pictures with their previews, and a text

    said = await run(*command, "--dry-run")
    size = len(TEXT)
    assert said == (
        f"Would delete 0 file(s) that were not sent within 24 hours and 1 of deleted conversations, {size} bytes "
        "in all.\n"
    )
    assert client.kept() == everything
    assert (await run(*command)).startswith("Deleted 0 file(s)")
    assert of_deleted.id not in client.kept()
    assert len(client.kept()) == 4

    monkeypatch.setenv("CHATKIT_UNSENT_HOURS", "0")
    dry = await run(*command, "--dry-run")
    assert (await run(*command)) == dry.replace("Would delete", "Deleted")
    assert "2 file(s) that were not sent within 0 hours and 0 of deleted" in dry
    assert client.kept() == [kept.id, f"{kept.id}.preview"]
    assert [row[0] for row in await client.rows()] == ["kept.png"]
    assert (await client.get(client.link(kept.id)))[0] == 200
    assert "not found" in (await client.send(unsent.id)).error["message"]
    assert "Deleted 0 file(s) that were not sent within 0 hours and 0 of deleted" in await run(*command)


async def test_a_server_that_runs_collects_by_itself(start: Start) -> None:
    chat = await start(prune_minutes=0.001, unsent_hours=0)
    async with UploadClient.of(chat) as client:
        await client.upload(picture(), "a.png", "image/png")
        async with asyncio.timeout(5):
            while client.kept() or await client.rows():  # noqa: ASYNC110 - nobody tells when it is done
                await asyncio.sleep(0.02)


async def test_what_a_server_that_died_was_writing_is_deleted(client: UploadClient) -> None:
    sent = (await client.upload(TEXT)).id
    folder = Path(client.chat.services.settings.data_dir) / "files"
    died, writing = folder / f"{sent}#1", folder / f"{sent}#2"
    for path in (died, writing):
        path.write_bytes(b"half")
    os.utime(died, (0, 0))
    assert sent in client.kept()
    await client.chat.services.pruner.prune(dry_run=True)
    assert len(client.kept()) == 3
    await client.chat.services.pruner.prune()
    assert client.kept() == [sent, writing.name]


async def test_an_upload_under_way_is_left_alone(client: UploadClient, command: list[str]) -> None:
    announced = await client.announce()
    await run(*command)
    assert (await client.put(announced, TEXT)).status == 200
    await run(*command)
    assert client.kept() == [announced["id"]]
