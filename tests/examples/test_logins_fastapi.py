"""examples/logins/fastapi on a real socket: log in with a browser's requests, chat, and be nobody else."""

import importlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.databases import copy_sqlite
from tests.serving import DATABASE, Tab
from tests.support.live_server import live

APP = "examples.logins.fastapi.app"
README = Path(__file__).parents[2] / "examples/logins/fastapi/README.md"


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The address of the website."""
    copy_sqlite(tmp_path / DATABASE)
    monkeypatch.setenv("CHATKIT_DATABASE_URL", f"sqlite:///{tmp_path / DATABASE}")
    monkeypatch.setenv("CHATKIT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CHATKIT_MODEL", "demo")
    monkeypatch.setenv("CHATKIT_DEMO_TOKENS_PER_SECOND", "100000")
    monkeypatch.delitem(sys.modules, APP, raising=False)
    website = importlib.import_module(APP)
    async with live(website.app) as url:
        yield url


async def log_in(tab: Tab, site: str, name: str, password: str) -> int:
    """Send the form; return the status of the page that it leads to."""
    async with tab.session.post(f"{site}/login", data={"name": name, "password": password}) as response:
        return response.status


async def test_the_website_s_login_is_the_chat_s(site: str) -> None:
    async with Tab(f"{site}/chat") as ada, Tab(f"{site}/chat") as grace:
        refused = await ada.create("Hello")
        assert refused.headers["x-chatkit-error"] == "not_authenticated"
        assert await log_in(ada, site, "ada", "hopper") == 401
        assert await log_in(ada, site, "nobody", "hopper") == 401
        assert await log_in(ada, site, "ada", "lovelace") == 200
        assert await log_in(grace, site, "grace", "hopper") == 200

        reply = await ada.create("Hello, it is me")
        assert reply.error is None
        assert reply.text
        assert [thread["id"] for thread in await ada.history()] == [reply.thread_id]
        assert (await ada.reload(reply.thread_id)).items == ada.pictures[reply.thread_id].items

        assert await grace.history() == []
        assert (await grace.post("threads.get_by_id", {"thread_id": reply.thread_id})).status == 404
        assert (await grace.send(reply.thread_id, "Hello")).headers["x-chatkit-error"] == "not_found"

        async with ada.session.post(f"{site}/logout") as response:
            assert response.status == 200
        assert (await ada.post("threads.list")).status == 401


async def test_files_have_addresses_below_the_chat_s_path(site: str) -> None:
    async with Tab(f"{site}/chat") as ada:
        assert await log_in(ada, site, "ada", "lovelace") == 200
        params = {"name": "a.txt", "mime_type": "text/plain", "size": 5}
        target = (await ada.post("attachments.create", params)).body["upload_descriptor"]
        assert target["url"].startswith(f"{site}/chat/api/attachments/")
        async with ada.session.request(target["method"], target["url"], data=b"bytes") as response:
            assert response.status == 200


def test_the_readme_names_the_app_and_its_users() -> None:
    text = README.read_text(encoding="utf-8")
    for name in (f"{APP}:app", "`ada`", "`lovelace`", "`grace`", "`hopper`"):
        assert name in text
