"""`/v1/chatkit/threads`, called by OpenAI's own Python client as scripts for the hosted API call it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    CustomSummary,
    CustomTask,
    EndOfTurnItem,
    EntitySource,
    FileAttachment,
    FileSource,
    FileTask,
    GeneratedImageItem,
    ImageAttachment,
    ImageTask,
    InferenceOptions,
    LockedStatus,
    SearchTask,
    StructuredInputItem,
    Task,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    ToolChoice,
    URLSource,
    UserMessageTagContent,
    UserMessageTextContent,
    Workflow,
    WorkflowItem,
)
from openai import AsyncOpenAI, OpenAI
from openai.types.beta.chatkit import ChatKitThread, ChatKitThreadItemList
from pydantic import AnyUrl

from chatkit_server import RequestContext
from chatkit_server.auth.random_secrets import stored_hash
from chatkit_store import ApiKeyStore, new_id, notice_id
from tests.routes.sessions import API_KEY, Backend, serving_sessions
from tests.store.factories import (
    NOON,
    assistant_message,
    hidden_item,
    make_key,
    make_thread,
    tool_call,
    user_message,
    widget_with,
)
from tests.support.chatkit import user_input
from tests.test_docs import blocks

ADA, BOB = RequestContext("ada"), RequestContext("bob")
UNIX_NOON = int(NOON.timestamp())


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    async with serving_sessions(tmp_path) as backend:
        yield backend


@pytest.fixture
def hosted(backend: Backend) -> AsyncOpenAI:
    """OpenAI's client, as for the hosted API but for its `base_url`."""
    return backend.openai


@dataclass
class Scripts:
    """The scripts of docs/sessions.md, which use OpenAI's synchronous client."""

    functions: dict[str, Any]
    base_url: str

    async def run(self, name: str, *arguments: Any) -> Any:
        """Call a function of theirs with a client."""

        def call() -> Any:
            with OpenAI(base_url=self.base_url, api_key=API_KEY, max_retries=0) as client:
                return self.functions[name](client, *arguments)

        return await asyncio.to_thread(call)


@pytest.fixture
def scripts(backend: Backend) -> Scripts:
    functions: dict[str, Any] = {}
    (code,) = [block for block in blocks("docs/sessions.md") if "def transcript" in block]
    exec(code, functions)
    return Scripts(functions, f"{backend.served.url}/v1")


async def save(backend: Backend, owner: RequestContext, *items: ThreadItem, **fields: Any) -> str:
    """Save a thread with items; return its id."""
    thread, store = make_thread(**fields), backend.served.services.store
    await store.save_thread(thread, owner)
    await store.add_thread_items(thread.id, items, owner)
    return thread.id


async def ids_of(pages: Any) -> list[str]:
    """Return the ids on all pages, which the client loads as it needs them."""
    return [entry.id async for entry in pages]


async def test_a_thread_has_all_fields_of_openai(backend: Backend, hosted: AsyncOpenAI) -> None:
    thread_id = await save(backend, ADA, title="Tea", created_at=NOON + timedelta(seconds=0.9))
    locked_id = await save(backend, BOB, status=LockedStatus(reason="spam"))
    thread = await hosted.beta.chatkit.threads.retrieve(thread_id)
    assert thread.to_dict() == {
        "id": thread_id,
        "object": "chatkit.thread",
        "created_at": UNIX_NOON,
        "status": {"type": "active"},
        "title": "Tea",
        "user": "ada",
    }
    raw = await hosted.beta.chatkit.threads.with_raw_response.retrieve(locked_id)
    locked = ChatKitThread.model_validate_json(raw.http_response.text, strict=True).to_dict()
    assert (locked["title"], locked["status"]) == (None, {"type": "locked", "reason": "spam"})
    with pytest.raises(openai.NotFoundError):
        await hosted.beta.chatkit.threads.retrieve("cthr_unknown")


