"""An app with users who are kept apart, and what a hostile request to it returns, reads and writes."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from agents import FunctionTool, function_tool
from agents.testing import function_call
from fastapi import FastAPI
from sqlalchemy import Engine, event, text
from starlette.requests import HTTPConnection
from starlette.types import Message

from chatkit_server import AgentContext, User, create_app
from chatkit_server.auth.own_login import LoginFunction
from chatkit_server.files.signed_links import Purpose, SignedLinks
from chatkit_server.interactions.approval_card import ACTION
from chatkit_server.services import Services
from chatkit_store import Owner
from tests.databases import see_all
from tests.routes.asgi import Answer, call, converse
from tests.serving import make_settings
from tests.stage import Stage, stream_item, tool
from tests.support.chatkit import STREAMING, Json, user_input

ALICE = Owner("acme", "alice")
STRANGERS = {
    "another user": Owner("acme", "bob"),
    "the same user id in another tenant": Owner("umbrella", "alice"),
    "the same user id without a tenant": Owner("", "alice"),
    "an admin of nothing": Owner("acme", "admin"),
}
ADMIN = STRANGERS["an admin of nothing"]
PRIVATE = "the words of Alice"
"""In all that Alice wrote and got."""
REQUEST_ID = "the-same-for-all"
"""A proxy may name a request; with equal names, equal responses are equal bytes."""
BACKGROUND = ("workers", "turn_events")
"""Tables that a worker reads and writes by itself."""
POLL = "turns.signal IS NOT NULL"
"""In the statement by which a worker polls whether another one stops its turns."""
FRAME = "hostile-frame"

Headers = Mapping[str, str | bytes]
Rows = dict[str, list[tuple[Any, ...]]]


async def login(request: HTTPConnection) -> User | None:
    """Return the user that a header names: a login that is easy to use in tests."""
    tenant, slash, user_id = request.headers.get("x-test-user", "").partition("/")
    return User(user_id, tenant, is_admin=Owner(tenant, user_id) == ADMIN) if slash else None


def logged_in(owner: Owner) -> Headers:
    """Return the headers of a user's requests."""
    return {"x-test-user": "/".join(owner)}


@dataclass(frozen=True)
class Ids:
    """The ids of what a user has: one of each kind that a request may name."""

    thread: str
    message: str
    answer: str
    widget: str
    question: str
    card: str
    """The card of an approval."""
    approval: str
    attachment: str
    """It was uploaded."""
    pending: str
    """An attachment without its bytes."""
    turn: str
    running_thread: str
    running_turn: str
    download: str
    """The signature of the attachment's URL."""
    upload: str
    """The signature of the URL to which the pending attachment is uploaded."""

    def missing(self) -> "Ids":
        """Return ids of the same form that nobody has, and signatures of another server."""
        return Ids(**{each.name: _unknown(getattr(self, each.name)) for each in fields(self)})


def _unknown(known: str) -> str:
    prefix, underscore, _ = known.rpartition("_")
    if "." in known:  # a signature: the same payload and time, signed by somebody else
        payload, _, signature = known.rpartition(".")
        return f"{payload}.{signature[::-1]}"
    return f"{prefix}{underscore}{secrets.token_hex(16)}"


