"""What a user at a limit is told, and what it does not cost the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from sqlalchemy import event
from starlette.requests import HTTPConnection

from chatkit_server import RequestContext, User, create_app
from chatkit_server.auth import addresses as addresses_module
from chatkit_server.auth.addresses import Addresses
from chatkit_server.context import SessionTerms
from chatkit_server.errors.http import ServerBusy
from chatkit_server.limits import refusals, tenant_tokens
from chatkit_server.limits.gate import Gate
from chatkit_server.limits.user_limits import UserLimits
from chatkit_store import NewTurn, TurnLimits, TurnStore
from tests.databases import copy_sqlite
from tests.serving import DATABASE, Served, Tab, make_settings, serve
from tests.stage import Stage
from tests.support.chatkit import user_input
from tests.support.live_server import live


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "LONGEST_DELAY", 0.01)


async def test_every_kind_of_client_learns_when_it_may_go_on(tmp_path: Path) -> None:
    async with serve(tmp_path, turns_per_minute=1) as served, served.tab() as tab:
        assert (await tab.create("Hello")).error is None
        frame = await tab.create("Again")
        assert (frame.status, frame.body["code"]) == (429, "limit_reached")
        seconds = int(frame.headers["retry-after"])
        assert 50 <= seconds <= 60
        assert f"in {seconds} seconds" in frame.body["message"]
        async with tab.session.post(f"{served.url}/api/stream/message", json={"message": "Again"}) as response:
            assert response.status == 429
            assert 50 <= int(response.headers["retry-after"]) <= 60
        async with tab.session.ws_connect(f"{served.url}/api/stream/ws") as socket:
            await socket.send_json({"message": "Again"})
            error = (await socket.receive_json(timeout=30))["error"]
            assert error["code"] == "limit_reached"
            assert 50 <= error["retry_after"] <= 60
        async with served.tab() as other:
            assert (await other.create("Hello")).error is None


async def test_pages_of_other_origins_may_read_when(tmp_path: Path) -> None:
    origin = "https://app.example"
    async with serve(tmp_path, cors_origins=[origin], turns_per_minute=1) as served, served.tab() as tab:
        reply = await tab.post("threads.create", {"input": user_input("Hello")}, headers={"origin": origin})
        assert "retry-after" in reply.headers["access-control-expose-headers"]


async def test_a_limit_that_no_time_lifts_is_said_in_the_chat(tmp_path: Path) -> None:
    async with serve(tmp_path, threads_per_user=1, items_per_thread=4) as served, served.tab() as tab:
        thread_id = (await tab.create("Hello")).thread_id
        refused = await tab.create("Another")
        assert refused.types == ["error"]
        assert refused.error is not None
        assert "Please delete one" in refused.error["message"]
        assert (await tab.send(thread_id, "More")).error is None
        refused = await tab.send(thread_id, "Too much")
        assert refused.error is not None
        assert "Please start a new one" in refused.error["message"]
        async with tab.session.post(f"{served.url}/api/message", json={"message": "Hi"}) as response:
            assert response.status == 429
            assert "retry-after" not in response.headers
        await tab.post("threads.delete", {"thread_id": thread_id})
        assert (await tab.create("Again")).error is None


async def test_what_does_not_start_a_turn_is_not_counted(tmp_path: Path) -> None:
    async with serve(tmp_path, turns_per_minute=2) as served, served.tab() as tab:
        key = {"idempotency-key": "one"}
        for _ in range(4):
            async with tab.session.post(f"{served.url}/api/message", json={"message": "Hi"}, headers=key) as response:
                assert response.status == 200
                thread_id = (await response.json())["thread_id"]
        for _ in range(3):
            assert (await tab.action(thread_id, "turn.attach")).error is None
        (item,) = [item for item in (await tab.items(thread_id))["data"] if item["type"] == "user_message"]
        assert (await tab.retry(thread_id, item["id"])).error is None
        assert (await tab.retry(thread_id, item["id"])).status == 429
        for _ in range(2):  # also of a user who is known to be at the limit
            async with tab.session.post(f"{served.url}/api/message", json={"message": "Hi"}, headers=key) as response:
                assert response.status == 200


async def test_nothing_resets_a_limit_but_a_restart_with_another(tmp_path: Path) -> None:
    async with serve(tmp_path, turns_per_minute=1) as served, served.tab() as tab:
        cookies = tab.cookies
        thread_id = (await tab.create("Hello")).thread_id
        await tab.post("threads.delete", {"thread_id": thread_id})
        async with Tab(served.url, cookies=cookies) as other_frame:
            assert (await other_frame.create("Hello")).status == 429
    async with serve(tmp_path, turns_per_minute=1) as served, Tab(served.url, cookies=cookies) as tab:
        assert (await tab.create("Hello")).status == 429
    async with serve(tmp_path, turns_per_minute=2) as served, Tab(served.url, cookies=cookies) as tab:
        assert (await tab.create("Hello")).error is None
        assert (await tab.create("Hello")).status == 429


async def test_a_refused_message_does_not_stop_the_running_answer(tmp_path: Path) -> None:
    stage, begun, release = Stage(), asyncio.Event(), asyncio.Event()

    async def wait(context: object) -> str:
        begun.set()
        await release.wait()
        return "waited"

    options: dict[str, Any] = {"turns_per_minute": 1}
    async with serve(tmp_path, stage.agent, server=stage.factory(), **options) as served, served.tab() as tab:
        stage.play_tool(wait, before="Let me see.", after="Done.")
        async with tab.open("threads.create", {"input": user_input("Hello")}) as running:
            await running.wait_for("thread.created")
            await asyncio.wait_for(begun.wait(), 30)
            assert (await tab.send(running.thread_id, "Something else")).status == 429
            release.set()
            await running.read()
        assert running.text.endswith("Done.")


@asynccontextmanager
async def counted(served: Served) -> AsyncIterator[list[str]]:
    """Yield the statements that run inside the block; on SQLite the store's threads have engines of their own."""
    statements: list[str] = []
    engine = served.services.turn_store._database._shared.sqlite_threads()._engine

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("limit", ["turns_per_minute", "threads_per_user"])
async def test_who_keeps_on_posting_is_refused_without_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(refusals, "ASKED_AGAIN", timedelta(minutes=1))
    options: dict[str, Any] = {limit: 1, "journal_ms": 0, "heartbeat_seconds": 60}
    async with serve(tmp_path, **options) as served, served.tab() as tab:
        await tab.create("Hello")
        for _ in range(4):
            assert (await tab.create("Again")).error is not None
        async with counted(served) as statements:
            replies = await asyncio.gather(*(tab.create(f"Again {number}") for number in range(20)))
        assert all(reply.error is not None for reply in replies)
        assert [statement for statement in statements if "turns.signal" not in statement] == []  # that is the journal's


