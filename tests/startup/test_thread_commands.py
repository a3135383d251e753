"""`chatkit-server threads` and `users`, on all databases: what they print and write, and that nothing stays behind."""

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import FileAttachment, ThreadItem
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from chatkit_server import cli
from chatkit_server.files.blob_storage import make_blobs
from chatkit_server.settings import Settings
from chatkit_store import ChatSessionStore, ImportStore, NotFound, Owner, SqlStore, new_id
from chatkit_store.tables import metadata
from tests.conftest import also_guarded
from tests.databases import is_guarded, see_all
from tests.store.factories import BOB, User, assistant_message, make_session, make_thread, user_message

DATA = Path(__file__).parents[2] / "docs" / "data.md"
GRETE = User("grete", "shop")

pytestmark = also_guarded


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setattr("chatkit_server.startup.thread_commands.configure_logging", lambda settings: None)
    monkeypatch.setenv("CHATKIT_DATABASE_URL", database_url)
    monkeypatch.setenv("CHATKIT_ROW_SECURITY", str(is_guarded(database_url)))


@pytest.fixture
async def saved(engine: AsyncEngine) -> list[str]:
    """Save two threads of Grete, the first with a file, and one of Bob; return their ids."""
    store = SqlStore[User](engine)
    file = FileAttachment(id=new_id("atc"), name="bill.txt", mime_type="text/plain")
    await store.save_attachment(file, GRETE)
    await make_blobs(Settings()).put(file.id, b"42 euros")
    ids = []
    for owner, title, attachments in ((GRETE, "Bill", [file]), (GRETE, "Order", []), (BOB, None, [])):
        thread = make_thread(title=title)
        await store.save_thread(thread, owner)
        items: list[ThreadItem] = [user_message(f"About {title}", attachments=attachments), assistant_message("Yes")]
        await store.add_thread_items(thread.id, items, owner)
        ids.append(thread.id)
    await ChatSessionStore(engine).create(make_session(tenant="shop", user_id="grete"))
    await ImportStore(engine).begin("cthr_1", make_thread(), Owner("shop", "grete"))
    return ids


async def run(*arguments: str, answer: str | None = None) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, cli.app, list(arguments), answer)


async def printed(*arguments: str) -> list[str]:
    result = await run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


async def rows_with(engine: AsyncEngine, word: str) -> list[str]:
    """Return the tables that have a row with the word in any column."""
    async with engine.connect() as connection:
        await see_all(connection)
        return [
            name
            for name, table in metadata.tables.items()
            if any(word in str(row) for row in await connection.execute(select(table)))
        ]


async def test_threads_are_listed_and_shown(saved: list[str]) -> None:
    everything = await printed("threads", "list")
    assert {line.split()[0] for line in everything} > set(saved)
    assert [line.split()[0] for line in await printed("threads", "list", "--user", "bob")] == saved[2:]
    (line,) = await printed("threads", "list", "--tenant", "shop", "--after", saved[1], "--limit", "1", "--json")
    assert (json.loads(line)["id"], json.loads(line)["user"], json.loads(line)["tenant"]) == (saved[0], "grete", "shop")

    lines = await printed("threads", "show", saved[0])
    assert lines[0] == f"{saved[0]}  2026-11-23 12:00  shop/grete  Bill"
    assert [line for line in lines[1:] if line and not line.startswith("[")] == ["About Bill", "Yes"]
    types = [json.loads(line).get("type") for line in await printed("threads", "show", saved[0], "--json")]
    assert types == [None, "chatkit.user_message", "chatkit.assistant_message"]


async def test_texts_of_users_do_not_control_the_terminal(engine: AsyncEngine) -> None:
    store, thread = SqlStore[User](engine), make_thread(title="Clear\x1b[2J\nthe screen")
    await store.save_thread(thread, BOB)
    await store.add_thread_items(thread.id, [user_message("Ring\x07\n\x9b31mred")], BOB)
    lines = await printed("threads", "show", thread.id)
    assert lines[0].endswith("  bob  Clear\N{REPLACEMENT CHARACTER}[2J the screen")
    assert lines[3:] == ["Ring\N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER}31mred"]
    assert lines[0] in await printed("threads", "list")
    (_, place) = await printed("threads", "search", "31MRED")
    assert place == "    Ring\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}31mred"


async def test_threads_are_found_by_a_text(saved: list[str]) -> None:
    lines = await printed("threads", "search", "about")
    assert [line.split()[0] for line in lines if line.startswith("thr_")] == saved[::-1]
    assert lines[-1] == "    About Bill"
    assert [
        line.split()[0] for line in await printed("threads", "search", "yes", "--tenant", "shop", "--limit", "1")
    ] == [
        saved[1],
        "Yes",
    ]
    assert await printed("threads", "search", "nothing") == []


async def test_an_export_can_be_imported(saved: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "threads"
    assert await printed("threads", "export", "--to", str(folder), "--tenant", "shop") == [
        f"Exported 3 thread(s) and 1 file(s) to {folder}."
    ]
    content: dict[str, Any] = json.loads((folder / f"{saved[0]}.json").read_text(encoding="utf-8"))
    (attachment,) = content["items"][0]["attachments"]
    assert (folder / "files" / attachment["id"]).read_bytes() == b"42 euros"
    await printed("threads", "delete", "--yes", saved[0])
    output = await printed("import", str(folder))
    assert output[0].startswith("Imported 3 threads of 1 user, with 4 items."), output
    assert await printed("threads", "show", saved[0]) != []


async def test_deletions_ask_first_and_leave_nothing(saved: list[str], engine: AsyncEngine) -> None:
    refused = await run("threads", "delete", saved[2], answer="n\n")
    assert (refused.exit_code, "Delete 1 thread(s)?" in refused.stderr) == (1, True)
    assert (await SqlStore[User](engine).load_thread(saved[2], BOB)).id == saved[2]
    assert "Deleted 1 thread(s)." in (await run("threads", "delete", saved[2], answer="y\n")).stdout
    with pytest.raises(NotFound):
        await SqlStore[User](engine).load_thread(saved[2], BOB)

    assert {"threads", "chat_sessions", "imported_threads", "attachments"} <= set(await rows_with(engine, "grete"))
    assert (await printed("users", "delete", "grete", "--yes"))[0].startswith("Deleted 0 thread(s)")  # of no tenant
    (sentence,) = await printed("users", "delete", "grete", "--tenant", "shop", "--yes")
    assert sentence.startswith("Deleted 3 thread(s), and all else that was stored of grete.")
    assert await rows_with(engine, "grete") == []
    assert await rows_with(engine, "About") == []


async def test_the_commands_of_the_documentation_run(saved: list[str], database_url: str) -> None:
    (block,) = re.findall(r"^```sh\n(chatkit-server threads.*?)^```$", DATA.read_text(encoding="utf-8"), re.M | re.S)
    lines = [line.partition("#")[0].replace("thr_…", saved[2]).replace("ada", "bob") for line in block.splitlines()]
    assert len(lines) == 7
    for line in lines:
        result = await run(*shlex.split(line)[1:], answer="y\n")
        assert result.exit_code == 0, result.output


async def test_an_unknown_thread_is_a_sentence(saved: list[str]) -> None:
    for arguments in (("show", "thr_1"), ("export", "thr_1", "--to", "folder"), ("delete", saved[0], "thr_1", "--yes")):
        result = await run("threads", *arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
        assert "Thread thr_1 not found. `chatkit-server threads list` prints what there is." in result.stderr
    assert await printed("threads", "show", saved[0])
