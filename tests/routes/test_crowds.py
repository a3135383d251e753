"""What all users together may do: strangers cost nothing, so limits of one user do not limit them."""

from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractCookieJar

from chatkit_server.errors.http import TooManyRequests
from chatkit_server.limits.new_users import NewUsers
from tests.serving import Served, serve


async def upload(
    served: Served, *, content: bytes = b"text", cookies: AbstractCookieJar | None = None
) -> tuple[int, str]:
    """Upload a file, as a new user unless there are cookies; return status and error code."""
    form = aiohttp.FormData()
    form.add_field("file", content, filename="a.txt", content_type="text/plain")
    async with aiohttp.ClientSession(cookie_jar=cookies) as http:
        async with http.post(f"{served.url}/api/attachments", data=form) as response:
            return response.status, (await response.json()).get("code", "")


async def test_sixty_uploads_of_new_users_are_refused_at_the_limit(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.tab() as tab:
        await tab.create("A user with a conversation is no newcomer")
        results = [await upload(served) for _ in range(60)]
        assert results == [(200, "")] * 50 + [(429, "too_many_requests")] * 10
        for _ in range(3):  # a page that asks for a cookie first is a new user as well
            async with served.tab() as stranger:
                async with stranger.session.get(served.url):
                    pass
                file = {"name": "a.txt", "size": 3, "mime_type": "text/plain"}
                refused = await stranger.post("attachments.create", file)
            assert (refused.status, refused.headers["retry-after"]) == (429, "60")
        assert await upload(served, cookies=tab.cookies) == (200, "")
        assert len(await served.rows("SELECT id FROM attachments")) == 51


async def test_unsent_files_of_all_users_have_a_size_together(tmp_path: Path) -> None:
    async with serve(tmp_path, attachments_unsent_bytes=25) as served, served.tab() as tab:
        results = [await upload(served, content=b"0123456789") for _ in range(4)]
        assert results == [(200, ""), (200, ""), (429, "too_many_requests"), (429, "too_many_requests")]
        assert len(await served.rows("SELECT id FROM attachments WHERE status = 'stored'")) == 2
        assert len(await served.rows("SELECT id FROM attachments")) == 2, "a refused upload leaves a row"
        assert (await tab.create("Without a file")).error is None


async def test_a_new_user_is_refused_at_the_limit_and_a_known_one_is_served(tmp_path: Path) -> None:
    async with serve(tmp_path, new_users_per_minute=2) as served, served.tab() as tab, served.tab() as late:
        assert (await tab.create("Hello")).error is None
        async with aiohttp.ClientSession() as http:
            for expected in (200, 429, 429):
                async with http.post(
                    f"{served.url}/api/message", json={"message": "Hi"}, cookies={}, headers={"cookie": ""}
                ) as response:
                    assert response.status == expected
                http.cookie_jar.clear()
            async with http.get(served.url) as page:
                assert (page.status, "set-cookie" in page.headers) == (200, False)
            for path in ("/healthz", "/readyz"):
                async with http.get(served.url + path) as probe:
                    assert probe.status == 200
        refused = await late.create("Hello")
        assert (refused.status, refused.body["code"]) == (429, "too_many_requests")
        assert (await tab.create("Hello again")).error is None


async def test_new_users_come_back_at_their_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("chatkit_server.limits.rate.time.monotonic", lambda: now)
    new_users = NewUsers(60)
    for _ in range(60):
        new_users.add(None)
    for _ in range(3):
        with pytest.raises(TooManyRequests):
            new_users.add(None)
        now += 1.0
        new_users.add(None)


def accepted(new_users: NewUsers, address_key: str, count: int) -> int:
    """Return how many of as many new users of an address are accepted."""
    refused = 0
    for _ in range(count):
        try:
            new_users.add(address_key)
        except TooManyRequests:
            refused += 1
    return count - refused


def test_a_flood_from_one_address_leaves_room_for_new_users_of_others() -> None:
    new_users = NewUsers(600)
    assert 300 <= accepted(new_users, "flood", 600) <= 362
    assert all(accepted(new_users, f"address {number}", 1) for number in range(100))
    assert accepted(new_users, "another flood", 600) <= 62


def test_few_addresses_of_new_users_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatkit_server.limits.new_users.ADDRESSES", 3)
    new_users = NewUsers(600)
    for number in range(10):
        new_users.add(f"address {number}")
    assert list(new_users._of_addresses) == ["address 7", "address 8", "address 9"]
