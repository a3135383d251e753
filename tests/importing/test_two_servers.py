"""Threads of one chatkit-server in another: what `/v1` says of both is compared, item by item."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest
from chatkit.types import ClosedStatus, LockedStatus, ThreadStatus
from openai import AsyncOpenAI
from openai.types.beta.chatkit.chatkit_thread_item_list import Data
from typer.testing import CliRunner, Result

from chatkit_server import RequestContext, cli
from tests.files.uploading import form, picture
from tests.routes.sessions import API_KEY, Backend, serving_sessions
from tests.routes.test_threads import conversation
from tests.serving import DATABASE
from tests.store.factories import NOON, make_thread, tool_call, user_message

Json = dict[str, Any]
ALL_TYPES = {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(get_args(Data)[0])}
"""Those of OpenAI's client."""

STATUSES: dict[int, ThreadStatus] = {1: LockedStatus(), 3: ClosedStatus(reason="over")}


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, Path]:
    """The data of an old server, and of a new one, whose settings the command has."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    monkeypatch.setattr("chatkit_server.startup.import_commands.configure_logging", lambda settings: None)
    monkeypatch.setenv("CHATKIT_DATABASE_URL", f"sqlite:///{new / DATABASE}")
    monkeypatch.setenv("CHATKIT_DATA_DIR", str(new))
    monkeypatch.setenv("OLD_KEY", API_KEY)
    return old, new


async def command(backend: Backend, *options: str) -> Result:
    """Import from a running server."""
    address = ["--base-url", f"{backend.served.url}/v1", "--api-key-env", "OLD_KEY"]
    arguments = ["import", "openai", *address, "--requests-per-minute", "1000000", *options]
    return await asyncio.to_thread(CliRunner().invoke, cli.app, arguments)


async def fill(backend: Backend) -> None:
    """Give two users, and one with the first one's id in a tenant, threads with everything that `/v1` tells."""
    store = backend.served.services.store
    for number, (user, tenant) in enumerate([("ada", ""), ("ben", ""), ("ada", "acme"), ("ada", ""), ("ada", "")]):
        context = RequestContext(user, tenant=tenant)
        began = NOON - timedelta(hours=9 - number)
        thread = make_thread(title=f"Thread {number}" if number else None, created_at=began)
        thread.status = STATUSES.get(number, thread.status)
        await store.save_thread(thread, context)
        first, *rest = conversation()
        items = [first.model_copy(update={"attachments": []}), *rest, tool_call(), user_message(f"Question {number}")]
        moments = [began + timedelta(seconds=place // 2) for place in range(len(items))]
        timed = [item.model_copy(update={"created_at": at}) for item, at in zip(items, moments, strict=True)]
        await store.add_thread_items(thread.id, timed, context)


async def everything(client: AsyncOpenAI) -> list[tuple[Json, list[Json]]]:
    """Return all threads with their items, as OpenAI's client reads them."""
    threads = [thread async for thread in client.beta.chatkit.threads.list(limit=2, order="asc")]
    return [(thread.model_dump(), await items_of(client, thread.id)) for thread in threads]


async def items_of(client: AsyncOpenAI, thread_id: str) -> list[Json]:
    listed = client.beta.chatkit.threads.list_items(thread_id, limit=3, order="asc")
    return [item.model_dump() async for item in listed]


def without_ids(value: Any) -> Any:
    """Return JSON without the ids of threads and items, and without tenants."""
    if isinstance(value, dict):
        return {name: without_ids(entry) for name, entry in value.items() if name not in ("id", "thread_id", "tenant")}
    return [without_ids(entry) for entry in value] if isinstance(value, list | tuple) else value


async def test_a_new_server_tells_the_same_as_the_old_one_and_goes_on_from_there(folders: tuple[Path, Path]) -> None:
    old, new = folders
    async with serving_sessions(old) as source, serving_sessions(new) as target:
        await fill(source)
        before = await everything(source.openai)
        done = await command(source)
        assert (done.exit_code, done.stdout) == (0, "Imported 5 threads of 2 users, with 50 items.\n")
        assert await everything(target.openai) == before
        assert {item["type"] for _, items in before for item in items} == ALL_TYPES
        assert [thread["user"] for thread, _ in before] == ["ada", "ben", "ada", "ada", "ada"]
        session = await target.create("ada")
        async with target.tab(session.client_secret) as tab:
            history = await tab.history()
            assert [thread.get("title") for thread in history] == ["Thread 4", "Thread 3", None]
            newest, _, oldest = (thread["id"] for thread in history)
            items = (await tab.reload(newest)).items
            said = next(item["id"] for item in items if item["type"] == "assistant_message")
            assert (await tab.feedback(newest, [said])).error is None
            assert (await tab.send(newest, "And now?")).error is None
            assert [item["id"] for item in (await tab.reload(newest)).items][: len(items)] == [
                item["id"] for item in items
            ]
            assert (await tab.retry(oldest, (await tab.reload(oldest)).items[0]["id"])).error is None
            texts = (await tab.reload(oldest)).texts()
            assert [role for role, _ in texts] == ["user", "assistant"], "the new answer is in the place of the old one"
            assert (await tab.post("threads.delete", {"thread_id": history[1]["id"]})).error is None
        continued = await everything(target.openai)
        again = await command(source)
        assert again.stdout.splitlines()[1:] == [
            "4 earlier threads had nothing new.",
            "1 earlier thread stayed away: deleted here since.",
        ]
        assert await everything(target.openai) == continued


async def test_threads_of_a_server_in_itself_have_other_ids(folders: tuple[Path, Path]) -> None:
    _, folder = folders
    async with serving_sessions(folder) as backend:
        await fill(backend)
        before = await everything(backend.openai)
        done = await command(backend, "--tenant", "copy", "--user", "ada", "--user", "ben")
        assert (done.exit_code, done.stdout) == (0, "Imported 5 threads of 2 users, with 50 items.\n")
        after = await everything(backend.openai.with_options(default_query={"tenant": "copy"}))
        originals = [entry for entry in await everything(backend.openai) if entry[0].get("tenant") != "copy"]
        assert originals == before
        assert without_ids(after) == without_ids(before)
        ids = [{item["id"] for _, items in listed for item in items} for listed in (before, after)]
        assert ids[0].isdisjoint(ids[1])


@pytest.fixture
async def pictured(folders: tuple[Path, Path]) -> AsyncIterator[Backend]:
    """A server with a thread that has a picture and a text file."""
    async with serving_sessions(folders[0]) as backend:
        session = await backend.create("ada", chatkit_configuration={"file_upload": {"enabled": True}})
        async with backend.tab(session.client_secret) as tab:
            files = [(picture(), "tea.png", "image/png"), (b"Tea.", "tea.txt", "text/plain")]
            attachments = [await upload(backend, session.client_secret, *file) for file in files]
            reply = await tab.create("See", attachments=attachments)
            assert reply.error is None
        yield backend


async def upload(backend: Backend, secret: str, data: bytes, name: str, mime_type: str) -> str:
    """Upload a file as a page does, and return its id."""
    url, headers = f"{backend.served.url}/api/attachments", {"authorization": f"Bearer {secret}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(url, data=form(data, name, mime_type)) as response:
            assert response.status == 200, await response.text()
            return str((await response.json())["id"])


@pytest.mark.parametrize("is_saved_first", [False, True])
async def test_pictures_come_along_while_their_preview_is_there(
    pictured: Backend, folders: tuple[Path, Path], tmp_path: Path, is_saved_first: bool
) -> None:
    if is_saved_first:
        saved = str(tmp_path / "saved")
        assert (await command(pictured, "--save", saved)).exit_code == 0
        done = await asyncio.to_thread(CliRunner().invoke, cli.app, ["import", saved])
    else:
        done = await command(pictured)
    assert done.exit_code == 0, done.output
    assert (
        "1 picture came along.\nNotes stand in the place of what could not be read or fetched: 1 file." in done.stdout
    )
    async with serving_sessions(folders[1]) as target:
        session = await target.create("ada")
        async with target.tab(session.client_secret) as tab:
            (thread,) = await tab.history()
            message = (await tab.reload(thread["id"])).items[0]
            assert [part["text"] for part in message["content"]] == [
                "See",
                "[The file “tea.txt” was attached here. Its content could not be imported.]",
            ]
            (attachment,) = message["attachments"]
            assert (attachment["name"], attachment["type"]) == ("tea.png", "image")
            assert attachment["preview_url"].startswith("data:image/webp;base64,")
        rows = await target.served.rows("SELECT thread_id, status, size FROM attachments")
        assert [(row["thread_id"], row["status"]) for row in rows] == [(thread["id"], "stored")]
