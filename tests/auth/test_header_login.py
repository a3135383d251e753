"""CHATKIT_AUTH=header: a proxy names the user."""

import logging
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.requests import HTTPConnection

from chatkit_server import NotAuthenticated, Settings, User, create_app
from chatkit_server.auth.header_login import NAMES_USERS, HeaderLogin, open_header_login
from chatkit_server.auth.login import MAX_ID
from chatkit_server.errors.setup import SetupError
from tests.serving import make_settings, serve

SECRET = "s" * 32
TEXT = {"content-type": "text/plain"}
LISTED: dict[str, Any] = {"trusted_proxies": "10.0.0.5"}
ALL: dict[str, Any] = {
    "header_tenant": "x-tenant",
    "header_name": "x-name",
    "header_roles": "x-roles",
    "admin_role": "chat-admin",
}
Values = dict[str, bytes] | list[tuple[bytes, bytes]]


async def login(headers: Values, *, is_proxy: bool = True, **settings: Any) -> User | None:
    raw = [(name.encode(), value) for name, value in headers.items()] if isinstance(headers, dict) else headers
    request = HTTPConnection({"type": "http", "headers": raw, "state": {NAMES_USERS: is_proxy}})
    return await HeaderLogin(Settings(_env_file=None, **LISTED, **settings))(request)


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        ({"x-forwarded-user": b"ann"}, User("ann")),
        ({"x-forwarded-user": b" ann "}, User("ann")),
        ({"x-forwarded-user": b"Ann"}, User("Ann")),  # two users, unless the proxy says that they are one
        ({"x-forwarded-user": "Zoë Müller".encode()}, User("Zoë Müller")),
        ({"x-forwarded-user": b""}, None),
        ({"x-forwarded-user": b"  "}, None),
        ({"x-forwarded-user": b"(null)"}, None),
        ({"x_forwarded_user": b"ann"}, None),
        ({}, None),
    ],
)
async def test_the_header_names_the_user(headers: Values, user: User | None) -> None:
    assert await login(headers) == user
    assert await login(headers, is_proxy=False) is None


async def test_other_headers_name_tenant_name_and_roles() -> None:
    headers = {"x-forwarded-user": b"ann", "x-tenant": b"acme", "x-name": "Zoë".encode("latin-1"), "x-roles": b"a, b"}
    assert await login(headers, **ALL) == User("ann", tenant="acme", name="Zoë")
    admin = await login(headers | {"x-roles": b"a,chat-admin"}, **ALL)
    assert admin == User("ann", tenant="acme", name="Zoë", is_admin=True)
    assert await login(headers) == User("ann"), "headers that the settings do not name say nothing"


async def test_nobody_is_an_admin_by_default() -> None:
    user = await login({"x-forwarded-user": b"ann", "x-roles": b"admin,,"}, header_roles="x-roles")
    assert user is not None
    assert not user.is_admin


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([(b"x-forwarded-user", b"ann"), (b"x-forwarded-user", b"bob")], "2 headers x-forwarded-user"),
        ([(b"x-forwarded-user", b"ann"), (b"x-forwarded-user", b"")], "2 headers x-forwarded-user"),
        ([(b"x-forwarded-user", b"ann"), (b"x-tenant", b"a"), (b"x-tenant", b"b")], "2 headers x-tenant"),
        ([(b"x-forwarded-user", b"ann"), (b"x-tenant", b"a"), (b"x-roles", b"b"), (b"x-roles", b"c")], "2 headers"),
        ([(b"x-forwarded-user", b"ann")], "no x-tenant"),
        ([(b"x-forwarded-user", b"ann"), (b"x-tenant", b"")], "no x-tenant"),
        ([(b"x-forwarded-user", b"Zo\xeb"), (b"x-tenant", b"a")], "x-forwarded-user is not UTF-8"),
    ],
)
async def test_ambiguous_headers_log_nobody_in(headers: Values, reason: str) -> None:
    with pytest.raises(NotAuthenticated) as refusal:
        await login(headers, **ALL)
    assert reason in refusal.value.reason


