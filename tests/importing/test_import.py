"""`chatkit-server import openai`: what the users of the hosted API had is here, once, in its order."""

import json
from pathlib import Path

import pytest
from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    FileSource,
    LockedStatus,
    TaskItem,
    ThreadItem,
    URLSource,
    UserMessageItem,
    WidgetItem,
    WorkflowItem,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkit_store import SqlStore
from tests.conftest import GUARDED
from tests.importing.conftest import Command
from tests.importing.hosted_api import NOON, HostedApi, answer, failure, question
from tests.store.factories import User, text_of

ADA, BEN = User("ada"), User("ben")


@pytest.fixture
def store(engine: AsyncEngine) -> SqlStore[User]:
    return SqlStore(engine)


async def items_of(store: SqlStore[User], thread_id: str, user: User = ADA) -> list[ThreadItem]:
    """Return all items of a thread."""
    items: list[ThreadItem] = []
    after = None
    while True:
        page = await store.load_thread_items(thread_id, after, 100, "asc", user)
        items += page.data
        after = page.after
        if not page.has_more:
            return items


async def texts_of(store: SqlStore[User], thread_id: str, user: User = ADA) -> list[str]:
    return [text_of(item) for item in await items_of(store, thread_id, user)]


async def titles_of(store: SqlStore[User], user: User) -> list[str | None]:
    """Return the titles of a user's threads, newest first."""
    return [thread.title for thread in (await store.load_threads(100, None, "desc", user)).data]


@pytest.mark.parametrize("database_url", ["sqlite", GUARDED], indirect=True)
async def test_threads_come_with_owner_title_status_times_and_order(
    api: HostedApi, command: Command, store: SqlStore[User]
) -> None:
    api.add("cthr_1", question(), answer(), title="Tea")
    api.add("cthr_2", question("Hello"), user="ben", title="Greeting")
    api.add("cthr_3", title="Empty", status={"type": "locked", "reason": "moved"})
    done = await command("openai")
    assert (done.exit_code, done.stdout) == (
        0,
        "Imported 3 threads of 2 users, with 3 items.\n",
    )
    assert await titles_of(store, ADA) == ["Empty", "Tea"]
    assert await titles_of(store, BEN) == ["Greeting"]
    empty = await store.load_thread("cthr_3", ADA)
    assert (empty.status, empty.created_at.timestamp()) == (LockedStatus(reason="moved"), NOON + 120)
    items = await items_of(store, "cthr_1")
    assert [item.id for item in items] == ["cthi_cthr_1_0", "cthi_cthr_1_1"]
    assert [item.created_at.timestamp() for item in items] == [NOON, NOON + 1]
    assert await texts_of(store, "cthr_1") == ["How long does tea take?", "Three minutes."]


async def test_long_threads_and_lists_come_page_by_page(
    api: HostedApi, command: Command, store: SqlStore[User]
) -> None:
    texts = [f"message {number}" for number in range(230)]
    for number in range(120):
        api.add(f"cthr_{number}", title=str(number), created_at=NOON)  # all in one second
    api.extend("cthr_7", *map(question, texts))
    assert (await command("openai")).exit_code == 0
    assert await texts_of(store, "cthr_7") == texts
    assert await titles_of(store, ADA) == [str(number) for number in range(20, 120)][::-1]


async def test_a_repeated_import_takes_only_what_is_new(
    api: HostedApi, command: Command, store: SqlStore[User]
) -> None:
    api.add("cthr_1", question(), answer(), title=None)
    api.add("cthr_2", question())
    await command("openai")
    api.requests.clear()
    again = await command("openai")
    assert again.stdout == "Imported 0 threads of 0 users, with 0 items.\n2 earlier threads had nothing new.\n"
    assert len(api.requests) == 3, "one for the list, one for each thread"
    api.extend("cthr_1", question("And coffee?"), answer("Four."))
    api.threads["cthr_1"]["title"] = "Tea"
    await store.delete_thread("cthr_2", ADA)
    third = await command("openai")
    assert third.exit_code == 0
    assert "Added 2 items to 1 earlier thread." in third.stdout
    assert "1 earlier thread stayed away: deleted here since." in third.stdout
    assert await texts_of(store, "cthr_1") == ["How long does tea take?", "Three minutes.", "And coffee?", "Four."]
    assert await titles_of(store, ADA) == ["Tea"]


