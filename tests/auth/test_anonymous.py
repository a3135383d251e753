"""Authentication: one user per browser, by a signed cookie."""

import stat
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from itsdangerous import URLSafeSerializer

from chatkit_server import Settings
from chatkit_server.auth import open_door
from chatkit_server.auth.anonymous import COOKIE, SECURE, cookie_name
from chatkit_server.errors.setup import SetupError
from tests.serving import SECRET, Served, Tab, make_settings, serve
from tests.support.chatkit import Reply

NAME = cookie_name(SECRET)


def cookie_of(reply: Reply) -> str:
    """Return the value of the cookie that a response sets."""
    (morsel,) = SimpleCookie(reply.headers["set-cookie"]).values()
    return morsel.value


async def threads_with(served: Served, cookie: str) -> int:
    """Return how many threads the owner of a cookie sees."""
    async with served.tab(headers={"cookie": f"{COOKIE}={cookie}"}, cookies=aiohttp.DummyCookieJar()) as tab:
        return len(await tab.history())


async def test_a_browser_gets_one_cookie_that_scripts_cannot_read(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        first = await tab.create("Hello")
        again = await tab.send(first.thread_id, "Again")
        (morsel,) = SimpleCookie(first.headers["set-cookie"]).values()
        assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["secure"]) == (True, "lax", "/", "")
        assert int(morsel["max-age"]) > 300 * 24 * 3600
        assert "set-cookie" not in again.headers
        assert "user_" not in morsel.value  # signed and encoded, not the plain id


HTTPS = {"x-forwarded-proto": "https"}


@pytest.mark.parametrize(("headers", "settings"), [(HTTPS, {}), ({}, {"public_url": "https://chat.example"})])
async def test_over_https_only_this_very_host_can_have_set_the_cookie(
    tmp_path: Path, headers: dict[str, str], settings: dict[str, Any]
) -> None:
    async with serve(tmp_path, **settings) as served, served.tab(headers=headers) as tab:
        reply = await tab.create("Hello")
        (morsel,) = SimpleCookie(reply.headers["set-cookie"]).values()
        assert (morsel.key, morsel["secure"], morsel["path"], morsel["domain"]) == (SECURE + NAME, True, "/", "")
        assert (morsel["httponly"], morsel["samesite"]) == (True, "lax")
        for name, threads in (
            (SECURE + NAME, 1),
            (SECURE + COOKIE, 1),
            (NAME, 0),
            (COOKIE, 0),
        ):  # a sibling domain may have planted the plain one
            sent = headers | {"cookie": f"{name}={morsel.value}"}
            async with served.tab(headers=sent, cookies=aiohttp.DummyCookieJar()) as again:
                assert len(await again.history()) == threads


async def test_a_cookie_of_an_old_key_is_accepted_and_signed_again(tmp_path: Path) -> None:
    new_secret = "n" * 32
    async with serve(tmp_path) as served, served.tab() as tab:
        old = cookie_of(await tab.create("Hello"))
    async with serve(tmp_path, secrets=[new_secret, SECRET]) as served:
        async with served.tab(headers={"cookie": f"{COOKIE}={old}"}, cookies=aiohttp.DummyCookieJar()) as tab:
            reply = await tab.post("threads.list", {})
            assert len(reply.body["data"]) == 1
        new = cookie_of(reply)
        assert URLSafeSerializer(new_secret, salt="chatkit-user").loads(new)
        sent = {"cookie": f"{cookie_name(new_secret)}={new}"}
        async with served.tab(headers=sent, cookies=aiohttp.DummyCookieJar()) as tab:
            assert "set-cookie" not in (await tab.post("threads.list", {})).headers
    async with serve(tmp_path, secrets=[new_secret]) as served:
        assert (await threads_with(served, old), await threads_with(served, new)) == (0, 1)


