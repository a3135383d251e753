"""What a ChatKit frame, and any other client, gets when a request is refused."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from chatkit.types import ClosedStatus, FileAttachment, LockedStatus

from chatkit_server import AgentContext
from chatkit_store import new_id
from tests.protocol.requirements import covers
from tests.serving import Served, Tab
from tests.stage import Stage, stream_item
from tests.support.chatkit import STREAMING, user_input

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOWHERE = "thr_0123456789abcdef0123456789abcdef"
SECRET_WORDS = "what the user typed"


@dataclass
class Scene:
    """A thread with every kind of item, before the refused request."""

    stage: Stage
    served: Served
    tab: Tab
    stranger: Tab
    thread_id: str
    ids: dict[str, str]

    async def set_status(self, status: LockedStatus | ClosedStatus) -> None:
        """Lock or close the thread like an integration."""
        thread, context = await self.served.load_thread(self.thread_id), await self.served.owner(self.thread_id)
        thread.status = status
        await self.served.services.store.save_thread(thread, context)

    async def attach(self, tab: Tab, *, bind: bool = False, **fields: Any) -> str:
        """Save a file of the tab's user, with `bind` in a thread, and return its id."""
        thread_id = (await tab.create("A thread for a file")).thread_id
        attachment = FileAttachment(id=new_id("atc"), name="a.txt", mime_type="text/plain", **fields)
        attachment.thread_id = thread_id if bind else None
        await self.served.services.store.save_attachment(attachment, await self.served.owner(thread_id))
        return attachment.id

    async def counts(self) -> list[dict[str, Any]]:
        """Return the number of rows of each table."""
        tables = ("threads", "thread_items", "turns", "feedback", "attachments")
        return await self.served.rows(
            " UNION ALL ".join(f"SELECT '{t}' AS name, count(*) AS n FROM {t}" for t in tables)
        )


@pytest_asyncio.fixture(loop_scope="module")
async def scene(stage: Stage, served: Served, tab: Tab, stranger: Tab) -> Scene:
    """Return a thread of the tab's user."""

    async def act(context: AgentContext) -> str:
        for kind in ("structured_input", "widget", "task"):
            await stream_item(context, kind)
        return "shown"

    stage.play_tool(act)
    thread_id = (await tab.create("Show everything")).thread_id
    stage.play(*["Hi."] * 4)
    ids = {item["type"]: item["id"] for item in tab.pictures[thread_id].items}
    return Scene(stage, served, tab, stranger, thread_id, ids)


Body = bytes | tuple[str, dict[str, Any]]


@dataclass
class Case:
    """A request, and how it is refused."""

    requirement: str
    status: int
    code: str
    prepare: Callable[[Scene], Awaitable[Body]]
    words: str = ""
    """What the error message must contain."""


CASES: list[Case] = []


def case(requirement: str, status: int, code: str, words: str = "") -> Callable[[Any], Any]:
    """Register a case."""

    def add(prepare: Callable[[Scene], Awaitable[Body]]) -> Callable[[Scene], Awaitable[Body]]:
        CASES.append(Case(f"refusal.{requirement}", status, code, prepare, words))
        return prepare

    return add


def message(thread_id: str, text: str = SECRET_WORDS, **more: Any) -> Body:
    """Return a message to a thread."""
    return "threads.add_user_message", {"thread_id": thread_id, "input": user_input(text, **more)}


@case("invalid_json", 400, "invalid_json")
async def cut_off(scene: Scene) -> Body:
    return b'{"type": "threads.create", "params": {"input": {"text": "' + SECRET_WORDS.encode()


@case("invalid_json", 400, "invalid_json")
async def nothing(scene: Scene) -> Body:
    return b""


@case("invalid_json", 400, "invalid_json")
async def no_utf8(scene: Scene) -> Body:
    return b'{"type": "threads.create", "params": "\xff\xfe"}'


@case("not_an_object", 400, "bad_request")
async def a_list(scene: Scene) -> Body:
    return b'["threads.create"]'


@case("unknown_operation", 400, "unknown_operation")
async def unknown_operation(scene: Scene) -> Body:
    return "threads.explode", {}


@case("invalid_json", 400, "invalid_json")
async def too_deep(scene: Scene) -> Body:
    return b'{"type": "threads.create", "params": ' + b"[" * 10_000


@case("unknown_operation", 400, "unknown_operation")
async def operation_of_a_wrong_kind(scene: Scene) -> Body:
    return b'{"type": {"a": ["threads.create"]}, "params": {}}'


@case("invalid_params", 400, "invalid_params", "content")
async def invalid_params(scene: Scene) -> Body:
    return "threads.create", {"input": user_input("") | {"content": SECRET_WORDS}}