def test_a_login_without_a_known_proxy_prevents_the_start(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="set CHATKIT_TRUSTED_PROXIES .* or CHATKIT_HEADER_SECRET"):
        create_app(make_settings(tmp_path, auth="header"))
    assert open_header_login(make_settings(tmp_path, auth="header", header_secret=SECRET))
    assert open_header_login(make_settings(tmp_path, auth="header", **LISTED))


async def test_users_of_a_proxy_have_their_own_threads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ann = {"x-chatkit-proxy-secret": SECRET, "x-forwarded-user": "ann"}
    async with serve(tmp_path, auth="header", header_secret=SECRET) as served:
        async with served.tab(headers=ann) as tab, served.tab(headers=ann | {"x-forwarded-user": "bob"}) as other:
            created = await tab.create("Hello")
            assert "set-cookie" not in created.headers
            assert [thread["id"] for thread in await tab.history()] == [created.thread_id]
            assert await other.history() == []
        for forged in ({}, {"x-chatkit-proxy-secret": "wrong" * 9}):
            async with served.tab(headers={"x-forwarded-user": "ann"} | forged) as stranger:
                refused = await stranger.post("threads.list", {})
                assert (refused.status, refused.body["code"]) == (401, "not_authenticated")
                assert refused.headers["www-authenticate"] == "Bearer"
        assert await served.rows("SELECT DISTINCT user_id FROM threads") == [{"user_id": "ann"}]
    assert "x-forwarded-user is ignored: the request has no valid x-chatkit-proxy-secret" in caplog.text
    assert SECRET not in caplog.text
    assert "wrong" not in caplog.text


@pytest.mark.parametrize("user", ["x" * (MAX_ID + 1), "ann\x01", "a\u2028b"])
async def test_an_id_that_cannot_be_stored_logs_nobody_in(tmp_path: Path, user: str) -> None:
    """Such as one that is too long: cut, it could be the id of another user."""
    headers = {"x-chatkit-proxy-secret": SECRET.encode(), "x-forwarded-user": user.encode()}
    async with serve(tmp_path, auth="header", header_secret=SECRET) as served:
        request = HTTPConnection(
            {
                "type": "http",
                "headers": [(name.encode(), value) for name, value in headers.items()],
                "state": {NAMES_USERS: True, "request_id": "r"},
            }
        )
        with pytest.raises(NotAuthenticated):
            await served.services.door.authenticate(request)


async def test_a_page_that_only_the_star_admits_does_not_act_for_the_user_of_the_proxy(tmp_path: Path) -> None:
    """The proxy knows the browser, by a cookie or a certificate, whatever page sends the request."""
    ann = {"x-chatkit-proxy-secret": SECRET, "x-forwarded-user": "ann", "authorization": "Basic YW5uOng="}
    async with serve(tmp_path, auth="header", header_secret=SECRET, cors_origins=["*"]) as served:
        async with served.tab(headers=ann | {"origin": "https://evil.example"}) as foreign:
            assert (await foreign.post("threads.list", {})).status == 401
        async with served.tab(headers=ann | {"origin": served.url}) as own:
            assert (await own.post("threads.list", {})).status == 200


@pytest.mark.parametrize("foreign", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}])
async def test_a_foreign_page_changes_nothing_for_the_user_of_the_proxy(
    tmp_path: Path, foreign: dict[str, str]
) -> None:
    ann = {"x-chatkit-proxy-secret": SECRET, "x-forwarded-user": "ann"} | foreign
    async with serve(tmp_path, auth="header", header_secret=SECRET) as served:
        async with aiohttp.ClientSession(served.url, headers=ann) as http:
            async with http.post(
                "/api/message", data='{"message": "Hi"}', headers={"content-type": "text/plain"}
            ) as it:
                assert (it.status, (await it.json())["code"]) == (403, "foreign_origin")
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await http.ws_connect("/api/stream/ws")
