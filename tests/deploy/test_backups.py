"""The backups of docs/deploy.md: its commands save and restore both databases and the files."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.databases import Postgres
from tests.deploy.document import DOCUMENT, block
from tests.files.uploading import form
from tests.serving import serve
from tests.workers.processes import install_command

NOTE = b"The note is in the backup."
FILES = block("sh", "tar -czf")
RESTORE = block("sh", "pg_restore")
SQLITE_RESTORE = "cp chat-backup.db chatkit.db"


def run(commands: str, folder: Path, environment: dict[str, str]) -> None:
    """Run commands of the document in a folder."""
    installed = install_command(folder / "bin")
    path = f"{environment.get('PATH', '')}:{installed['PATH']}"
    environment = environment | installed | {"PATH": path, "CHATKIT_MODEL": "demo"}
    done = subprocess.run(
        ["sh", "-euc", commands], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def chat(folder: Path, url: str) -> tuple[str, str, str]:
    """Have a conversation with a file; return its thread's id, the file's and the user's cookie."""
    async with serve(folder / ".chatkit", database_url=url) as served, served.tab() as tab:
        thread_id = (await tab.create("Hello")).thread_id
        data = form(NOTE, "note.txt", "text/plain")
        async with tab.session.post(f"{served.url}/api/attachments", data=data) as response:
            file_id = (await response.json())["id"]
        (cookie,) = [cookie.value for cookie in tab.cookies]
        return thread_id, file_id, cookie


async def check(folder: Path, url: str, thread_id: str, file_id: str, cookie: str) -> None:
    """Look for the conversation and the file."""
    async with serve(folder / ".chatkit", database_url=url) as served, served.tab() as tab:
        tab.cookies.update_cookies({"chatkit_user": cookie})
        assert [role for role, _ in (await tab.reload(thread_id)).texts()] == ["user", "assistant"]
        rows = await served.rows("SELECT id FROM attachments")
        assert [row["id"] for row in rows] == [file_id]
    assert NOTE in [path.read_bytes() for path in (folder / ".chatkit" / "files").rglob("*") if path.is_file()]


async def test_a_postgresql_database_and_its_files_are_restored(postgres: Postgres, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    programs = {"PATH": str(postgres.programs)}
    with postgres.fresh_database(with_schema=True) as old, postgres.fresh_database() as new:
        known = await chat(before, old)
        run(block("sh", "pg_dump") + FILES, before, programs | {"CHATKIT_DATABASE_URL": old})
        after.mkdir()
        for name in ("chat.dump", "chat-files.tgz"):
            shutil.copy(before / name, after / name)
        run(RESTORE, after, programs | {"CHATKIT_DATABASE_URL": new})
        await check(after, new, *known)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed (Debian: apt install sqlite3)")
async def test_a_sqlite_database_and_its_files_are_restored(tmp_path: Path) -> None:
    assert f"`{SQLITE_RESTORE}`" in DOCUMENT
    before, after = tmp_path / "before", tmp_path / "after"
    (before / ".chatkit").mkdir(parents=True)
    environment = {"CHATKIT_DATABASE_URL": "sqlite:///chatkit.db"}
    run("chatkit-server migrate", before, environment)
    known = await chat(before, f"sqlite:///{before / 'chatkit.db'}")
    run(block("sh", "VACUUM INTO") + FILES, before, environment)
    after.mkdir()
    for name in ("chat-backup.db", "chat-files.tgz"):
        shutil.copy(before / name, after / name)
    run(re.sub(r"^pg_restore.*$", SQLITE_RESTORE, RESTORE, flags=re.MULTILINE), after, environment)
    await check(after, f"sqlite:///{after / 'chatkit.db'}", *known)