@case("invalid_params", 400, "invalid_params", "params")
async def no_params(scene: Scene) -> Body:
    return b'{"type": "threads.create"}'


@case("unknown_thread", 404, "not_found")
async def unknown_thread(scene: Scene) -> Body:
    return message(NOWHERE)


@case("foreign_thread", 404, "not_found")
async def foreign_thread(scene: Scene) -> Body:
    return message((await scene.stranger.create("Mine")).thread_id)


@case("locked_thread", 409, "thread_locked", "by the moderators")
async def locked_thread(scene: Scene) -> Body:
    await scene.set_status(LockedStatus(reason="Locked by the moderators"))
    return message(scene.thread_id)


@case("locked_thread", 409, "thread_locked", "locked")
async def locked_thread_without_a_reason(scene: Scene) -> Body:
    await scene.set_status(LockedStatus())
    return "threads.retry_after_item", {"thread_id": scene.thread_id, "item_id": scene.ids["user_message"]}


@case("closed_thread", 409, "thread_closed", "The case is solved")
async def closed_thread(scene: Scene) -> Body:
    await scene.set_status(ClosedStatus(reason="The case is solved"))
    return message(scene.thread_id)


@case("body_too_large", 413, "body_too_large", "20000")
async def body_too_large(scene: Scene) -> Body:
    return message(scene.thread_id, "x" * 30_000)


@case("empty_message", 400, "invalid_params", "empty")
async def empty_message(scene: Scene) -> Body:
    return message(scene.thread_id, " \n ")


@case("unknown_retry_item", 404, "not_found")
async def unknown_retry_item(scene: Scene) -> Body:
    return "threads.retry_after_item", {"thread_id": scene.thread_id, "item_id": "msg_unknown"}


@case("unknown_retry_item", 404, "not_found")
async def retry_item_of_another_thread(scene: Scene) -> Body:
    other = await scene.tab.create("Another thread")
    return "threads.retry_after_item", {"thread_id": scene.thread_id, "item_id": other.user_item["id"]}


@case("retry_of_an_answer", 400, "invalid_item", "retried")
async def retry_of_an_answer(scene: Scene) -> Body:
    return "threads.retry_after_item", {"thread_id": scene.thread_id, "item_id": scene.ids["assistant_message"]}


@case("action_of_no_widget", 400, "invalid_item", "widget")
async def action_of_no_widget(scene: Scene) -> Body:
    action = {"type": "press", "payload": {}}
    return "threads.custom_action", {"thread_id": scene.thread_id, "item_id": scene.ids["task"], "action": action}


@case("unknown_action", 501, "not_available", "press")
async def unknown_action(scene: Scene) -> Body:
    return "threads.custom_action", {"thread_id": scene.thread_id, "action": {"type": "press", "payload": {}}}


@case("no_pending_tool", 409, "conflict", "waiting")
async def no_pending_tool(scene: Scene) -> Body:
    return "threads.add_client_tool_output", {"thread_id": scene.thread_id, "result": {}}


@case("no_question", 400, "invalid_item", "question")
async def no_question(scene: Scene) -> Body:
    params = {"thread_id": scene.thread_id, "item_id": scene.ids["task"], "input": {"answers": {}}}
    return "threads.add_structured_input", params


@case("answered_twice", 409, "already_answered")
async def answered_twice(scene: Scene) -> Body:
    params = {
        "thread_id": scene.thread_id,
        "item_id": scene.ids["structured_input"],
        "input": {"status": "answered", "answers": {"q1": {"values": ["a"]}}},
    }
    assert (await scene.tab.post("threads.add_structured_input", params)).error is None
    return "threads.add_structured_input", params


@case("unknown_attachment", 404, "not_found")
async def unknown_attachment(scene: Scene) -> Body:
    return "threads.create", {"input": user_input("See", attachments=["atc_unknown"])}


@case("foreign_attachment", 404, "not_found")
async def foreign_attachment(scene: Scene) -> Body:
    return message(scene.thread_id, attachments=[await scene.attach(scene.stranger)])


@case("attachment_elsewhere", 404, "not_found", "attach it again")
async def attachment_of_another_thread(scene: Scene) -> Body:
    return message(scene.thread_id, attachments=[await scene.attach(scene.tab, bind=True)])


@case("attachment_elsewhere", 404, "not_found", "attach it again")
async def attachment_that_is_not_uploaded(scene: Scene) -> Body:
    pending = {"url": "https://files.example/put", "method": "PUT"}
    return message(scene.thread_id, attachments=[await scene.attach(scene.tab, upload_descriptor=pending)])


REFUSALS = pytest.mark.parametrize("case", CASES, ids=[case.prepare.__name__ for case in CASES])
IDS = sorted({case.requirement for case in CASES})


