"""Requests with something wrong in them: none is a 5xx, and none is a fault in the log.

`make fuzz` sends more than 10,000 of each kind, `make test` a few hundred. A failing seed is in the name of its test;
it makes the same requests again.
"""

import json
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from agents import Agent
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit_server import AgentContext, create_app
from chatkit_server.auth import Login
from chatkit_server.auth.anonymous import Anonymous
from chatkit_server.auth.signing_keys import load_signing_keys
from chatkit_server.limits.new_users import NewUsers
from chatkit_server.routes.protocol import OPERATIONS
from tests.databases import Postgres
from tests.hostile.house import login
from tests.routes.asgi import Answer, call, converse
from tests.routes.fuzzing import Fuzzer, Json, World
from tests.serving import make_settings
from tests.stage import Stage, stream_item
from tests.support.chatkit import user_input

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.no_cover]

USER = "user_0123456789abcdef0123456789abcdef"
IS_LONG = "FUZZ" in os.environ
SEEDS = 20 if IS_LONG else 3
BODIES = 500
EXAMPLES = 10_000 if IS_LONG else 200
HERS = "the words of Alice"


@dataclass
class Target:
    """The app under fuzz, with a world of one user."""

    app: FastAPI
    credentials: Mapping[str, str]
    stage: Stage

    async def operation(self, operation: str, params: Json) -> Answer:
        """Send a valid operation as the user."""
        return await self.body(json.dumps({"type": operation, "params": params}).encode())

    async def body(self, body: bytes) -> Answer:
        """Send any body."""
        headers = {"content-type": "application/json", **self.credentials}
        return await call(self.app, "POST", "/chatkit", body, headers)

    async def new_world(self) -> World:
        """Create a thread with an item of each kind that requests refer to, and a file."""

        async def act(context: AgentContext) -> str:
            for kind in ("structured_input", "widget", "task"):
                await stream_item(context, kind)
            return HERS

        self.stage.play_tool(act)
        created = await self.operation("threads.create", {"input": user_input(HERS)})
        turn_id = created.header("x-chatkit-turn-id")
        self.stage.playing = Agent(name="Nobody")  # the demo model answers
        thread_id = next(thread["id"] for thread in json.loads((await self.operation("threads.list", {})).body)["data"])
        listed = json.loads((await self.operation("threads.get_by_id", {"thread_id": thread_id})).body)
        items = {item["type"]: item["id"] for item in listed["items"]["data"]}
        file = {"name": "a.txt", "size": 3, "mime_type": "text/plain"}
        attachment = json.loads((await self.operation("attachments.create", file)).body)
        return World(thread_id, items, attachment["id"], turn_id)

    def of(self, user: str) -> "Target":
        """Return the app as another user calls it, where the tests' login is on."""
        return replace(self, credentials={"x-test-user": f"tenant/{user}"})


@asynccontextmanager
async def target(folder: Path, url: str, auth: Login | None = None) -> AsyncIterator[Target]:
    stage = Stage(transcript="said")
    uploads = {"attachments_unsent": 1_000_000, "attachments_new_users": 1_000_000}
    values = make_settings(folder, database_url=url, tools="search", journal_ms=0, **uploads)
    app = create_app(values, stage.agent, server=stage.factory(), auth=auth)
    cookie = str(Anonymous(load_signing_keys(values), NewUsers(1))._cookies.dumps(USER))
    async with app.router.lifespan_context(app):
        yield Target(app, {"cookie": f"chatkit_user={cookie}"}, stage)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sqlite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    async with target(folder, f"sqlite:///{folder / 'fuzz.db'}") as opened:
        yield opened


def check(answer: Answer, request: object, log: pytest.LogCaptureFixture) -> None:
    """Fail for a 5xx, for an error event that stands for one, and for an error in the log."""
    is_not_available = answer.status == 501 and b'"not_available"' in answer.body  # there is no such action
    assert 200 <= answer.status < 500 or is_not_available, f"{answer.status} {answer.body[:500]!r} for {request}"
    assert b"Something went wrong on the server" not in answer.body, f"{answer.body[:500]!r} for {request}"
    faults = [record for record in log.records if record.levelno >= logging.ERROR]
    assert not faults, f"{faults[0].getMessage()} for {request}"
    if answer.status >= 400 and b"range header" not in answer.body:  # Starlette's own text, for files of the page
        assert b'"code":' in answer.body, f"{answer.status} {answer.body[:500]!r} for {request}"
        assert {"code", "message"} <= json.loads(answer.body).keys(), request


