"""`POST /chatkit` past FastAPI's routing."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from chatkit_server import ChatServer, RequestContext, create_app
from chatkit_server.routes.direct_route import TELEMETRY
from chatkit_server.turns.accept import Accepted, opening_events
from tests.databases import copy_sqlite
from tests.routes.asgi import Answer, call
from tests.serving import DATABASE, make_settings
from tests.support.chatkit import user_input

JSON = {"content-type": "application/json"}


class Refusal(Exception):
    """The router was asked."""


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The app, whose router refuses everything."""
    copy_sqlite(tmp_path / DATABASE)
    app = create_app(make_settings(tmp_path))
    async with app.router.lifespan_context(app):

        async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
            raise Refusal

        app.router.middleware_stack = refuse
        yield app


async def post(app: FastAPI, path: str = "/chatkit", telemetry: object = None) -> Answer:
    body = json.dumps({"type": "threads.list", "params": {}}).encode()

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, TELEMETRY: telemetry} if telemetry is not None else scope, receive, send)

    return await call(measured, "POST", path, body, JSON)


@pytest.mark.parametrize("path", ["/chatkit", "/chatkit/"])
async def test_the_protocol_needs_no_router_and_has_the_headers_of_the_middleware(app: FastAPI, path: str) -> None:
    answer = await post(app, path)
    assert answer.status == 200
    assert json.loads(answer.body)["data"] == []
    assert answer.header("x-request-id")
    assert answer.header("x-content-type-options") == "nosniff"


async def test_a_foreign_page_is_refused_before_the_direct_route(app: FastAPI) -> None:
    answer = await call(app, "POST", "/chatkit", b"{}", JSON | {"origin": "https://evil.example"})
    assert answer.status == 403


async def test_the_telemetry_of_fastapi_gets_its_route_from_the_router(app: FastAPI) -> None:
    assert (await post(app, telemetry=object())).status == 500
    assert (await call(app, "GET", "/chatkit")).status == 500


async def test_the_first_frames_leave_before_the_agent_is_set_up(tmp_path: Path) -> None:
    sent: list[Message] = []
    sent_before: list[bytes] = []

    class Late(ChatServer):
        async def respond(
            self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
        ) -> AsyncIterator[ThreadStreamEvent]:
            sent_before.append(b"".join(message.get("body", b"") for message in sent))
            async for event in super().respond(thread, input_user_message, context):
                yield event

    copy_sqlite(tmp_path / DATABASE)
    app = create_app(make_settings(tmp_path), server=Late)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            sent.append(message)
            await send(message)

        await app(scope, receive, watch)

    body = json.dumps({"type": "threads.create", "params": {"input": user_input("Hello")}}).encode()
    async with app.router.lifespan_context(app):
        await call(watched, "POST", "/chatkit", body, JSON)
    (first,) = sent_before
    assert b'"thread.created"' in first
    assert b'"thread.item.done"' in first


async def test_the_head_leaves_before_the_first_events_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def recorded_events(accepted: Accepted) -> list[ThreadStreamEvent]:
        steps.append("events")
        return opening_events(accepted)

    monkeypatch.setattr("chatkit_server.turns.turn.opening_events", recorded_events)
    copy_sqlite(tmp_path / DATABASE)
    app = create_app(make_settings(tmp_path))

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            steps.append(message["type"])
            await send(message)

        await app(scope, receive, watch)

    body = json.dumps({"type": "threads.create", "params": {"input": user_input("Hello")}}).encode()
    async with app.router.lifespan_context(app):
        await call(watched, "POST", "/chatkit", body, JSON)
    assert steps[:3] == ["http.response.start", "events", "http.response.body"]
    assert steps.count("events") == 1
