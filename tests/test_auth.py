"""Who a request belongs to: one user per browser, by a signed cookie."""

import stat
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest
from itsdangerous import URLSafeSerializer

from chatkit_server import Settings, create_app
from chatkit_server.auth import COOKIE, open_auth
from chatkit_server.errors.setup import SetupError
from tests.serving import SECRET, Served, Tab, make_settings, serve
from tests.support.chatkit import Reply


def cookie_of(reply: Reply) -> str:
    """The cookie's value that an answer sets."""
    return SimpleCookie(reply.headers["set-cookie"])[COOKIE].value


async def threads_with(served: Served, cookie: str) -> int:
    """How many threads the bearer of a cookie sees."""
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


async def test_the_cookie_stays_on_https_where_it_was_set(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab(headers={"x-forwarded-proto": "https"}) as tab:
        reply = await tab.create("Hello")
        assert SimpleCookie(reply.headers["set-cookie"])[COOKIE]["secure"]


async def test_two_tabs_of_a_browser_are_one_user_and_two_browsers_are_two(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab, served.tab() as other:
        thread_id = (await tab.create("Mine")).thread_id
        async with served.tab(cookies=tab.cookies) as second:
            assert [thread["id"] for thread in await second.history()] == [thread_id]
        assert await other.history() == []


async def test_the_page_gives_the_cookie_before_the_first_two_requests_could_make_two_users(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        async with tab.session.get(served.url) as page:
            assert COOKIE in page.cookies
        reply = await tab.create("Hello")
        assert "set-cookie" not in reply.headers


async def test_each_load_of_the_page_keeps_the_user_for_another_year(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        cookie = cookie_of(await tab.create("Hello"))
        for method in ("GET", "HEAD"):
            async with tab.session.request(method, served.url) as page:
                renewed = page.cookies[COOKIE]
            assert (renewed.value, int(renewed["max-age"]) > 300 * 24 * 3600) == (cookie, True)
        assert len(await tab.history()) == 1


async def test_a_frames_id_is_cut(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab(headers={"chatkit-frame-instance-id": "x" * 9000}) as tab:
        await tab.create("Hello")
        assert await served.rows("SELECT frame_id FROM turns") == [{"frame_id": "x" * 100}]


@pytest.mark.parametrize("change", ["cut", "forged", "another secret", "no string", "garbage", "empty"])
async def test_a_cookie_that_is_not_ours_is_a_new_user(tmp_path: Path, change: str) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        cookie = cookie_of(await tab.create("Hello"))
        user = URLSafeSerializer(SECRET, salt="chatkit-user").loads(cookie)
        payload, _, signature = cookie.rpartition(".")
        others = {
            "cut": cookie[:-1],
            "forged": f"{payload[:-2]}AA.{signature}",
            "another secret": str(URLSafeSerializer("x" * 32, salt="chatkit-user").dumps(user)),
            "no string": str(URLSafeSerializer(SECRET, salt="chatkit-user").dumps({"user": user})),
            "garbage": "%00.%ff",
            "empty": "",
        }
        assert (await threads_with(served, cookie), await threads_with(served, others[change])) == (1, 0)


async def test_a_restart_knows_its_browsers_again_by_the_secret_it_keeps(tmp_path: Path) -> None:
    async with serve(tmp_path, secret=None) as served, served.tab() as tab:
        cookie = cookie_of(await tab.create("Hello"))
    kept = tmp_path / "secret"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert len(kept.read_text(encoding="utf-8")) == 64
    async with serve(tmp_path, secret=None) as served:
        assert await threads_with(served, cookie) == 1


@pytest.mark.parametrize("content", ["", "short", " \n"])
def test_a_secret_file_that_holds_none_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content, encoding="utf-8")
    with pytest.raises(SetupError, match="does not contain a usable secret"):
        open_auth(make_settings(tmp_path, secret=None))


def test_a_directory_that_cannot_be_written_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="CHATKIT_DATA_DIR=.*file/data cannot be used: Not a directory"):
        open_auth(make_settings(tmp_path / "file" / "data", secret=None))


def test_a_secret_from_the_settings_leaves_no_file(tmp_path: Path) -> None:
    open_auth(make_settings(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("mode", ["session", "jwt", "header"])
def test_a_mode_that_is_not_built_yet_stops_the_start_with_a_sentence(tmp_path: Path, mode: str) -> None:
    with pytest.raises(SetupError, match=f"CHATKIT_AUTH={mode} is not available"):
        create_app(make_settings(tmp_path, auth=mode))


@pytest.mark.parametrize(
    ("header", "locale"), [("de-CH", "de-CH"), ("fr;q=0.8, en", "fr"), ("", "en"), (", ", "en"), ("x" * 99, "x" * 35)]
)
async def test_an_agent_knows_who_asks_in_which_language_from_where(tmp_path: Path, header: str, locale: str) -> None:
    from agents import Agent
    from agents.testing import ScriptedModel, assistant_message

    from chatkit_server import RequestContext

    seen: list[RequestContext] = []

    def agent(context: RequestContext) -> Agent[object]:
        seen.append(context)
        return Agent(name="Actor", model=ScriptedModel([[assistant_message("Hi.")]]))

    async with serve(tmp_path, agent) as served, Tab(served.url, locale=header) as tab:
        reply = await tab.create("Hello")
        owner = await served.owner(reply.thread_id)
    expected = RequestContext(owner.user_id, reply.headers["x-request-id"], locale, tab.frame_id)
    assert seen == [expected]


def test_settings_without_a_secret_are_fine_in_development() -> None:
    assert Settings(_env_file=None).secret is None