async def bombard(target: Target, seed: int, bodies: int, log: pytest.LogCaptureFixture) -> Counter[int]:
    fuzzer = Fuzzer(seed, await target.new_world())
    statuses: Counter[int] = Counter()
    for _ in range(bodies):
        request = fuzzer.request()
        headers = {**target.credentials, **request.headers}
        answer = await call(target.app, request.method, request.path, request.body, headers, request.query)
        if request.method != "HEAD" or answer.status < 400:
            check(answer, request, log)
        statuses[answer.status] += 1
    return statuses


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_request_is_a_server_error(sqlite: Target, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    statuses = await bombard(sqlite, seed, BODIES, caplog)
    assert statuses[200] > BODIES / 20, "too few requests get past the first check"
    assert statuses[400] > BODIES / 5, "too few requests are wrong"


async def test_no_request_is_a_server_error_on_postgresql(
    tmp_path: Path, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres.fresh_database() as url:
        async with target(tmp_path, url) as opened:
            for seed in range(100, 100 + SEEDS):
                await bombard(opened, seed, BODIES // 3, caplog)


TEXTS = st.text(st.characters(codec=None), max_size=30)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXTS, values, max_size=4),
    max_leaves=12,
)


FUZZING = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@FUZZING
@given(operation=st.sampled_from(sorted(OPERATIONS)), params=st.dictionaries(TEXTS, ANY_JSON, max_size=5) | ANY_JSON)
async def test_no_parameters_of_an_operation_are_a_server_error(
    sqlite: Target, caplog: pytest.LogCaptureFixture, operation: str, params: Json
) -> None:
    check(await sqlite.operation(operation, params), (operation, params), caplog)


@dataclass
class TwoUsers:
    """An app with a login, as Bob calls it, and all of Alice's ids."""

    target: Target
    world: World
    hers: Sequence[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two_users(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TwoUsers]:
    folder = tmp_path_factory.mktemp("logins")
    async with target(folder, f"sqlite:///{folder / 'fuzz.db'}", login) as opened:
        hers = await opened.of("alice").new_world()
        ids = [hers.thread_id, hers.attachment_id, hers.turn_id, *hers.items.values()]
        bob = opened.of("bob")
        yield TwoUsers(bob, replace(await bob.new_world(), foreign_ids=ids), ids)


BODY = st.integers(0, 2**64) | ANY_JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)
"""A seed of a changed operation, any JSON, or any bytes."""


@FUZZING
@given(body=BODY)
async def test_no_body_of_a_user_is_a_server_error_or_gets_what_another_user_wrote(
    two_users: TwoUsers, caplog: pytest.LogCaptureFixture, body: int | bytes
) -> None:
    if isinstance(body, int):
        body = Fuzzer(body, two_users.world).operation().body
    answer = await two_users.target.body(body)
    check(answer, body, caplog)
    assert HERS.encode() not in answer.body or two_users.world.thread_id.encode() in answer.body
    nobody = await call(two_users.target.app, "POST", "/chatkit", body, {"content-type": "application/json"})
    assert nobody.status == 401


@FUZZING
@given(seed=st.integers(0, 2**64))
async def test_no_request_of_a_user_is_a_server_error(
    two_users: TwoUsers, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    fuzzer = Fuzzer(seed, two_users.world)
    request = fuzzer.random.choice([fuzzer.message, fuzzer.entity, fuzzer.upload, fuzzer.other])()
    headers = {**two_users.target.credentials, **request.headers}
    answer = await call(two_users.target.app, request.method, request.path, request.body, headers, request.query)
    if request.method != "HEAD" or answer.status < 400:
        check(answer, request, caplog)


async def test_what_alice_has_is_as_it_was(two_users: TwoUsers) -> None:
    """Runs after the tests above, which sent thousands of requests with her ids as another user."""
    alice = two_users.target.of("alice")
    thread = await alice.operation("threads.get_by_id", {"thread_id": two_users.hers[0]})
    items = {item["id"] for item in json.loads(thread.body)["items"]["data"]}
    assert items.issuperset(two_users.hers[3:])
    listed = await alice.operation("threads.list", {})
    assert len(json.loads(listed.body)["data"]) == 1


FIELDS = ("message", "thread_id", "attachments", "model", "tool_choice", "key", "detach", "type")


@FUZZING
@given(frame=st.dictionaries(st.sampled_from(FIELDS), ANY_JSON, min_size=1) | ANY_JSON | st.binary(max_size=50))
async def test_no_frame_of_a_socket_is_a_server_error(
    sqlite: Target, caplog: pytest.LogCaptureFixture, frame: Json
) -> None:
    text = frame if isinstance(frame, bytes) else json.dumps(frame)
    sent = await converse(sqlite.app, "/api/stream/ws", [text, '{"message": 7}', "{"], sqlite.credentials)
    assert sent[0]["type"] == "websocket.accept"
    assert [message["type"] for message in sent if message["type"] == "websocket.close"] == []
    assert "Something went wrong on the server" not in str(sent)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//", "\xff", "http://a:b", "null", ""])
async def test_an_odd_origin_of_a_socket_is_refused(sqlite: Target, origin: str) -> None:
    sent = await converse(sqlite.app, "/api/stream/ws", [], {"origin": origin})
    assert sent[0]["status"] == 403


async def test_a_recording_that_is_not_base64_is_refused(sqlite: Target) -> None:
    for audio in ("é", "AA\ud83d", "A", "====", "A" * 5):
        answer = await sqlite.operation("input.transcribe", {"audio_base64": audio, "mime_type": "audio/webm"})
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_params")


@pytest.mark.parametrize("operation", ["threads.custom_action", "threads.sync_custom_action"])
async def test_an_action_without_a_type_is_refused(sqlite: Target, operation: str) -> None:
    world = await sqlite.new_world()
    for action in ({}, {"payload": {"a": 1}}, {"type": None}, {"type": 7}):
        answer = await sqlite.operation(operation, {"thread_id": world.thread_id, "action": action})
        assert answer.status == 400
        assert "action.type" in json.loads(answer.body)["message"]