async def test_a_full_thread_refuses_nothing_on_other_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "ASKED_AGAIN", timedelta(minutes=1))
    async with serve(tmp_path, threads_per_user=2, items_per_thread=2) as served, served.tab() as tab:
        full, other = (await tab.create("Hello")).thread_id, (await tab.create("Hi")).thread_id
        for number in range(6):
            assert (await tab.send(full, f"More {number}")).error is not None
            assert (await tab.create(f"Again {number}")).error is not None
        monkeypatch.setattr(served.services.turns._gate, "_limits", UserLimits(make_settings(tmp_path)))
        assert (await tab.send(other, "More")).error is None


async def test_one_start_of_a_user_at_a_time_asks_the_database_and_others_do_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(tmp_path, turns_per_minute=1) as served, served.tab() as tab, served.tab() as other:
        thread_id = (await tab.create("Hello")).thread_id
        user_id = (await served.owner(thread_id)).user_id
        store, asked, release = served.services.turn_store, asyncio.Event(), asyncio.Event()
        start, starters = store.start, []

        async def slow(turn: NewTurn, context: RequestContext, **values: Any) -> list[str]:
            starters.append(context.user_id)
            if context.user_id == user_id:
                asked.set()
                await release.wait()
            return await start(turn, context, **values)

        monkeypatch.setattr(store, "start", slow)
        flood = [asyncio.create_task(tab.create(f"Again {number}")) for number in range(20)]
        await asyncio.wait_for(asked.wait(), 30)
        assert (await other.create("Hello")).error is None
        release.set()
        assert {reply.status for reply in await asyncio.gather(*flood)} == {429}
        assert starters.count(user_id) == 1


async def test_who_waits_too_long_for_the_own_turns_to_start_is_told_that_the_server_is_busy(tmp_path: Path) -> None:
    limits, context = TurnLimits(turns_per_minute=1), RequestContext("alice")
    gate = Gate(make_settings(tmp_path), cast(TurnStore, None))
    async with gate.one_at_a_time(context, limits, 5):
        async with (
            gate.one_at_a_time(replace(context, tenant="acme"), limits, 5),
            gate.one_at_a_time(context, TurnLimits(), 5),
        ):
            with pytest.raises(ServerBusy):
                async with gate.one_at_a_time(context, limits, 0.01):
                    pass
    async with gate.one_at_a_time(context, limits, 5):
        pass