async def test_two_tabs_of_a_browser_are_one_user_and_two_browsers_are_two(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab, served.tab() as other:
        thread_id = (await tab.create("Mine")).thread_id
        async with served.tab(cookies=tab.cookies) as second:
            assert [thread["id"] for thread in await second.history()] == [thread_id]
        assert await other.history() == []


async def test_the_page_sets_the_cookie_so_that_its_requests_have_one_user(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        async with tab.session.get(served.url) as page:
            assert NAME in page.cookies
        reply = await tab.create("Hello")
        assert "set-cookie" not in reply.headers


async def test_each_load_of_the_page_renews_the_cookie_for_a_year(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        cookie = cookie_of(await tab.create("Hello"))
        for method in ("GET", "HEAD"):
            async with tab.session.request(method, served.url) as page:
                renewed = page.cookies[NAME]
            assert (renewed.value, int(renewed["max-age"]) > 300 * 24 * 3600) == (cookie, True)
        assert len(await tab.history()) == 1


async def test_a_long_frame_id_is_truncated(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab(headers={"chatkit-frame-instance-id": "x" * 9000}) as tab:
        await tab.create("Hello")
        assert await served.rows("SELECT frame_id FROM turns") == [{"frame_id": "x" * 100}]


@pytest.mark.parametrize("change", ["cut", "forged", "another secret", "not a string", "garbage", "empty"])
async def test_an_invalid_cookie_means_a_new_user(tmp_path: Path, change: str) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        cookie = cookie_of(await tab.create("Hello"))
        user = URLSafeSerializer(SECRET, salt="chatkit-user").loads(cookie)
        payload, _, signature = cookie.rpartition(".")
        cookies = {
            "cut": cookie[:-1],
            "forged": f"{payload[:-2]}AA.{signature}",
            "another secret": str(URLSafeSerializer("x" * 32, salt="chatkit-user").dumps(user)),
            "not a string": str(URLSafeSerializer(SECRET, salt="chatkit-user").dumps({"user": user})),
            "garbage": "%00.%ff",
            "empty": "",
        }
        assert (await threads_with(served, cookie), await threads_with(served, cookies[change])) == (1, 0)


async def test_cookies_stay_valid_after_a_restart_because_the_secret_is_kept(tmp_path: Path) -> None:
    async with serve(tmp_path, secrets=[]) as served, served.tab() as tab:
        cookie = cookie_of(await tab.create("Hello"))
    secret_file = tmp_path / "secret"
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    assert len(secret_file.read_text(encoding="utf-8")) == 64
    async with serve(tmp_path, secrets=[]) as served:
        assert await threads_with(served, cookie) == 1


@pytest.mark.parametrize("content", ["", "short", " \n"])
def test_a_file_without_a_usable_secret_prevents_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content, encoding="utf-8")
    with pytest.raises(SetupError, match="does not contain a usable secret"):
        open_door(make_settings(tmp_path, secrets=[]))


def test_a_directory_that_cannot_be_written_prevents_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="CHATKIT_DATA_DIR=.*file/data cannot be used: Not a directory"):
        open_door(make_settings(tmp_path / "file" / "data", secrets=[]))


def test_with_a_secret_in_the_settings_no_file_is_created(tmp_path: Path) -> None:
    open_door(make_settings(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_client_secrets_need_a_database(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="CHATKIT_AUTH=session is not available"):
        open_door(make_settings(tmp_path, auth="session"))


@pytest.mark.parametrize(
    ("header", "locale"), [("de-CH", "de-CH"), ("fr;q=0.8, en", "fr"), ("", "en"), (", ", "en"), ("x" * 99, "x" * 35)]
)
async def test_an_agent_gets_the_context_of_the_request(tmp_path: Path, header: str, locale: str) -> None:
    from agents import Agent
    from agents.testing import ScriptedModel, assistant_message

    from chatkit_server import RequestContext

    contexts: list[RequestContext] = []

    def agent(context: RequestContext) -> Agent[object]:
        contexts.append(context)
        return Agent(name="Actor", model=ScriptedModel([[assistant_message("Hi.")]]))

    async with serve(tmp_path, agent) as served, Tab(served.url, locale=header) as tab:
        reply = await tab.create("Hello")
        owner = await served.owner(reply.thread_id)
    expected = RequestContext(
        owner.user_id,
        reply.headers["x-request-id"],
        locale,
        tab.frame_id,
        is_anonymous=True,
        address_key=contexts[0].address_key,
    )
    assert contexts == [expected]


def test_settings_without_a_secret_are_fine_in_development() -> None:
    assert Settings(_env_file=None).secrets == []
