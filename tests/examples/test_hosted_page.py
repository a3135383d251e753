"""examples/hosted-page: what differs between before and after, and both backends and admin scripts on a real server."""

import filecmp
import importlib.util
import re
import time
from collections.abc import AsyncIterator
from difflib import unified_diff
from pathlib import Path
from types import ModuleType

import httpx2
import pytest

from chatkit_server import Settings, create_app
from tests.databases import copy_sqlite
from tests.serving import DATABASE, Tab
from tests.support.live_server import live

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples/hosted-page"
BEFORE, AFTER = FOLDER / "before", FOLDER / "after"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
CHAT_URL = "http://localhost:8000"
API_KEY = "a key that is only for the tests"


def files(folder: Path) -> set[str]:
    """Return the files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def changed_lines(name: str) -> list[str]:
    """Return the lines of a file that differ, as in a diff."""
    before, after = ((folder / name).read_text(encoding="utf-8").splitlines() for folder in (BEFORE, AFTER))
    return [line for line in list(unified_diff(before, after, n=0))[2:] if line[:1] in "+-" and line[1:].strip()]


def test_the_readme_shows_every_line_that_differs() -> None:
    assert files(AFTER) - files(BEFORE) == {"react/src/session.ts"}
    assert {name.split("/")[0] for name in files(BEFORE) - files(AFTER)} == {"threads"}
    shown = {line for block in re.findall(r"^```diff\n(.*?)^```", README, re.M | re.S) for line in block.splitlines()}
    changes = {name: changed_lines(name) for name in sorted(files(BEFORE) & files(AFTER))}
    additions = {name: sum(line.startswith("+") for line in lines) for name, lines in changes.items() if lines}
    assert additions == {"admin.py": 2, "backend.py": 1, "html/index.html": 1, "react/src/Chat.tsx": 3}
    assert {line for lines in changes.values() for line in lines} == shown | {"+import os"}


def test_the_server_accepts_the_settings_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in re.findall(r"^export (CHATKIT_\w+)=(.*)$", README, re.M):
        monkeypatch.setenv(name, value)
    assert f"export CHAT_API_KEY={Settings().api_keys[0].get_secret_value()}\n" in README


def test_the_copied_file_is_that_of_the_page() -> None:
    assert filecmp.cmp(AFTER / "react/src/session.ts", ROOT / "web/src/session.ts", shallow=False)


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[str]:
    """The address of the chat server."""
    copy_sqlite(tmp_path / DATABASE)
    settings = Settings(
        auth="session",
        api_keys=API_KEY,
        model="demo",
        demo_tokens_per_second=100_000,
        database_url=f"sqlite:///{tmp_path / DATABASE}",
        data_dir=tmp_path,
    )
    async with live(create_app(settings)) as url:
        yield url


def load(path: Path, chat: str) -> ModuleType:
    """Import a file, with the address of the running server in place of the example's."""
    code = path.read_text(encoding="utf-8").replace(CHAT_URL, chat)
    spec = importlib.util.spec_from_loader(path.stem, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    exec(compile(code, path, "exec"), module.__dict__)
    return module


@pytest.fixture(params=["before", "after"])
def folder(request: pytest.FixtureRequest, chat: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One version, with the environment that leads its client to this server: `before` needs no change in its code."""
    environment = {
        "before": {"OPENAI_BASE_URL": f"{chat}/v1", "OPENAI_API_KEY": API_KEY},
        "after": {"CHAT_API_KEY": API_KEY},
    }
    for name, value in environment[request.param].items():
        monkeypatch.setenv(name, value)
    return FOLDER / str(request.param)


async def secret_of(site: str, name: str, password: str) -> str:
    """Log in and return a client secret, as the page does."""
    async with httpx2.AsyncClient(base_url=site) as http:
        assert (await http.post("/api/chatkit/session")).status_code == 401
        assert (await http.post("/login", data={"name": name, "password": f"{password}?"})).status_code == 401
        assert (await http.post("/login", data={"name": name, "password": password})).status_code == 303
        session = (await http.post("/api/chatkit/session")).raise_for_status().json()
        assert 500 < session["expires_at"] - time.time() <= 600
        return str(session["client_secret"])


async def test_the_backend_makes_sessions_and_serves_the_page(folder: Path, chat: str) -> None:
    async with live(load(folder / "backend.py", chat).site) as site:
        async with httpx2.AsyncClient() as http:
            assert (await http.get(site)).text == (folder / "html/index.html").read_text(encoding="utf-8")
        secret = await secret_of(site, "ada", "lovelace")
        async with Tab(chat, headers={"authorization": f"Bearer {secret}"}) as ada:
            reply = await ada.create("Hello")
            assert reply.error is None
            assert [thread["id"] for thread in await ada.history()] == [reply.thread_id]
