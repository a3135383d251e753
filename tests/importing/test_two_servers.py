"""Threads of one chatkit-server in another: what `/v1` says of both is compared, item by item."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    ClosedStatus,
    CustomSummary,
    CustomTask,
    FileSource,
    InferenceOptions,
    SearchTask,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    ToolChoice,
    URLSource,
    Workflow,
    WorkflowItem,
)
from openai import AsyncOpenAI
from typer.testing import CliRunner, Result

from chatkit_server import RequestContext, cli
from chatkit_store import new_id
from tests.files.uploading import form, picture
from tests.routes.sessions import API_KEY, Backend, serving_sessions
from tests.serving import DATABASE
from tests.store.factories import (
    NOON,
    assistant_message,
    hidden_item,
    make_thread,
    tool_call,
    user_message,
    widget_with,
)

Json = dict[str, Any]


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
    tasks = [
        ThoughtTask(title="Hm", content="Tea?"),
        SearchTask(title="Searching", queries=["tea"]),
        CustomTask(content="Done"),
    ]
    sources = [URLSource(title="Tea", url="https://tea.example"), FileSource(title="a", filename="a.pdf")]
    annotations = [Annotation(source=source) for source in sources]
    workflow = Workflow(type="custom", tasks=list(tasks), summary=CustomSummary(title="Used 2 tools"))
    common = {"thread_id": "", "created_at": NOON}
    for number, (user, tenant) in enumerate([("ada", ""), ("ben", ""), ("ada", "acme"), ("ada", ""), ("ada", "")]):
        context = RequestContext(user, tenant=tenant)
        began = NOON - timedelta(hours=9 - number)
        thread = make_thread(title=f"Thread {number}", created_at=began)
        thread.status = ClosedStatus(reason="over") if number == 3 else thread.status
        options = InferenceOptions(model="gpt", tool_choice=ToolChoice(id="search"))
        await store.save_thread(thread, context)
        items: list[ThreadItem] = [
            user_message(f"Question {number}", quoted_text="quoted\ntext", inference_options=options),
            hidden_item(),
            WorkflowItem(**common, id=new_id("wf"), workflow=workflow),
            TaskItem(**common, id=new_id("tsk"), task=CustomTask(title="Boil", content="water")),
            widget_with("click"),
            tool_call(status="completed", output={"found": [1, None, "ü"]}),
            assistant_message(content=[AssistantMessageContent(text="Answer", annotations=annotations)]),
            tool_call(),
        ]
        moments = [began + timedelta(seconds=place // 2) for place in range(len(items))]
        timed = [_at(moment, item) for item, moment in zip(items, moments, strict=True)]
        await store.add_thread_items(thread.id, timed, context)


def _at(moment: datetime, item: ThreadItem) -> ThreadItem:
    return item.model_copy(update={"created_at": moment})


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


async def test_a_new_server_tells_the_same_as_the_old_one(folders: tuple[Path, Path]) -> None:
    old, new = folders
    async with serving_sessions(old) as source:
        await fill(source)
        before = await everything(source.openai)
        done = await command(source)
        assert (done.exit_code, done.stdout) == (0, "Imported 5 threads of 2 users, with 35 items.\n")
    async with serving_sessions(new) as target:
        assert await everything(target.openai) == before
        assert [thread["user"] for thread, _ in before] == ["ada", "ben", "ada", "ada", "ada"]
        session = await target.create("ada")
        async with target.tab(session.client_secret) as tab:
            history = await tab.history()
            assert [thread["title"] for thread in history] == ["Thread 4", "Thread 3", "Thread 0"]
            reply = await tab.send(history[0]["id"], "And now?")
            assert reply.error is None
            assert (await tab.reload(history[0]["id"])).texts()[0] == ("user", "Question 4")
            question = (await tab.reload(history[2]["id"])).items[0]
            assert (await tab.retry(history[2]["id"], question["id"])).error is None
            texts = (await tab.reload(history[2]["id"])).texts()
            assert [role for role, _ in texts] == ["user", "assistant"], "the new answer is in the place of the old one"


async def test_threads_of_a_server_in_itself_have_other_ids(folders: tuple[Path, Path]) -> None:
    _, folder = folders
    async with serving_sessions(folder) as backend:
        await fill(backend)
        before = await everything(backend.openai)
        done = await command(backend, "--tenant", "copy", "--user", "ada", "--user", "ben")
        assert (done.exit_code, done.stdout) == (0, "Imported 5 threads of 2 users, with 35 items.\n")
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