def encoded(body: Body) -> bytes:
    """Return the body as bytes."""
    return body if isinstance(body, bytes) else json.dumps({"type": body[0], "params": body[1]}).encode()


@covers(*IDS, "refusal.one_answer", "refusal.writes_nothing")
@REFUSALS
async def test_a_frame_gets_one_error_in_a_stream_with_status_200(scene: Scene, case: Case) -> None:
    body = encoded(await case.prepare(scene))
    before = await scene.counts()
    reply = await scene.tab.post_body(body)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    request_id = reply.headers["x-request-id"]
    (event,) = reply.events
    assert event == {"type": "error", "code": "custom", "message": event["message"], "allow_retry": False}
    assert event["message"].endswith(f" (request {request_id})")
    assert case.words in event["message"]
    assert SECRET_WORDS not in event["message"]
    assert await scene.counts() == before


@covers(*IDS, "refusal.plain_status", "refusal.writes_nothing")
@REFUSALS
async def test_another_client_gets_the_plain_status_and_json(scene: Scene, script: Tab, case: Case) -> None:
    body = encoded(await case.prepare(scene))
    before = await scene.counts()
    reply = await script.post_body(body)
    assert (reply.status, reply.headers["content-type"]) == (case.status, "application/json")
    message = reply.body["message"]
    assert reply.body == {"code": case.code, "message": message, "request_id": reply.headers["x-request-id"]}
    assert case.words in message
    assert SECRET_WORDS not in message
    assert await scene.counts() == before


QUERIES: list[tuple[str, dict[str, Any], int, str]] = [
    ("threads.get_by_id", {"thread_id": NOWHERE}, 404, "not_found"),
    ("threads.update", {"thread_id": NOWHERE, "title": "x"}, 404, "not_found"),
    ("threads.delete", {"thread_id": NOWHERE}, 404, "not_found"),
    ("threads.list", {"after": NOWHERE}, 404, "not_found"),
    ("threads.list", {"order": "sideways"}, 400, "invalid_params"),
    ("items.list", {"thread_id": NOWHERE}, 404, "not_found"),
    ("items.feedback", {"thread_id": NOWHERE, "item_ids": ["x"], "kind": "positive"}, 404, "not_found"),
    ("items.feedback", {"thread_id": NOWHERE, "item_ids": ["x"], "kind": "shrug"}, 400, "invalid_params"),
    ("threads.sync_custom_action", {"thread_id": NOWHERE, "action": {"type": "x", "payload": 1}}, 404, "not_found"),
]


@covers("refusal.query", "refusal.unknown_thread")
@pytest.mark.parametrize(("operation", "params", "status", "code"), QUERIES)
async def test_an_operation_that_does_not_stream_is_refused_with_a_status_also_for_a_frame(
    tab: Tab, operation: str, params: dict[str, Any], status: int, code: str
) -> None:
    reply = await tab.post(operation, params)
    assert (reply.status, reply.body["code"]) == (status, code)


@covers("refusal.foreign_thread", "refusal.query")
@pytest.mark.parametrize(
    "operation", ["threads.get_by_id", "threads.update", "threads.delete", "items.list", "items.feedback"]
)
async def test_another_users_thread_looks_like_an_unknown_one(scene: Scene, operation: str) -> None:
    more = {"title": "Taken", "item_ids": [scene.ids["task"]], "kind": "positive"}
    before = await scene.tab.reload(scene.thread_id)
    foreign = await scene.stranger.post(operation, {"thread_id": scene.thread_id} | more)
    unknown = await scene.stranger.post(operation, {"thread_id": NOWHERE} | more)
    assert (foreign.status, foreign.body["code"]) == (404, "not_found")
    assert foreign.body["message"] == unknown.body["message"]
    assert await scene.tab.reload(scene.thread_id) == before
    assert await scene.stranger.history() == []


@covers("accept.lost")
@pytest.mark.parametrize("operation", sorted(STREAMING))
async def test_a_frame_whose_accept_header_was_removed_still_gets_a_stream(tab: Tab, operation: str) -> None:
    reply = await tab.post_body(json.dumps({"type": operation, "params": {}}).encode(), stream=False)
    assert (reply.status, reply.types) == (200, ["error"])


@covers("refusal.query")
async def test_an_invalid_body_of_an_operation_that_does_not_stream_is_a_400_also_for_a_frame(tab: Tab) -> None:
    reply = await tab.post_body(b'{"type": "threads.list", "params": ', stream=False)
    assert (reply.status, reply.body["code"]) == (400, "invalid_json")


@covers("refusal.body_too_large", "refusal.one_answer")
async def test_a_body_without_a_content_length_is_cut_off_at_the_limit(tab: Tab) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 8000

    reply = await tab.post_body(pieces())
    assert (reply.status, reply.types) == (200, ["error"])
    assert "too large" in reply.events[0]["message"]
