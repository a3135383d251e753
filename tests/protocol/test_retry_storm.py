"""Whatever fails in a streaming operation, a ChatKit frame gets one response that it does not retry.

On any 5xx, and on a 200 that is not an event stream, the widget posts the same bytes six times (measured in June 2026).
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent
from chatkit.agents import ClientToolCall
from chatkit.types import StreamOptions, ThreadMetadata
from starlette.requests import HTTPConnection

from chatkit_server import AgentContext, RequestContext, create_app
from chatkit_server.auth import Door
from chatkit_server.auth.anonymous import Anonymous
from chatkit_server.errors.http import NotAuthenticated
from chatkit_server.limits.new_users import NewUsers
from chatkit_server.services import Services
from chatkit_server.turns.turns import Turns
from chatkit_store import (
    HeartbeatStore,
    JournalStore,
    Listener,
    NewTurn,
    SqlStore,
    StoreUnavailable,
    ThreadState,
    TurnEnd,
    TurnStore,
)
from tests.protocol.requirements import covers
from tests.serving import SECRET, Served, Tab, make_settings
from tests.stage import Stage, StageServer, stream_item
from tests.support.chatkit import LiveReply, user_input
from tests.support.live_server import live

pytestmark = pytest.mark.asyncio(loop_scope="module")

POSTS_AT_MOST = 6


@dataclass
class Fault:
    """The active fault; none at first."""

    active: str = ""

    def strike(self, name: str, error: Exception) -> None:
        """Raise `error` if `name` is the active fault."""
        if self.active == name:
            raise error


class FailingStore(SqlStore[RequestContext]):
    """A store whose database is lost."""

    def __init__(self, fault: Fault, services: Services) -> None:
        super().__init__(services.engine)
        self._fault = fault

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        self._fault.strike("the store in accept", StoreUnavailable("gone"))
        return await super().load_thread(thread_id, context)

    async def load_thread_state(self, thread_id: str, context: RequestContext) -> ThreadState:
        self._fault.strike("the store in accept", StoreUnavailable("gone"))
        return await super().load_thread_state(thread_id, context)

    def generate_thread_id(self, context: RequestContext) -> str:
        self._fault.strike("the store in accept", StoreUnavailable("gone"))
        return super().generate_thread_id(context)


class FailingTurnStore(TurnStore):
    """A turn store whose database is lost at a turn's start or end."""

    def __init__(self, fault: Fault, services: Services) -> None:
        super().__init__(services.engine)
        self._fault = fault

    async def start(self, turn: NewTurn, context: Any, **more: Any) -> list[str]:
        self._fault.strike("the store in start", StoreUnavailable("gone"))
        self._fault.strike("a bug in start", KeyError("oops"))
        return await super().start(turn, context, **more)

    async def finish(self, turn_id: str, end: TurnEnd, context: Any, **more: Any) -> bool:
        self._fault.strike("the store in finish", StoreUnavailable("gone"))
        return await super().finish(turn_id, end, context, **more)


class FailingDoor(Door):
    """A failing login."""

    def __init__(self, fault: Fault) -> None:
        super().__init__([], Anonymous([SECRET], NewUsers(1000)))
        self._fault = fault

    async def authenticate(self, request: HTTPConnection) -> RequestContext:
        self._fault.strike("no user is logged in", NotAuthenticated())
        self._fault.strike("a bug in the login", RuntimeError("oops"))
        return await super().authenticate(request)