async def test_all_threads_are_listed_through_pages_in_both_orders(backend: Backend, hosted: AsyncOpenAI) -> None:
    saved = [await save(backend, owner) for owner in (ADA, BOB, ADA, BOB, ADA)]
    threads = hosted.beta.chatkit.threads
    assert await ids_of(threads.list(limit=2, order="asc")) == saved
    assert await ids_of(threads.list(limit=2)) == saved[::-1]
    assert await ids_of(threads.list(limit=1, user="ada")) == saved[::2][::-1]
    assert await ids_of(threads.list(user="nobody")) == []
    page = await threads.list(limit=2, after=saved[0], order="asc")
    assert ([thread.id for thread in page.data], page.has_more, page.last_id) == (saved[1:3], True, saved[2])
    page = await threads.list(limit=2, before=saved[4], order="asc")
    assert ([thread.id for thread in page.data], page.has_more) == (saved[2:4], True)
    page = await threads.list(limit=3, before=saved[1])
    assert ([thread.id for thread in page.data], page.has_more) == (saved[4:1:-1], False)
    page = await threads.list(after=saved[0], before=saved[3], order="asc")
    assert ([thread.id for thread in page.data], page.has_more) == (saved[1:3], False)
    assert await ids_of(threads.list(limit=1, after=saved[0], before=saved[4], order="asc")) == saved[1:4]


async def test_a_tenant_is_a_filter_and_a_field(backend: Backend, hosted: AsyncOpenAI) -> None:
    of_acme = await save(backend, RequestContext("ada", tenant="acme"))
    of_nobody = await save(backend, ADA)
    threads = hosted.beta.chatkit.threads
    assert await ids_of(threads.list(user="ada", order="asc")) == [of_acme, of_nobody]
    assert await ids_of(threads.list(extra_query={"tenant": "acme"})) == [of_acme]
    assert await ids_of(threads.list(user="ada", extra_query={"tenant": "acme"})) == [of_acme]
    assert await ids_of(threads.list(user="ada", extra_query={"tenant": ""})) == [of_nobody]
    assert (await threads.retrieve(of_acme)).to_dict()["tenant"] == "acme"
    assert "tenant" not in (await threads.retrieve(of_nobody)).to_dict()


IMAGE = ImageAttachment(
    id="atc_" + "0" * 32, name="b.png", mime_type="image/png", preview_url=AnyUrl("attachment:atc_" + "0" * 32)
)
TASKS: list[Task] = [
    ThoughtTask(title="Thinking", content="Hm"),
    CustomTask(title="Find", content="tea"),
    SearchTask(title_query="tea", queries=["green tea", "black tea"]),
    FileTask(title="Read", sources=[FileSource(title="A", filename="a.txt")]),
    ImageTask(title="Drawn"),
]


def conversation() -> list[ThreadItem]:
    """Return one of each type of items, those that are not told included."""
    common = {"thread_id": "", "created_at": NOON}
    sources = [URLSource(title="W", url="https://example.org"), FileSource(title="A", filename="a.txt")]
    annotations = [Annotation(source=source) for source in (*sources, EntitySource(title="E", id="e"))]
    content = [
        UserMessageTextContent(text="Hello "),
        UserMessageTagContent(id="t", text="Ada", data={}),
    ]
    chosen = InferenceOptions(model="m", tool_choice=ToolChoice(id="search"))
    return [
        user_message(content=content, quoted_text="said", inference_options=chosen, attachments=[IMAGE]),
        hidden_item(),
        GeneratedImageItem(id=new_id("img"), **common),
        assistant_message(content=[AssistantMessageContent(text="Hi", annotations=annotations)]),
        StructuredInputItem(id=new_id("si"), inputs=[], **common),
        widget_with("click"),
        tool_call(),
        tool_call(status="completed", output={"n": 1}),
        TaskItem(id=new_id("tsk"), task=TASKS[0], **common),
        WorkflowItem(
            id=new_id("wf"),
            workflow=Workflow(type="custom", tasks=TASKS, summary=CustomSummary(title="Done")),
            **common,
        ),
        widget_with(id=notice_id(new_id("turn"))),
        EndOfTurnItem(id=new_id("end"), **common),
        user_message("Bye"),
    ]


