"""A page that is logged in gets a client secret; a page with one renews it, within limits."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agents import Agent, function_tool
from sqlalchemy import update

from chatkit_store.tables import chat_sessions
from tests.plain.plain import Socket
from tests.routes.sessions import Backend, serving_sessions
from tests.serving import Tab


async def expire(backend: Backend, *, ago: float) -> None:
    """Let all secrets have expired some seconds ago."""
    moment = datetime.now(UTC) - timedelta(seconds=ago)
    async with backend.served.services.engine.begin() as connection:
        values = {"expires_at": moment, "created_at": moment - timedelta(seconds=600)}
        await connection.execute(update(chat_sessions).values(values))


async def is_logged_in(backend: Backend, secret: str) -> bool:
    async with backend.tab(secret, frame=False) as tab:
        return (await tab.post("threads.list", {})).status == 200


async def test_a_browser_of_another_login_gets_a_secret_for_its_own_user(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path, auth="none,session") as backend, backend.served.tab() as browser:
        thread_id = (await browser.create("Hello")).thread_id
        async with browser.session.post(f"{browser.base_url}/api/chatkit/session") as response:
            issued = await response.json()
            assert (response.status, response.headers["cache-control"]) == (200, "private, no-store")
        assert set(issued) == {"id", "client_secret", "expires_at", "renewable_until"}
        assert 590 < issued["expires_at"] - time.time() <= 600
        async with backend.tab(issued["client_secret"]) as tab:
            assert [thread["id"] for thread in await tab.history()] == [thread_id]
            assert (await tab.create("Hello again")).text
        of_cookie, of_secret = backend.contexts[0], backend.contexts[-1]
        assert of_cookie.session is None
        assert of_secret.session is not None
        for context in (of_cookie, of_secret):
            assert context.is_anonymous
        assert of_secret.address_key == of_cookie.address_key, "the limits of an address still count this visitor"
        status, answer = await backend.post("/api/chatkit/session", bearer=issued["client_secret"])
        assert (status, answer["code"]) == (409, "conflict")


async def test_a_new_browser_gets_its_cookie_with_the_secret(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path, auth="none,session") as backend, backend.served.tab() as browser:
        async with browser.session.post(f"{browser.base_url}/api/chatkit/session") as response:
            issued = await response.json()
        thread_id = (await browser.create("Hello")).thread_id
        async with backend.tab(issued["client_secret"]) as tab:
            assert [thread["id"] for thread in await tab.history()] == [thread_id]


async def test_without_a_login_there_is_no_secret(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path) as backend:
        for path in ("/api/chatkit/session", "/api/chatkit/refresh"):
            for bearer in (None, "ek_unknown", "ek_" + "x" * 5000, "a.jwt.token"):
                status, answer = await backend.post(path, bearer=bearer)
                assert (status, answer["code"]) == (401, "not_authenticated"), (path, bearer)


async def test_a_valid_secret_is_renewed_and_stays_valid(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path) as backend:
        session = await backend.create(rate_limits={"max_requests_per_1_minute": 7})
        secret = session.client_secret
        bodies = [{"client_secret": secret}, {"currentClientSecret": secret}, None]
        for body in bodies:
            status, renewed = await backend.post("/api/chatkit/refresh", body, bearer=None if body else secret)
            assert (status, renewed["id"]) == (200, session.id)
            assert renewed["client_secret"] != secret
            async with backend.tab(renewed["client_secret"]) as tab:
                assert (await tab.create("Hello")).text
            terms = backend.contexts[-1].session
            assert terms is not None
            assert (terms.id, terms.requests_per_minute) == (session.id, 7)
        assert await is_logged_in(backend, secret)
        await backend.cancel(session.id)
        for old in (secret, renewed["client_secret"]):
            assert not await is_logged_in(backend, old)
            assert (await backend.post("/api/chatkit/refresh", {"client_secret": old}))[0] == 401


async def test_an_expired_secret_is_refused_and_renewed_once_within_the_grace(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path) as backend:
        secret = (await backend.create()).client_secret
        await expire(backend, ago=30)
        assert not await is_logged_in(backend, secret)
        body = {"client_secret": secret}
        answers = await asyncio.gather(*(backend.post("/api/chatkit/refresh", body) for _ in range(5)))
        assert sorted(status for status, _ in answers) == [200, 401, 401, 401, 401]
        (renewed,) = (answer for status, answer in answers if status == 200)
        assert await is_logged_in(backend, renewed["client_secret"])
        await expire(backend, ago=61)
        assert (await backend.post("/api/chatkit/refresh", {"client_secret": renewed["client_secret"]}))[0] == 401


async def test_who_has_no_secret_starts_no_write(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path) as backend:
        writes: list[object] = []
        store = backend.served.services.session_issuer._store
        write = store._database.write

        def counted(*arguments: Any) -> Any:
            writes.append(arguments)
            return write(*arguments)

        store._database.write = counted  # type: ignore[assignment, method-assign]
        assert (await backend.post("/api/chatkit/refresh", {"client_secret": "ek_" + "x" * 43}))[0] == 401
        assert writes == []
        secret = (await backend.create()).client_secret
        assert (await backend.post("/api/chatkit/refresh", {"client_secret": secret}))[0] == 200
        assert len(writes) == 2


async def test_a_session_is_not_renewed_beyond_its_end(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path, session_renew_seconds=0) as backend:
        session = await backend.create()
        status, renewed = await backend.post("/api/chatkit/refresh", {"client_secret": session.client_secret})
        assert (status, renewed["expires_at"]) == (200, session.expires_at)


async def test_the_log_says_why_and_the_client_learns_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chatkit_server")
    async with serving_sessions(tmp_path) as backend:
        cancelled, expired = await backend.create(), await backend.create()
        await expire(backend, ago=100)
        await backend.cancel(cancelled.id)
        answers = []
        for secret in (cancelled.client_secret, expired.client_secret, "ek_unknown"):
            async with backend.tab(secret, frame=False) as tab:
                reply = await tab.post("threads.list", {})
                answers.append((reply.status, {**reply.body, "request_id": ""}))
        assert answers[0] == answers[1] == answers[2]
        assert f"session {cancelled.id} is cancelled" in caplog.text
        assert f"session {expired.id} is expired" in caplog.text
        assert "the client secret is unknown" in caplog.text
        for secret in (cancelled.client_secret, expired.client_secret):
            assert secret not in caplog.text


async def test_a_stream_that_began_with_a_valid_secret_is_not_cut(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    @function_tool
    async def wait() -> str:
        await go_on.wait()
        return "done"

    async with serving_sessions(tmp_path, Agent(name="Patient", tools=[wait])) as backend:
        session = await backend.create()
        async with backend.tab(session.client_secret) as tab:
            async with tab.open("threads.create", {"input": _input("call wait {}")}) as reply:
                await reply.wait_for("thread.item.done")
                await backend.cancel(session.id)
                await expire(backend, ago=1000)
                assert not await is_logged_in(backend, session.client_secret)
                go_on.set()
                await reply.read()
                assert reply.error is None
                assert reply.text


async def test_an_open_websocket_takes_no_message_after_the_end_of_its_session(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path) as backend:
        session = await backend.create()
        headers = {"authorization": f"Bearer {session.client_secret}"}
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"{backend.served.url}/api/stream/ws", headers=headers) as connection,
        ):
            socket = Socket(connection)
            await socket.send("Hello")
            assert (await socket.messages()).done["status"] == "completed"
            await backend.cancel(session.id)
            await socket.send("Hello again")
            assert (await socket.receive())["error"]["code"] == "not_authenticated"


def _input(text: str) -> dict[str, object]:
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "quoted_text": "", "inference_options": {}}


async def test_secrets_work_beside_another_login(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path, auth="session,none") as backend:
        secret = (await backend.create()).client_secret
        async with backend.tab(secret) as tab, backend.served.tab() as browser:
            for page in (tab, browser):
                assert (await page.create("Hello")).text
            assert len(await _users(tab, browser)) == 2
        async with backend.tab("ek_wrong", frame=False) as forged:
            assert (await forged.create("Hello")).status == 401, "a wrong secret does not become an anonymous user"


async def _users(*tabs: Tab) -> set[str]:
    return {thread["id"] for tab in tabs for thread in await tab.history()}
