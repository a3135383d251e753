"""`chatkit-server import` when the source refuses, fails for a while or for good, or the command is killed."""

import asyncio
import base64
import json
import os
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import JSONResponse, PlainTextResponse, Response

from chatkit_server.files.blob_storage import make_blobs
from chatkit_server.importing.destination import ServerDestination
from chatkit_server.importing.import_report import ImportReport
from chatkit_server.importing.importer import Importer
from chatkit_server.importing.pictures import ImportedPictures, PictureFetcher
from chatkit_server.importing.polite_calls import PoliteCalls
from chatkit_server.importing.source import Selection
from chatkit_server.importing.thread_folder import ThreadFolder
from chatkit_server.settings import Settings
from chatkit_server.startup.import_commands import OPENAI, ImportOptions, run_import
from chatkit_store import ImportStore, SqlStore, UploadStore
from tests.conftest import GUARDED
from tests.files.uploading import picture
from tests.importing.conftest import Command
from tests.importing.hosted_api import KEY, HostedApi, answer, failure, question
from tests.store.factories import User, text_of

ADA = User("ada")
AT_ONCE = {"retry_after_ms": "1"}


async def saved(engine: AsyncEngine) -> dict[str | None, list[str]]:
    """Return the texts of each thread, by title, oldest first."""
    store = SqlStore[User](engine)
    threads = (await store.load_threads(100, None, "asc", ADA)).data
    pages = {thread.title: await store.load_thread_items(thread.id, None, 500, "asc", ADA) for thread in threads}
    return {title: [text_of(item) for item in page.data] for title, page in pages.items()}


async def test_a_wrong_key_is_named(command: Command, monkeypatch: pytest.MonkeyPatch, api: HostedApi) -> None:
    monkeypatch.setenv("OTHER_KEY", "wrong")
    done = await command("openai", "--api-key-env", "OTHER_KEY")
    assert done.exit_code == 2
    assert done.stderr == (
        f"chatkit-server: {api.url}/v1 refuses the API key: the server answered status 401: "
        "Incorrect API key provided\n"
    )
    missing = await command("openai", "--api-key-env", "NO_KEY")
    assert (missing.exit_code, missing.stderr.split(" to an API key")[0]) == (2, "chatkit-server: Set NO_KEY")


async def test_the_key_may_be_in_the_file_of_settings(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"HOSTED_KEY='{KEY}'\n", encoding="utf-8")
    assert (await command("openai", "--api-key-env", "HOSTED_KEY")).exit_code == 0


async def test_a_key_without_the_right_and_a_wrong_address_are_named(command: Command, api: HostedApi) -> None:
    api.faults = [failure(403, "You have no access")]
    refused = await command("openai")
    assert refused.exit_code == 2
    assert "may not read the threads" in refused.stderr
    assert "You have no access" in refused.stderr
    wrong_path = await command("openai", "--base-url", api.url)
    assert wrong_path.exit_code == 2
    assert "has no ChatKit API" in wrong_path.stderr
    assert "usually ends with /v1" in wrong_path.stderr
    nobody = await command("openai", "--base-url", "http://127.0.0.1:9/v1")
    assert nobody.exit_code == 2
    assert "http://127.0.0.1:9/v1: the server cannot be reached" in nobody.stderr


async def test_an_answer_of_another_kind_is_named(command: Command, api: HostedApi) -> None:
    for body in ("<html>", "[]", '{"data": "none"}'):
        api.faults = [PlainTextResponse(body)]
        done = await command("openai")
        assert done.exit_code == 2
        assert f"{api.url}/v1: the answer is not" in done.stderr


async def test_wrong_arguments_are_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments in (
        [],
        ["nowhere"],
        ["empty"],
        ["folder", "--save", "x"],
        ["openai", "--since", "yesterday"],
        ["openai", "--tenant", " "],
    ):
        done = await command(*arguments)
        assert done.exit_code == 2
        assert done.stderr.startswith("chatkit-server: ")


async def test_requests_that_fail_for_a_while_are_repeated(
    command: Command, api: HostedApi, engine: AsyncEngine
) -> None:
    api.add("cthr_1", question("one"), title="Tea")
    api.faults = [failure(429, "Slow down", **AT_ONCE), failure(503, "Later", **AT_ONCE), failure(500, "", **AT_ONCE)]
    assert (await command("openai")).exit_code == 0
    assert await saved(engine) == {"Tea": ["one"]}
    assert len(api.requests) == 5


