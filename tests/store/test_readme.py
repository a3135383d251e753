"""The commands and the server of store/README.md, run as it says, each in its own process."""

import asyncio
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from tests.support.chatkit import ChatKitClient
from tests.support.openai_server import OpenAIServer

README = Path(__file__).parents[2] / "store/README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = dict(BLOCK.findall(README.read_text(encoding="utf-8")))


@asynccontextmanager
async def serve(folder: Path, upstream: OpenAIServer) -> AsyncIterator[str]:
    """Run the README's server with uvicorn and give its base URL."""
    (folder / "server.py").write_text(BLOCKS["python"], encoding="utf-8")
    environment = os.environ | {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": upstream.base_url,
        "OPENAI_DEFAULT_MODEL": "gpt-test",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
    command = [sys.executable, "-m", "uvicorn", "server:app", "--port", "0"]
    server = await asyncio.create_subprocess_exec(*command, env=environment, cwd=folder, stderr=subprocess.PIPE)
    try:
        yield await read_url(server)
    finally:
        server.terminate()
        await server.communicate()


async def read_url(server: asyncio.subprocess.Process) -> str:
    assert server.stderr is not None
    log = ""
    async with asyncio.timeout(30):
        async for line in server.stderr:
            log += line.decode()
            if url := re.search(r"running on (http://\S+)", log):
                return url[1]
    raise RuntimeError(log)


def query(file: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(statement).fetchall()


async def test_readme_server_answers_and_saves_the_conversation(tmp_path: Path) -> None:
    async with (
        OpenAIServer() as upstream,
        serve(tmp_path, upstream) as url,
        ChatKitClient(url) as tab,
    ):
        reply = await tab.create("Hello")
        assert reply.text == "Hello from the fake model."
        await tab.send(reply.thread_id, "Again")
        assert (await tab.reload(reply.thread_id)).texts() == tab.pictures[reply.thread_id].texts()
        assert len(upstream.requests[-1].body["input"]) == 3
        messages = query(tmp_path / "chat.db", BLOCKS["sql"].replace("'thr_…'", f"'{reply.thread_id}'"))
    assert messages[:2] == [("user", "Hello"), ("assistant", "Hello from the fake model.")]


def test_readme_command_migrates_a_database(tmp_path: Path) -> None:
    python, *arguments = shlex.split(BLOCKS["sh"])
    assert python == "python"
    subprocess.run([sys.executable, *arguments], cwd=tmp_path, timeout=60, check=True)
    assert query(tmp_path / "chat.db", "SELECT * FROM threads") == []