async def test_a_thread_whose_last_item_is_gone_at_the_source_is_read_from_its_start(
    api: HostedApi, command: Command, store: SqlStore[User]
) -> None:
    api.add("cthr_1", question("one"), answer("two"))
    await command("openai")
    del api.items["cthr_1"][1]
    api.extend("cthr_1", answer("three", id="cthi_new"))
    assert (await command("openai")).exit_code == 0
    assert await texts_of(store, "cthr_1") == ["one", "two", "three"]


async def test_only_some_users_and_only_since_a_date(api: HostedApi, command: Command, store: SqlStore[User]) -> None:
    api.add("cthr_1", title="old", created_at=NOON - 86_400)
    api.add("cthr_2", title="hers")
    api.add("cthr_3", title="his", user="ben")
    api.add("cthr_4", title="another's", user="eve")
    done = await command("openai", "--user", "ada", "--user", "ben", "--since", "2026-01-01 00:00")
    assert done.exit_code == 0
    assert [await titles_of(store, user) for user in (ADA, BEN, User("eve"))] == [["hers"], ["his"], []]


async def test_the_users_may_be_those_of_a_tenant(api: HostedApi, command: Command, store: SqlStore[User]) -> None:
    api.add("cthr_1", question(), title="Tea")
    assert (await command("openai", "--tenant", "acme")).exit_code == 0
    assert (await titles_of(store, User("ada", "acme")), await titles_of(store, ADA)) == (["Tea"], [])


async def test_a_dry_run_reads_everything_and_writes_nothing(
    api: HostedApi, command: Command, store: SqlStore[User]
) -> None:
    api.add("cthr_1", question(), {"type": "chatkit.widget", "widget": "{"})
    done = await command("openai", "--dry-run")
    assert done.exit_code == 0
    assert "Would have imported 1 thread of 1 user, with 2 items." in done.stdout
    assert "could not be read or fetched: 1 widget." in done.stdout
    assert await titles_of(store, ADA) == []
    await command("openai")
    api.extend("cthr_1", answer())
    again = await command("openai", "--dry-run")
    assert "Would have added 1 item to 1 earlier thread." in again.stdout