async def test_repeated_refusals_take_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "DELAYED_OF_ONE", 3)
    monkeypatch.setattr(refusals, "FIRST_DELAY", 30.0)
    monkeypatch.setattr(refusals, "LONGEST_DELAY", 30.0)
    async with serve(tmp_path, turns_per_minute=1) as served, served.tab() as tab:
        await tab.create("Hello")
        assert (await tab.create("The first refusal comes at once")).status == 429
        posts = [asyncio.create_task(tab.create(f"Again {number}")) for number in range(8)]
        done: set[asyncio.Task[Any]] = set()
        async with asyncio.timeout(20):
            while len(done) < 5:
                done, _ = await asyncio.wait(posts, timeout=0.05)
        assert len(done) == 5, "more than three are held back"
        async with served.tab() as other:
            assert (await other.create("Hello")).error is None
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)


@asynccontextmanager
async def logged_in(folder: Path, users: dict[str, User], **settings: Any) -> AsyncIterator[str]:
    """Yield the URL of a server whose users say their name in a header."""

    async def login(request: HTTPConnection) -> User | None:
        return users[request.headers["x-name"]]

    copy_sqlite(folder / DATABASE)
    async with live(create_app(make_settings(folder, **settings), auth=login)) as url:
        yield url


async def post(url: str, name: str, count: int) -> list[int]:
    """Send that many messages at once, and return the statuses in order."""

    async def send(http: aiohttp.ClientSession) -> int:
        async with http.post(f"{url}/api/message", json={"message": "Hi"}) as response:
            return response.status

    async with aiohttp.ClientSession(headers={"x-name": name}) as http:
        return sorted(await asyncio.gather(*(send(http) for _ in range(count))))


async def test_a_session_has_a_rate_of_its_own(tmp_path: Path) -> None:
    first = SessionTerms(id="cksess_1", workflow_id="wf_1", requests_per_minute=3)
    users = {"first": User("alice", session=first), "second": User("alice", session=replace(first, id="cksess_2"))}
    async with logged_in(tmp_path, users, turns_per_minute=5) as url:
        assert await post(url, "first", 10) == [200] * 3 + [429] * 7
        assert await post(url, "second", 10) == [200] * 2 + [429] * 8  # the user's own limit counts both


async def test_a_tenant_has_tokens_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_tokens, "COUNTED_SECONDS", 0.0)
    users = {"alice": User("alice", tenant="acme"), "bob": User("bob", tenant="acme"), "carol": User("carol")}
    async with logged_in(tmp_path, users, tokens_per_day_per_tenant=1) as url:
        for name, status in (("alice", 200), ("bob", 429), ("alice", 429), ("carol", 200)):
            assert await post(url, name, 1) == [status]


def test_anonymous_visitors_have_limits_where_they_are_invited(tmp_path: Path) -> None:
    stranger = RequestContext("user_1", is_anonymous=True, address_key="address")
    customer = RequestContext("alice")
    development = UserLimits(make_settings(tmp_path))
    assert development.of_turns(stranger).in_use() == {}
    assert development.file_bytes(stranger) is None
    public = UserLimits(make_settings(tmp_path, allow_anonymous=True, running_turns_per_user=5))
    assert public.of_turns(stranger).in_use() == {
        "threads_per_user": 100,
        "items_per_thread": 1000,
        "tokens_per_day": 200_000,
        "turns_per_minute": 10,
        "turns_per_minute_of_address": 60,
        "running_turns": 5,
    }
    assert public.file_bytes(stranger) == 100 * 1024**2
    assert public.of_turns(customer).in_use() == {"running_turns": 5}
    assert public.file_bytes(customer) is None


def test_the_key_of_an_address_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts: list[str] = []
    network = addresses_module._network

    def record(host: str) -> str | None:
        hosts.append(host)
        return network(host)

    monkeypatch.setattr(addresses_module, "_network", record)
    addresses = Addresses(["the secret"])
    sent = [("192.0.2.1", 1), ("192.0.2.1", 2), ("192.0.2.2", 1), ("unix", 0), ("unix", 0)]
    keys = [addresses.key_of(HTTPConnection({"type": "http", "client": client})) for client in sent]
    assert hosts == ["192.0.2.1", "192.0.2.2", "unix"]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] is keys[4] is None


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_an_address_is_counted_by_what_a_visitor_cannot_change(one: str, other: str, is_same: bool) -> None:
    addresses = Addresses(["an old secret", "the secret"])
    keys = [addresses.key_of(HTTPConnection({"type": "http", "client": (host, 1)})) for host in (one, other)]
    assert (keys[0] == keys[1]) is is_same
    assert keys[0] is not None
    assert one not in keys[0]
    assert Addresses(["the secret"]).key_of(HTTPConnection({"type": "http", "client": (one, 1)})) == keys[0]
    for client in (None, ("unix", 0)):
        assert addresses.key_of(HTTPConnection({"type": "http", "client": client})) is None