async def test_a_source_that_goes_away_ends_the_import_which_the_next_one_continues(
    command: Command, api: HostedApi, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit_server.importing.polite_calls.ATTEMPTS", 2)
    numbers = range(12)  # enough for three failures in a row, whenever the three answers are saved
    for number in numbers:
        api.add(f"cthr_{number}", question(f"{number}"), title=f"{number}")

    def go_away(path: str) -> Response | None:
        items_requests = [request for request in api.requests if "/items" in request]
        return failure(503, "Down for maintenance", **AT_ONCE) if len(items_requests) > 3 else None

    api.on_request = go_away
    done = await command("openai")
    assert done.exit_code == 1
    assert "the source is away: the server answered status 503: Down for maintenance Run the same" in done.stderr
    assert len(await saved(engine)) <= 3
    api.on_request = lambda path: None
    assert (await command("openai")).exit_code == 0
    assert await saved(engine) == {f"{number}": [f"{number}"] for number in numbers}


async def test_entries_that_are_deleted_between_two_pages_do_not_end_the_lists(
    command: Command, api: HostedApi, engine: AsyncEngine, tmp_path: Path
) -> None:
    """The next page begins behind an entry that is gone, for which the API has no place."""
    texts = [f"message {number}" for number in range(150)]
    for number in range(120):
        api.add(f"cthr_{number}", title=f"{number}")
    api.extend("cthr_7", *map(question, texts))
    gone = {
        "after=cthr_20": lambda: api.threads.pop("cthr_20"),
        "after=cthi_cthr_7_99": lambda: api.items["cthr_7"].pop(99),
    }

    def delete(path: str) -> None:
        for cursor in [cursor for cursor in gone if path.endswith(cursor) or f"{cursor}&" in path]:
            gone.pop(cursor)()

    api.on_request = delete
    done = await command("--save", "threads")
    assert (done.exit_code, gone) == (0, {})
    assert done.stdout == "Saved 120 threads of 1 user, with 150 items.\n", "what was read is not lost, nor read twice"
    assert (await command("threads")).exit_code == 0
    assert (await saved(engine))["7"] == texts


async def test_a_list_without_an_end_is_named(command: Command, api: HostedApi, engine: AsyncEngine) -> None:
    for thread_id in ("cthr_1", "cthr_2"):
        api.add(thread_id, question("one"), answer("two"), title=thread_id)
    pages = cycle([{"data": [item], "has_more": True} for item in api.items["cthr_1"]])
    api.on_request = lambda path: JSONResponse(next(pages)) if "cthr_1/items" in path else None
    done = await command("openai")
    assert done.exit_code == 1
    assert "Thread cthr_1: a page of its list says that more follow, but leads to no new one.\n" in done.stderr
    assert await saved(engine) == {thread_id: ["one", "two"] for thread_id in ("cthr_1", "cthr_2")}
    for end in ({}, {"last_id": "cthr_1"}):
        api.on_request = lambda path, page={"data": [], "has_more": True} | end: JSONResponse(page)  # type: ignore[misc]
        assert (await command("openai")).exit_code == 2


async def test_a_folder_that_cannot_be_written_is_named(command: Command, api: HostedApi, tmp_path: Path) -> None:
    api.add("cthr_1", question("one"))
    (tmp_path / "file").touch()
    for folder in ("file", "file/deeper", "/dev/full/threads"):
        done = await command("--save", folder)
        assert done.exit_code == 2
        assert f"chatkit-server: The folder {folder} cannot be written: " in done.stderr


@pytest.mark.parametrize("database_url", ["sqlite", GUARDED], indirect=True)
async def test_commands_at_the_same_time_do_the_work_once(
    command: Command, api: HostedApi, engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here in threads of one process, since processes would take seconds to start."""
    texts = [f"message {number}" for number in range(120)]
    for number in range(9):
        api.add(f"cthr_{number}", *map(question, texts), title=f"{number}")

    def run(source: str, save: Path | None) -> ImportReport:
        options = ImportOptions(source, save, f"{api.url}/v1", "OPENAI_API_KEY", Selection(), "", 1_000_000, False)
        report = ImportReport()
        asyncio.run(run_import(options, Settings(), report))
        return report

    half_written: list[Path] = []
    replace = os.replace

    def recorded_replace(part: Path, file: Path) -> None:
        half_written.append(part)
        replace(part, file)

    monkeypatch.setattr("chatkit_server.importing.thread_saving.os.replace", recorded_replace)
    folder = tmp_path / "threads"
    for source, save in ((OPENAI, folder), (str(folder), None)):
        reports = await asyncio.gather(*(asyncio.to_thread(run, source, save) for _ in range(2)))
        assert [report.problems for report in reports] == [[], []]
    assert sum(report.new_items + report.added_items for report in reports) == 9 * 120
    assert len(list(folder.iterdir())) == 9
    assert len(set(half_written)) == len(half_written) >= 9, "they do not write into the same file"
    assert await saved(engine) == {f"{number}": texts for number in range(9)}


async def test_a_killed_import_is_continued(command: Command, api: HostedApi, engine: AsyncEngine) -> None:
    """In the middle of a long thread: what was read is saved, and nothing is there twice."""
    texts = [f"message {number}" for number in range(450)]
    api.add("cthr_1", *map(question, texts), title="long")
    api.add("cthr_2", answer("short"), title="short")
    is_in_the_middle = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stall(path: str) -> Response | None:
        if "after=cthi_cthr_1_299" not in path:
            return None
        loop.call_soon(is_in_the_middle.set)
        return failure(503, "Never", retry_after="3600")

    api.on_request = stall
    arguments = ["import", "openai", "--base-url", f"{api.url}/v1", "--requests-per-minute", "1000000"]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "chatkit_server", *arguments, env=os.environ)
    async with asyncio.timeout(60):
        await is_in_the_middle.wait()
    process.kill()
    await process.wait()
    assert (await saved(engine))["long"] == texts[:300]
    api.on_request = lambda path: None
    api.requests.clear()
    assert (await command("openai")).exit_code == 0
    assert await saved(engine) == {"long": texts, "short": ["short"]}
    assert not any("cthr_1/items?limit=100&order=asc" == path.rpartition("threads/")[2] for path in api.requests)


class Stopped(BaseException):
    """What a test raises where a kill would end the command."""


class Stopping:
    """Lets so many calls of its targets pass, and raises `Stopped` at the next."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def around(self, target: Any) -> Any:
        """Return an object with the methods of the target."""
        stopping = self

        class Wrapper:
            def __getattr__(self, name: str) -> Any:
                async def call(*arguments: Any) -> Any:
                    stopping._left -= 1
                    if stopping._left < 0:
                        raise Stopped
                    return await getattr(target, name)(*arguments)

                return call

        return Wrapper()


@pytest.mark.usefixtures("command")
async def test_an_import_that_ends_before_any_of_its_writes_is_continued(
    engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit_server.importing.thread_folder.BATCH", 2)
    settings = Settings()
    fetcher = PictureFetcher(httpx2.AsyncClient(), settings.attachment_max_bytes)
    url = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    file = tmp_path / "thread.json"

    async def run(user: str, calls: int) -> None:
        """Import a thread of the user: each stop has another, so that one database is enough."""
        stopping = Stopping(calls)
        blobs = stopping.around(make_blobs(settings))
        pictures = ImportedPictures(fetcher, stopping.around(UploadStore(engine)), blobs, settings)
        destination = ServerDestination(stopping.around(ImportStore(engine)), pictures)
        thread = {"id": f"cthr_{user}", "user": user, "created_at": 1}
        items = [question(f"{number}") | {"id": f"{user}_{number}"} for number in range(5)]
        items[2]["attachments"] = [{"name": "tea.png", "type": "image", "preview_url": url}]
        file.write_text(json.dumps({"thread": thread, "items": items}), encoding="utf-8")
        source = ThreadFolder(file, Selection())
        (listed,) = await source.threads()
        await Importer(source, destination, ImportReport(), "").take(listed)

    stops = 0
    while True:
        user = f"user{stops}"
        try:
            await run(user, stops)
            break
        except Stopped:
            await run(user, 1000)
        page = await SqlStore[User](engine).load_thread_items(f"cthr_{user}", None, 9, "asc", User(user))
        assert [text_of(item) for item in page.data] == ["0", "1", "2", "3", "4"]
        (attachment,) = page.data[2].attachments  # type: ignore[union-attr]  # a message of the user
        assert await make_blobs(settings).get(attachment.id) == picture()
        stops += 1
    assert stops >= 8, "find, begin, keep, two files, three pages"


async def test_all_calls_wait_as_long_as_the_server_asks_one_to(
    api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit_server.importing.polite_calls.NAMED", 0.1)  # seconds, from which a pause is reported
    reports: list[str] = []
    calls = PoliteCalls(100_000, first_pause=0.01, report=reports.append)
    api.faults = [failure(429, "Slow down", retry_after="0.2"), failure(500, "no header")]
    async with AsyncOpenAI(api_key=KEY, base_url=f"{api.url}/v1", max_retries=0) as client:
        start = time.monotonic()
        pages = await asyncio.gather(*(calls(lambda: client.beta.chatkit.threads.list()) for _ in range(3)))
    assert time.monotonic() - start >= 0.2
    assert [page.data for page in pages] == [[], [], []]
    assert len(api.requests) == 5
    assert reports == ["Waiting for 0 s: the server answered status 429: Slow down"]


async def test_calls_keep_their_rate(api: HostedApi) -> None:
    calls = PoliteCalls(60 * 50, report=print)
    moments: list[float] = []

    async def call() -> None:
        moments.append(time.monotonic())

    await asyncio.gather(*(calls(call) for _ in range(4)))
    assert moments[-1] - moments[0] >= 3 / 50 - 0.001


async def test_what_cannot_be_helped_is_not_repeated(api: HostedApi) -> None:
    calls = PoliteCalls(100_000, report=print)
    async with AsyncOpenAI(api_key="wrong", base_url=f"{api.url}/v1", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await calls(lambda: client.beta.chatkit.threads.list())
    assert len(api.requests) == 1
