"""`chatkit-server import --save FOLDER`, and `import FOLDER` of that and of folders that people made themselves."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SqlStore
from tests.importing.conftest import Command
from tests.importing.hosted_api import HostedApi, answer, question
from tests.importing.test_faults import ADA, saved
from tests.store.factories import User
from tests.test_docs import read

CALL = {"type": "chatkit.client_tool_call", "name": "n", "call_id": "c", "arguments": "{}"} | {
    "status": "in_progress",
    "output": None,
}


def write(file: Path, value: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")


async def test_what_was_saved_can_be_imported_later(
    command: Command, api: HostedApi, engine: AsyncEngine, tmp_path: Path
) -> None:
    api.add("cthr_1", question("one"), answer("two"), title="Tea", created_at=1_767_000_000)
    api.add("cthr.2", *(question(str(number)) for number in range(250)), title="long")
    done = await command("openai", "--save", "threads")
    assert (done.exit_code, done.stdout) == (0, "Saved 2 threads of 1 user, with 252 items.\n")
    content = json.loads((tmp_path / "threads/cthr_1.json").read_text(encoding="utf-8"))
    assert content == {"thread": api.threads["cthr_1"], "items": api.items["cthr_1"]}
    assert await saved(engine) == {}
    assert (await command("threads")).stdout == "Imported 2 threads of 1 user, with 252 items.\n"
    assert await saved(engine) == {"Tea": ["one", "two"], "long": [str(number) for number in range(250)]}
    assert "2 earlier threads had nothing new." in (await command("threads")).stdout
    api.extend("cthr_1", question("three"))
    assert "Added 1 item to 1 earlier thread." in (await command("openai")).stdout, "the folder was of the same threads"


async def test_saving_again_adds_what_is_new(command: Command, api: HostedApi, tmp_path: Path) -> None:
    api.add("cthr_1", question("one"))
    api.add("cthr_2", question("two"))
    assert "Would have saved 2 threads" in (await command("--save", "threads", "--dry-run")).stdout
    assert not (tmp_path / "threads").exists()
    await command("--save", "threads")
    api.extend("cthr_1", answer("three"), CALL)
    api.threads["cthr_1"]["title"] = "Made later"
    (tmp_path / "threads/cthr_2.json").write_text('{"thread": ', encoding="utf-8")
    api.requests.clear()
    again = await command("--save", "threads")
    assert again.stdout == "Saved 1 thread of 1 user, with 1 item.\nAdded 2 items to 1 earlier thread.\n"
    assert len(api.requests) == 3
    for thread_id in ("cthr_1", "cthr_2"):
        content = json.loads((tmp_path / f"threads/{thread_id}.json").read_text(encoding="utf-8"))
        assert content == {"thread": api.threads[thread_id], "items": api.items[thread_id]}
    api.items["cthr_1"][-1] |= {"status": "completed", "output": "1"}
    assert "2 earlier threads had nothing new." in (await command("--save", "threads")).stdout
    content = json.loads((tmp_path / "threads/cthr_1.json").read_text(encoding="utf-8"))
    assert content["items"] == api.items["cthr_1"]
    assert sorted(path.name for path in (tmp_path / "threads").iterdir()) == ["cthr_1.json", "cthr_2.json"]


async def test_saving_overwrites_no_other_files(command: Command, api: HostedApi, tmp_path: Path) -> None:
    for thread_id in ("package", "cthr_1", "cthr_2"):
        api.add(thread_id, question("one"))
    write(tmp_path / "mine" / "package.json", {"name": "site"})
    write(tmp_path / "mine" / "cthr_1.json", {"thread": api.threads["cthr_2"], "items": []})
    before = {file: file.read_bytes() for file in (tmp_path / "mine").iterdir()}
    done = await command("--save", "mine")
    assert done.exit_code == 1
    for thread_id in ("package", "cthr_1"):
        problem = f"Thread {thread_id}: mine/{thread_id}.json has something else, and is not overwritten.\n"
        assert problem in done.stderr
    assert {file: file.read_bytes() for file in before} == before
    assert "Saved 1 thread of 1 user, with 1 item.\n" in done.stdout


async def test_a_damaged_file_is_named_and_the_others_are_imported(
    command: Command, api: HostedApi, engine: AsyncEngine, tmp_path: Path
) -> None:
    api.add("cthr_1", question("one"), title="Tea")
    await command("--save", "threads")
    folder = tmp_path / "threads"
    (folder / "half.json").write_text('{"thread": {"id": "cthr_2",\n "user": ', encoding="utf-8")
    (folder / "binary.json").write_bytes(b"\xff\xfe\x00")
    (folder / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    write(folder / "other.json", {"name": "package"})
    write(folder / "nobody.json", {"thread": {"id": "cthr_3", "created_at": 1}, "items": []})
    write(folder / "lost.json", [question() | {"id": "cthi_1", "thread_id": "cthr_4", "created_at": 1}])
    (folder / "notes.txt").write_text("ignored", encoding="utf-8")
    with zipfile.ZipFile(folder / "zipped.json", "w") as archive:
        archive.writestr("all.json", "{}")
    ada, ben = ({"id": "cthr_5", "user": user, "created_at": 1} for user in ("ada", "ben"))
    write(folder / "two-users.json", [{"thread": ada, "items": [question("hers") | {"id": "a"}]}, {"thread": ben}])
    known = {"id": "cthr_6", "user": "ada", "created_at": 2, "title": "Milk"}
    write(
        folder / "mixed.json", [7, {"id": "cthr_7", "user": 7}, {"thread": known, "items": ["text"]}, {"role": "user"}]
    )
    done = await command("threads")
    assert done.exit_code == 1
    warnings = [line for line in done.stderr.splitlines() if line.startswith("threads/")]
    assert [line.partition(":")[0] for line in warnings] == [
        f"threads/{name}.json"
        for name in ("binary", "deep", "half", "mixed", "mixed", "nobody", "other", "two-users", "zipped", "lost")
    ]
    assert "half.json: it is not valid JSON (line 2, column 10:" in done.stderr
    assert "nobody.json: thread cthr_3 has no user." in done.stderr
    assert "mixed.json: 3 of its entries are no threads or items of the hosted API." in done.stderr
    assert "mixed.json: thread cthr_7 has no user that is a text." in done.stderr
    assert "two-users.json: the id cthr_5 is that of two users' threads, ada's and ben's." in done.stderr
    assert "zipped.json: it is a ZIP archive, which has to be unpacked." in done.stderr
    assert "10 problems, named above." in done.stdout
    assert await saved(engine) == {"Tea": ["one"], "Milk": []}


async def test_items_that_cannot_be_told_apart_keep_their_thread_out_and_are_named(
    command: Command, api: HostedApi, engine: AsyncEngine, tmp_path: Path
) -> None:
    ids: list[Any] = [None, ["a"], "", "cthi_first"]
    for number, item_id in enumerate(ids):
        api.add(f"cthr_{number}", question("one", id="cthi_first"), question("two", id=item_id), title="Tea")
    api.add("cthr_9", question("four"), title="Milk")
    write(tmp_path / "mine" / "all.json", [{"thread": api.threads[id], "items": api.items[id]} for id in api.threads])
    done = await command("mine")
    assert done.exit_code == 1
    assert sorted(line for line in done.stderr.splitlines() if line.startswith("Thread ")) == [
        *(f"Thread cthr_{number}: one of its items has no id." for number in range(3)),
        "Thread cthr_3: two of its items have the id cthi_first.",
    ]
    assert await saved(engine) == {"Milk": ["four"]}


async def test_the_file_of_the_document_is_imported_as_it_is(
    command: Command, engine: AsyncEngine, tmp_path: Path
) -> None:
    (text,) = re.findall(r"```json\n(.*?)```", read("docs/migrate.md"), re.DOTALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "17.json").write_text(text, encoding="utf-8")
    done = await command("mine")
    assert (done.exit_code, done.stdout) == (0, "Imported 1 thread of 1 user, with 2 items.\n")
    assert await saved(engine) == {"Order 17": ["Where is it?", "On its way."]}


async def test_folders_of_other_shapes(command: Command, api: HostedApi, engine: AsyncEngine, tmp_path: Path) -> None:
    for number in range(5):
        api.add(f"cthr_{number}", *(question(f"{number}.{item}") for item in range(3)), title=f"{number}")
    threads, items = list(api.threads.values()), api.items
    folder = tmp_path / "mine"
    write(folder / "threads.json", {"object": "list", "data": threads[:2][::-1], "has_more": False})
    write(folder / "items-0.json", {"object": "list", "data": items["cthr_0"][::-1], "has_more": False})
    write(folder / "items-1a.json", items["cthr_1"][:2])
    write(folder / "items-1b.json", items["cthr_1"][1:])
    write(folder / "deeper" / "two.json", {"threads": [threads[2]], "items": items["cthr_2"]})
    untimed = {name: value for name, value in threads[3].items() if name != "created_at"}
    write(folder / "three.json", untimed | {"items": {"object": "list", "data": items["cthr_3"][::-1]}})
    lines = [{"thread": threads[4], "items": []}, *items["cthr_4"]]
    text = "\n\n".join(json.dumps(line) for line in lines)
    (folder / "four.jsonl").write_text("\ufeff" + text, encoding="utf-8")
    done = await command("mine")
    assert (done.exit_code, done.stderr) == (0, done.stderr)
    assert await saved(engine) == {f"{number}": [f"{number}.{item}" for item in range(3)] for number in range(5)}
    for number, thread in enumerate(threads):
        thread["created_at"] = f"2026-01-0{number + 1} 10:00:00"  # as a script may have written it
    write(folder / "threads.json", threads)
    assert "5 earlier threads had nothing new." in (await command("mine")).stdout
    assert "1 earlier thread had nothing new." in (await command("mine/three.json")).stdout


async def test_ids_that_clients_may_not_use_are_replaced(
    command: Command, api: HostedApi, engine: AsyncEngine, tmp_path: Path
) -> None:
    """A notice is not part of the conversation, and its id says that it is one; slashes and dots make other paths."""
    threads = ["x" * 300, "a/b", "..", "a b", "tée", "a%2Fb"]
    for id in threads:
        api.add(id, *(question(id=place) for place in ("turn_notice_1", "__fake_id__", "y" * 300, "a/b")))
    write(tmp_path / "mine" / "all.json", [{"thread": api.threads[id], "items": api.items[id]} for id in threads])
    store = SqlStore[User](engine)
    for _ in range(2):
        assert (await command("mine")).exit_code == 0
        listed = (await store.load_threads(10, None, "asc", ADA)).data
        assert len(listed) == len(threads)
        for thread in listed:
            assert thread.id.startswith("thr_")
            items = (await store.load_thread_items(thread.id, None, 10, "asc", ADA)).data
            assert [item.id[:4] for item in items] == ["imp_"] * 4


async def test_texts_that_no_database_can_store_are_cleaned(
    command: Command, api: HostedApi, engine: AsyncEngine, tmp_path: Path
) -> None:
    half = "\ud83d"
    api.add("cthr_1", question(f"tea{half}\0", id=f"cthi_{half}"), title=f"Tea\0{half}")
    write(tmp_path / "mine" / "one.json", {"thread": api.threads["cthr_1"], "items": api.items["cthr_1"]})
    for _ in range(2):
        assert (await command("mine")).exit_code == 0
        assert await saved(engine) == {"Tea\ufffd\ufffd": ["tea\ufffd\ufffd"]}