async def test_a_dry_run_needs_no_database(
    api: HostedApi, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHATKIT_DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    api.add("cthr_1", question())
    assert "Would have imported 1 thread of 1 user, with 1 item." in (await command("openai", "--dry-run")).stdout
    assert not (tmp_path / "new.db").exists()


async def test_every_kind_of_item_becomes_chatkits(api: HostedApi, command: Command, store: SqlStore[User]) -> None:
    card = {"type": "Card", "children": [{"type": "Text", "value": "Tea", "future": 1}]}
    sources = [
        {"type": "file", "source": {"type": "file", "filename": "tea.pdf"}},
        {"type": "url", "source": {"type": "url", "url": "https://tea.example/green"}},
    ]
    quoting = [{"type": "quoted_text", "text": "green"}, {"type": "input_text", "text": "Why?"}]
    tool = {"type": "chatkit.client_tool_call", "name": "pick", "call_id": "call_1", "arguments": '{"n": 1}'}
    thought = {"type": "thought", "heading": "Thinking", "summary": "Of tea"}
    api.add(
        "cthr_1",
        question(content=quoting, inference_options={"model": "gpt-tea", "tool_choice": {"id": "search"}}),
        answer(content=[{"type": "output_text", "text": "So.", "annotations": sources}]),
        {"type": "chatkit.widget", "widget": json.dumps(card)},
        tool | {"status": "completed", "output": '{"picked": true}'},
        {"type": "chatkit.task", "task_type": "custom", "heading": "Boil", "summary": "water"},
        {"type": "chatkit.task_group", "tasks": [thought]},
        {"type": "chatkit.task_group", "tasks": [thought, {"type": "custom", "heading": "Pour", "summary": None}]},
        tool | {"status": "in_progress", "output": None},
    )
    assert (await command("openai")).exit_code == 0
    asked, said, widget, call, task, thoughts, steps, waiting = await items_of(store, "cthr_1")
    assert isinstance(asked, UserMessageItem)
    assert (asked.quoted_text, text_of(asked)) == ("green", "Why?")
    assert asked.inference_options.model_dump() == {"model": "gpt-tea", "tool_choice": {"id": "search"}}
    assert isinstance(said, AssistantMessageItem)
    assert [annotation.source for annotation in said.content[0].annotations] == [
        FileSource(title="tea.pdf", filename="tea.pdf"),
        URLSource(title="tea.example", url="https://tea.example/green"),
    ]
    assert isinstance(widget, WidgetItem)
    assert widget.widget.model_dump(exclude_none=True) == card
    assert isinstance(call, ClientToolCallItem)
    assert (call.status, call.arguments, call.output) == ("completed", {"n": 1}, {"picked": True})
    assert isinstance(task, TaskItem)
    assert task.task.model_dump(include={"title", "content"}) == {"title": "Boil", "content": "water"}
    assert isinstance(thoughts, WorkflowItem)
    assert isinstance(steps, WorkflowItem)
    kinds = [[(task.type, task.title) for task in workflow.workflow.tasks] for workflow in (thoughts, steps)]
    assert kinds == [[("thought", "Thinking")], [("thought", "Thinking"), ("custom", "Pour")]]
    assert [thoughts.workflow.type, steps.workflow.type] == ["reasoning", "custom"]
    assert thoughts.workflow.summary is not None
    assert steps.workflow.summary is not None
    assert isinstance(waiting, ClientToolCallItem)
    assert waiting.status == "pending"
    for options in (["--dry-run"], []):
        assert "1 earlier thread had nothing new." in (await command("openai", *options)).stdout
    api.items["cthr_1"][-1] |= {"status": "completed", "output": '"now"'}
    await command("openai")
    waiting = (await items_of(store, "cthr_1"))[-1]
    assert isinstance(waiting, ClientToolCallItem)
    assert (waiting.status, waiting.output) == ("completed", "now")


async def test_a_note_stands_where_something_cannot_be_read(
    api: HostedApi, command: Command, store: SqlStore[User]
) -> None:
    file = {"id": "cfile_1", "type": "file", "name": "plan.pdf", "mime_type": "application/pdf", "preview_url": None}
    api.add(
        "cthr_1",
        question("See this", attachments=[file]),
        {"type": "chatkit.widget", "widget": '{"type": "Spreadsheet"}'},
        {"type": "chatkit.hologram", "beam": 7},
        question(content=[{"type": "input_text", "text": "kept"}, {"type": "input_smell", "smell": "tea"}]),
        answer("fine", created_at="yesterday"),
    )
    done = await command("openai")
    assert done.exit_code == 0
    assert "could not be read or fetched: 1 file, 2 other items, 1 widget." in done.stdout
    texts = [" ".join(text_of(item).split()) for item in await items_of(store, "cthr_1")]
    assert texts == [
        "See this[The file “plan.pdf” was attached here. Its content could not be imported.]",
        "[A widget was shown here. It cannot be read and was not imported.]",
        "[Something was shown here that cannot be imported (chatkit.hologram).]",
        "kept[Something was shown here that cannot be imported (chatkit.user_message).]",
        "fine",
    ]
    times = [item.created_at.timestamp() for item in await items_of(store, "cthr_1")]
    assert times == [NOON, NOON + 1, NOON + 2, NOON + 3, NOON + 3]


async def test_a_thread_that_fails_does_not_stop_the_others(
    api: HostedApi, command: Command, store: SqlStore[User]
) -> None:
    api.add("cthr_1", question(), title="Tea")
    api.add("cthr_2", question(id=None), title="Broken")
    api.add("cthr_3", question(), title="Gone")
    for number in range(4, 8):  # more than failures in a row that mean that the source is away
        api.add(f"cthr_{number}", question(), title="Nobody's", user=" ")
    api.add("z" * 9000, question(), title="Endless")
    api.add("..", question(), title="Another path")
    api.add("cthr_9", question(), title="Coffee")
    api.on_request = lambda path: failure(404, "No thread found") if "cthr_3/" in path else None
    done = await command("openai")
    assert done.exit_code == 1
    assert "Thread cthr_2: one of its items has no id." in done.stderr
    assert "Thread cthr_4: its user or tenant is one that no login could have." in done.stderr
    assert "1 thread vanished from the source meanwhile." in done.stdout
    assert f"Thread {'z' * 100}…: its id has more than 512 characters.\n" in done.stderr
    assert "Thread ..: its id makes no address of the API.\n" in done.stderr
    assert "7 problems, named above." in done.stdout
    assert [title for title in await titles_of(store, ADA) if title != "Broken"] == ["Coffee", "Tea"]


async def test_nothing_to_import_is_no_error(command: Command, tmp_path: Path) -> None:
    done = await command("openai")
    assert (done.exit_code, done.stdout) == (
        0,
        "Imported 0 threads of 0 users, with 0 items.\n",
    )