@dataclass
class Statements:
    """The SQL statements of a request, in the order in which they ran."""

    texts: list[str] = field(default_factory=list)

    def add(self, _c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """Take a statement from SQLAlchemy, unless a worker ran it by itself."""
        if POLL not in statement and not any(f" {table}" in statement for table in BACKGROUND):
            self.texts.append(statement)


@contextmanager
def recorded() -> Iterator[Statements]:
    """Yield the statements that run on any connection until the end of the block."""
    statements = Statements()
    event.listen(Engine, "before_cursor_execute", statements.add)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", statements.add)


@dataclass
class House:
    """A running app, in process."""

    app: FastAPI
    stage: Stage
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Lets the held turns end."""

    @property
    def services(self) -> Services:
        """The parts of the app."""
        services: Services = self.app.state.services
        return services

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Headers | None = None,
        query: bytes = b"",
    ) -> Answer:
        """Send a request."""
        headers = {"x-request-id": REQUEST_ID} | dict(headers or {})
        return await call(self.app, method, path, body, headers, query)

    async def operation(self, operation: str, params: Json, headers: Headers, *, is_frame: bool = False) -> Answer:
        """Send an operation of the protocol, as a ChatKit frame or as any other client."""
        headers = dict(headers) | {"content-type": "application/json"}
        if is_frame:
            headers["chatkit-frame-instance-id"] = FRAME
            if operation in STREAMING:
                headers["accept"] = "text/event-stream"
        body = json.dumps({"type": operation, "params": params}).encode()
        return await self.send("POST", "/chatkit", body, headers)

    async def socket(self, frames: list[str | bytes], headers: Headers) -> list[Message]:
        """Open a WebSocket, send the frames, and return what came back."""
        headers = {"x-request-id": REQUEST_ID} | dict(headers)
        return await converse(self.app, "/api/stream/ws", frames, headers)

    async def rows(self) -> Rows:
        """Return all rows of all tables, except those that a worker writes by itself."""
        dump: Rows = {}
        async with self.services.engine.connect() as connection:
            for name in await connection.run_sync(lambda sync: self.services.engine.dialect.get_table_names(sync)):
                if name not in (*BACKGROUND, "chatkit_alembic_version"):
                    rows = await connection.execute(text(f"SELECT * FROM {name}"))
                    dump[name] = sorted((tuple(row) for row in rows), key=repr)
        return dump

    async def furnish(self, owner: Owner) -> Ids:
        """Let a user write, upload and be asked, and return the ids."""
        headers = dict(logged_in(owner)) | {"x-chatkit-detach": "1"}
        uploaded = await self._upload(owner)
        pending = await self._json("attachments.create", {"name": "b.txt", "size": 3, "mime_type": "text/plain"}, owner)
        self.stage.play(
            [function_call("act", {}, call_id="1")],
            [function_call("buy", {"what": PRIVATE}, call_id="2")],
            tools=[tool("act", _show), _buy()],
        )
        first = await self.operation("threads.create", {"input": user_input(PRIVATE)}, headers)
        created = next(event for event in events_of(first.body) if event["type"] == "thread.created")
        thread_id: str = created["thread"]["id"]
        items = (await self._json("threads.get_by_id", {"thread_id": thread_id}, owner))["items"]["data"]
        kinds = {item["type"]: item["id"] for item in items if "Run buy?" not in json.dumps(item)}
        (card,) = [item for item in items if "Run buy?" in json.dumps(item)]
        (approval_id,) = {action["payload"]["approval_id"] for action in _actions(card) if action.get("type") == ACTION}
        running_thread, running_turn = await self._hold(headers)
        return Ids(
            thread=thread_id,
            message=kinds["user_message"],
            answer=kinds["assistant_message"],
            widget=kinds["widget"],
            question=kinds["structured_input"],
            card=card["id"],
            approval=approval_id,
            attachment=uploaded,
            pending=pending["id"],
            turn=first.header("x-chatkit-turn-id"),
            running_thread=running_thread,
            running_turn=running_turn,
            download=self.signature("download", uploaded, owner),
            upload=self.signature("upload", pending["id"], owner),
        )

    def signature(self, purpose: Purpose, attachment_id: str, owner: Owner, links: SignedLinks | None = None) -> str:
        """Return the signature in the URL of a file."""
        url = (links or self.services.links).make(purpose, attachment_id, owner, "http://localhost")
        return url.partition("token=")[2]

    async def _hold(self, headers: Headers) -> tuple[str, str]:
        """Start a turn that runs until `go_on`; return the ids of its thread and of the turn."""

        async def wait(context: AgentContext) -> str:
            has_started.set()
            await self.go_on.wait()
            return "done"

        has_started = asyncio.Event()
        self.stage.play_tool(wait)
        body = json.dumps({"type": "threads.create", "params": {"input": user_input(PRIVATE)}}).encode()
        reading = asyncio.create_task(
            self.send("POST", "/chatkit", body, dict(headers) | {"content-type": "application/json"})
        )
        async with asyncio.timeout(20):
            await has_started.wait()
        async with self.services.engine.connect() as connection:
            await see_all(connection)
            (row,) = await connection.execute(
                text("SELECT id, thread_id FROM turns WHERE status = 'running' ORDER BY started_at DESC LIMIT 1")
            )
        self._held.append(reading)
        return row.thread_id, row.id

    _held: list["asyncio.Task[Answer]"] = field(default_factory=list)

    async def close(self) -> None:
        """Let the held turns end."""
        self.go_on.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*self._held)

    async def _json(self, operation: str, params: Json, owner: Owner) -> Any:
        answer = await self.operation(operation, params, logged_in(owner))
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def _upload(self, owner: Owner) -> str:
        form = (
            b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\ncontent-type: text/plain\r\n\r\n'
        )
        form += PRIVATE.encode() + b"\r\n--b--\r\n"
        headers = dict(logged_in(owner)) | {"content-type": "multipart/form-data; boundary=b"}
        answer = await self.send("POST", "/api/attachments", form, headers)
        assert answer.status == 200, answer.body
        return str(json.loads(answer.body)["id"])


async def _show(context: AgentContext) -> str:
    for kind in ("assistant_message", "structured_input", "widget"):
        await stream_item(context, kind)
    return PRIVATE


def _buy() -> FunctionTool:
    @function_tool(needs_approval=True)
    async def buy(what: str) -> str:
        """Buys something."""
        return "bought"

    return buy


def _actions(value: Any) -> Iterator[Json]:
    match value:
        case dict():
            if isinstance(action := value.get("onClickAction"), dict):
                yield action
            for part in value.values():
                yield from _actions(part)
        case list():
            for part in value:
                yield from _actions(part)


def events_of(body: bytes) -> list[Json]:
    """Return the events of a stream."""
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]


@asynccontextmanager
async def open_house(
    folder: Path, url: str, *, by: LoginFunction | None = login, **values: Any
) -> AsyncIterator[House]:
    """Yield the app with the login of these tests, or, without `by`, those of the settings."""
    stage = Stage(transcript="said")
    defaults = {"auth": "session", "journal_ms": 0, "attachments": True, "tools": "search", "heartbeat_seconds": 60}
    settings = make_settings(folder, database_url=url, **defaults | values)
    app = create_app(settings, stage.agent, server=stage.factory(), auth=by)
    async with app.router.lifespan_context(app):
        house = House(app, stage)
        try:
            yield house
        finally:
            await house.close()