class FailingServer(StageServer):
    """A server subclass with a bug."""

    def __init__(self, fault: Fault, *parts: Any) -> None:
        super().__init__(*parts)
        self._fault = fault

    def get_stream_options(self, thread: ThreadMetadata, context: RequestContext) -> StreamOptions:
        self._fault.strike("a bug in accept", RuntimeError("oops"))
        self._fault.strike("a feature that is not there", NotImplementedError("oops"))
        return super().get_stream_options(thread, context)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fault() -> Fault:
    """Return the fault of the module's app."""
    return Fault()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(stages: Stage, fault: Fault, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Yield the app, with parts that fail on command."""
    folder: Path = tmp_path_factory.mktemp("storm")

    def agent() -> Agent[Any]:
        fault.strike("the agent's function", RuntimeError("oops"))
        return "no agent" if fault.active == "a wrong agent" else stages.agent()  # type: ignore[return-value]  # the fault

    app = create_app(
        make_settings(folder, max_body_bytes=5_000, outage_seconds=0.1),
        agent,
        server=lambda *parts: FailingServer(fault, stages, *parts),
    )
    services: Services = app.state.services
    store = FailingStore(fault, services)
    services.server.store = services.server.sql_store = store
    turn_store = FailingTurnStore(fault, services)
    engine = services.engine
    stores = (store, turn_store, JournalStore(engine), HeartbeatStore(engine), Listener(engine))
    turns = Turns(*stores, services.server, services.settings)
    app.state.services = replace(services, store=store, turn_store=turn_store, turns=turns, door=FailingDoor(fault))
    async with live(app) as url:
        yield Served(app, url)


async def post_as_the_widget(tab: Tab, body: bytes) -> list[LiveReply]:
    """Return all responses to one request, retried like the widget does."""
    replies: list[LiveReply] = []
    while len(replies) < POSTS_AT_MOST:
        replies.append(await tab.post_body(body))
        if replies[-1].status < 500 and (replies[-1].status >= 400 or replies[-1].is_stream):
            break
    return replies


async def requests_for(stage: Stage, tab: Tab) -> dict[str, dict[str, Any]]:
    """Return a valid request of each streaming operation, for threads that expect it."""

    async def act(context: AgentContext) -> str:
        await stream_item(context, "widget")
        context.client_tool_call = ClientToolCall(name="look", arguments={})
        return "shown"

    async def ask(context: AgentContext) -> str:
        await stream_item(context, "structured_input")
        return "asked"

    stage.play_client_tool(act)
    first = await tab.create("Show everything")
    stage.play_tool(ask)
    question_thread = (await tab.create("Ask me")).thread_id
    ids = {i["type"]: i["id"] for thread in (first.thread_id, question_thread) for i in tab.pictures[thread].items}
    first_thread, second_thread = {"thread_id": first.thread_id}, {"thread_id": question_thread}
    stage.play()
    return {
        "threads.create": {"input": user_input("Hello")},
        "threads.add_client_tool_output": first_thread | {"result": {}},
        "threads.add_structured_input": second_thread | {"item_id": ids["structured_input"], "input": {"answers": {}}},
        "threads.custom_action": first_thread | {"item_id": ids["widget"], "action": {"type": "press", "payload": {}}},
        "threads.add_user_message": first_thread | {"input": user_input("Hello")},
        "threads.retry_after_item": first_thread | {"item_id": first.user_item["id"]},
    }


FAULTS = [
    "",  # only the model, which has no answer prepared
    "the store in accept",
    "the store in start",
    "the store in finish",
    "a bug in accept",
    "a bug in start",
    "a feature that is not there",
    "no user is logged in",
    "a bug in the login",
    "the agent's function",
    "a wrong agent",
]


@covers("refusal.one_answer")
@pytest.mark.parametrize("name", FAULTS)
async def test_any_failure_is_one_response_with_one_error(stage: Stage, fault: Fault, tab: Tab, name: str) -> None:
    requests = await requests_for(stage, tab)
    fault.active = name
    try:
        for operation, params in requests.items():
            replies = await post_as_the_widget(tab, json.dumps({"type": operation, "params": params}).encode())
            assert len(replies) == 1, operation
            assert replies[0].is_stream, operation
            assert replies[0].types[-1] == "error", operation
            message = replies[0].events[-1]["message"]
            assert message.endswith(f" (request {replies[0].headers['x-request-id']})"), operation
            assert "oops" not in message, operation
    finally:
        fault.active = ""


@covers("refusal.one_answer")
@pytest.mark.parametrize("broken", ["too large", "cut off", "no params"])
async def test_an_invalid_body_is_one_response_with_one_error(stage: Stage, tab: Tab, broken: str) -> None:
    for operation, params in (await requests_for(stage, tab)).items():
        body = json.dumps({"type": operation, "params": params | {"more": "x" * 100}}).encode()
        match broken:
            case "too large":
                body = body.replace(b"x", b"x" * 5000)
            case "cut off":
                body = body[:-20]
            case _:
                body = json.dumps({"type": operation}).encode()
        replies = await post_as_the_widget(tab, body)
        assert [reply.types for reply in replies] == [["error"]], operation


@covers("refusal.plain_status")
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("the store in accept", 503, "database_unavailable"),
        ("the store in start", 503, "database_unavailable"),
        ("a bug in accept", 500, "internal_error"),
        ("a bug in start", 500, "internal_error"),
        ("a feature that is not there", 501, "not_available"),
        ("no user is logged in", 401, "not_authenticated"),
        ("a bug in the login", 500, "internal_error"),
    ],
)
async def test_another_client_gets_the_status_of_the_failure(
    stage: Stage, fault: Fault, script: Tab, name: str, status: int, code: str
) -> None:
    stage.play("Hi.")
    fault.active = name
    try:
        reply = await script.create("Hello")
    finally:
        fault.active = ""
    assert (reply.status, reply.body["code"]) == (status, code)


@covers("refusal.query")
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("the store in accept", 503, "database_unavailable"),
        ("no user is logged in", 401, "not_authenticated"),
        ("a bug in the login", 500, "internal_error"),
    ],
)
async def test_a_failing_query_is_a_status_also_for_a_frame(
    stage: Stage, fault: Fault, tab: Tab, name: str, status: int, code: str
) -> None:
    stage.play("Hi.")
    thread_id = (await tab.create("Hello")).thread_id
    fault.active = name
    try:
        reply = await tab.post("threads.get_by_id", {"thread_id": thread_id})
    finally:
        fault.active = ""
    assert (reply.status, reply.body["code"]) == (status, code)