async def test_items_have_the_shapes_of_openai(backend: Backend, hosted: AsyncOpenAI) -> None:
    items = conversation()
    thread_id = await save(backend, ADA, *items)
    raw = await hosted.beta.chatkit.threads.with_raw_response.list_items(thread_id)
    ChatKitThreadItemList.model_validate_json(raw.http_response.text, strict=True)
    told = [item.to_dict() async for item in hosted.beta.chatkit.threads.list_items(thread_id, limit=2, order="asc")]
    common = {"thread_id": thread_id, "created_at": UNIX_NOON, "object": "chatkit.thread_item"}
    for item in told:
        assert {name: item.pop(name) for name in common} == common
    (preview,) = [attachment.pop("preview_url") for attachment in told[0]["attachments"]]  # type: ignore[attr-defined]  # a list
    assert preview.startswith(f"{backend.served.url}/api/attachments/")
    ids = {item["type"]: item.pop("id") for item in told}
    assert set(ids.values()) <= {item.id for item in items}
    widget = json.loads(str(told[2].pop("widget")))
    assert widget["children"][0]["onClickAction"]["type"] == "click"
    call = {"name": "find", "call_id": "call_1", "arguments": '{"what": "tea", "limit": 2}'}
    tasks = [
        {"type": "thought", "heading": "Thinking", "summary": "Hm"},
        {"type": "custom", "heading": "Find", "summary": "tea"},
        {"type": "custom", "heading": "tea", "summary": "green tea\nblack tea"},
        {"type": "custom", "heading": "Read", "summary": "a.txt"},
        {"type": "custom", "heading": "Drawn", "summary": None},
    ]
    texts = ("input_text", "Hello "), ("input_text", "@Ada")
    annotations = [
        {"type": "url", "source": {"type": "url", "url": "https://example.org"}},
        {"type": "file", "source": {"type": "file", "filename": "a.txt"}},
    ]
    assert told == [
        {
            "type": "chatkit.user_message",
            "content": [{"type": kind, "text": text} for kind, text in (("quoted_text", "said"), *texts)],
            "attachments": [{"id": IMAGE.id, "type": "image", "name": "b.png", "mime_type": "image/png"}],
            "inference_options": {"model": "m", "tool_choice": {"id": "search"}},
        },
        {
            "type": "chatkit.assistant_message",
            "content": [{"type": "output_text", "text": "Hi", "annotations": annotations}],
        },
        {"type": "chatkit.widget"},
        {"type": "chatkit.client_tool_call", **call, "output": None, "status": "in_progress"},
        {"type": "chatkit.client_tool_call", **call, "output": '{"n": 1}', "status": "completed"},
        {"type": "chatkit.task", "task_type": "thought", "heading": "Thinking", "summary": "Hm"},
        {"type": "chatkit.task_group", "tasks": tasks},
        {
            "type": "chatkit.user_message",
            "content": [{"type": "input_text", "text": "Bye"}],
            "attachments": [],
            "inference_options": None,
        },
    ]


async def test_items_are_paged_in_both_directions(backend: Backend, hosted: AsyncOpenAI) -> None:
    items = [part for n in range(5) for part in (user_message(f"Message {n}"), hidden_item())]
    thread_id = await save(backend, ADA, *items)
    saved = [item.id for item in items[::2]]
    threads = hosted.beta.chatkit.threads
    assert await ids_of(threads.list_items(thread_id, limit=2)) == saved[::-1]
    page = await threads.list_items(thread_id, limit=2, order="asc")
    assert (page.last_id, page.has_more, page.to_dict()["first_id"]) == (saved[1], True, saved[0])
    page = await threads.list_items(thread_id, limit=2, order="asc", before=saved[4])
    assert ([item.id for item in page.data], page.has_more) == (saved[2:4], True)
    page = await threads.list_items(thread_id, before=saved[2])
    assert ([item.id for item in page.data], page.has_more) == ([saved[4], saved[3]], False)
    for after in ("msg_unknown", (await save(backend, ADA, user_message()))):
        with pytest.raises(openai.BadRequestError) as refused:
            await threads.list_items(thread_id, after=after)
        assert refused.value.param == "after"
    with pytest.raises(openai.NotFoundError):
        await threads.list_items("cthr_unknown")


async def test_a_file_without_a_preview_is_told_as_its_user_sent_it(backend: Backend, hosted: AsyncOpenAI) -> None:
    attachment = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain")
    thread_id = await save(backend, ADA, user_message(attachments=[attachment]))
    (item,) = (await hosted.beta.chatkit.threads.list_items(thread_id)).data
    assert item.to_dict()["attachments"] == [
        {"id": attachment.id, "type": "file", "name": "a.txt", "mime_type": "text/plain", "preview_url": None}
    ]


async def test_the_documented_retention_script_deletes_old_threads(backend: Backend, scripts: Scripts) -> None:
    """It deletes more than a page, so it asks for the second one with a cursor that is gone."""
    now = datetime.now(UTC)
    for owner in (ADA, BOB) * 13:
        await save(backend, owner, user_message(), created_at=now - timedelta(days=31))
    young = await save(backend, ADA, created_at=now - timedelta(days=29))
    assert await scripts.run("delete_old_threads", 30) == 26
    assert [row["id"] for row in await backend.served.rows("SELECT id FROM threads")] == [young]
    assert await backend.served.rows("SELECT id FROM thread_items") == []


async def test_the_documented_transcript_has_what_was_said(backend: Backend, scripts: Scripts) -> None:
    async with backend.tab((await backend.create()).client_secret) as tab:
        reply = await tab.create("Hello")
    assert await scripts.run("transcript", reply.thread_id) == (
        f"Hello, ada\nchatkit.user: Hello\nchatkit.assistant: {reply.text}"
    )


async def test_a_deleted_thread_is_gone(backend: Backend, hosted: AsyncOpenAI) -> None:
    thread_id = await save(backend, ADA, user_message())
    answer = await hosted.beta.chatkit.threads.delete(thread_id)
    assert answer.to_dict() == {"id": thread_id, "object": "chatkit.thread.deleted", "deleted": True}
    with pytest.raises(openai.NotFoundError):
        await hosted.beta.chatkit.threads.delete(thread_id)


async def test_deleting_a_thread_stops_its_turn(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path, demo_tokens_per_second=5) as backend:
        async with backend.tab((await backend.create()).client_secret) as tab:
            async with tab.open("threads.create", {"input": user_input("Hello")}) as reply:
                created = await reply.wait_for("thread.created")
                await backend.openai.beta.chatkit.threads.delete(created["thread"]["id"])
                await reply.read()
        assert await backend.served.rows("SELECT id FROM turns") == []


async def test_only_an_admin_key_may_read_and_delete(backend: Backend) -> None:
    thread_id = await save(backend, ADA, user_message())
    key = "ck_of_a_shop"
    await ApiKeyStore(backend.served.services.engine).create(make_key(key_hash=stored_hash(key), is_admin=False))
    async with AsyncOpenAI(base_url=f"{backend.served.url}/v1", api_key=key, max_retries=0) as client:
        threads = client.beta.chatkit.threads
        for call in (
            lambda: threads.list(),
            lambda: threads.list(limit=0),
            lambda: threads.retrieve(thread_id),
            lambda: threads.retrieve("cthr_unknown"),
            lambda: threads.list_items(thread_id),
            lambda: threads.delete(thread_id),
        ):
            with pytest.raises(openai.PermissionDeniedError, match="needs an admin key") as refused:
                await call()
            assert refused.value.code == "insufficient_permissions"
    assert len(await backend.served.rows("SELECT id FROM threads")) == 1


async def test_a_bad_value_in_the_query_is_a_400_that_names_it(hosted: AsyncOpenAI) -> None:
    bad: list[dict[str, Any]] = [
        {"limit": 0},
        {"limit": 101},
        {"limit": "many"},
        {"order": "up"},
        {"after": "cthr_unknown"},
        {"before": "cthr_unknown"},
    ]
    for query in bad:
        with pytest.raises(openai.BadRequestError) as refused:
            await hosted.beta.chatkit.threads.list(**query)
        assert refused.value.param == next(iter(query))


async def test_a_base_url_without_v1_or_with_two_is_answered_by_the_right_one(backend: Backend) -> None:
    url = backend.served.url
    for base in (url, f"{url}/v1/v1", f"{url}/chatkit"):
        async with AsyncOpenAI(base_url=base, api_key="any", max_retries=0) as client:
            for call in (
                lambda: client.beta.chatkit.sessions.create(user="ada", workflow={"id": "wf_1"}),
                lambda: client.beta.chatkit.sessions.cancel("cksess_1"),
                lambda: client.beta.chatkit.threads.list(),
                lambda: client.beta.chatkit.threads.delete("cthr_1"),
            ):
                with pytest.raises(openai.NotFoundError, match=f"OpenAI API is {url}/v1: set it as `base_url`"):
                    await call()


async def test_errors_outside_of_the_routes_have_the_shape_of_openai(backend: Backend) -> None:
    for method, path, status, code in (
        ("PUT", "/v1/chatkit/threads", 405, "method_not_allowed"),
        ("GET", "/v1/chatkit/nothing", 404, "not_found"),
        ("GET", f"/v1/chatkit/threads/{'x' * 9000}", 414, "target_too_long"),
    ):
        async with aiohttp.ClientSession() as session:
            async with session.request(method, backend.served.url + path) as response:
                error = (await response.json())["error"]
                assert (response.status, error["type"], error["code"]) == (status, "invalid_request_error", code)
