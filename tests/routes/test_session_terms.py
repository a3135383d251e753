"""What a session was made with holds for its requests: titles, files, history; and the options of the page say it."""

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.routes.sessions import Backend, serving_sessions
from tests.serving import Tab
from tests.support.chatkit import Json

MB = 1024 * 1024


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    async with serving_sessions(tmp_path, attachments=True, attachment_max_bytes=20 * MB) as backend:
        yield backend


async def tab_with(backend: Backend, **configuration: Any) -> Tab:
    session = await backend.create(chatkit_configuration=configuration)
    return backend.tab(session.client_secret, frame=False)


async def options(tab: Tab) -> Json:
    async with tab.session.get(f"{tab.base_url}/api/chatkit/options", headers=bearer(tab)) as response:
        answer: Json = await response.json()
        return answer


def bearer(tab: Tab) -> dict[str, str]:
    return {"authorization": tab._headers["authorization"]}


async def upload(tab: Tab, size: int) -> tuple[int, Json]:
    """Upload a text file in one request."""
    head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\ncontent-type: text/plain\r\n\r\n'
    headers = bearer(tab) | {"content-type": "multipart/form-data; boundary=b"}
    body = head + b"a" * size + b"\r\n--b--\r\n"
    async with tab.session.post(f"{tab.base_url}/api/attachments", data=BytesIO(body), headers=headers) as response:
        return response.status, await response.json()


async def announce(tab: Tab, size: int) -> tuple[int, Json]:
    """Start an upload in two phases."""
    reply = await tab.post("attachments.create", {"name": "a.txt", "mime_type": "text/plain", "size": size})
    return reply.status, reply.body


async def test_files_are_off_by_default(backend: Backend) -> None:
    async with await tab_with(backend) as tab:
        for status, answer in (await upload(tab, 3), await announce(tab, 3)):
            assert (status, answer["message"]) == (501, "Files cannot be sent in this chat.")
        offered = await options(tab)
        assert "attachments" not in offered
        assert offered["features"]["attachments"] is False
        reply = await tab.create("Hello", attachments=["atc_any"])
        assert (reply.status, reply.body["message"]) == (501, "Files cannot be sent in this chat.")


async def test_files_keep_the_limits_of_the_session(backend: Backend) -> None:
    async with await tab_with(backend, file_upload={"enabled": True, "max_file_size": 1, "max_files": 2}) as tab:
        assert (await options(tab))["attachments"] == {"enabled": True, "maxSize": MB, "maxCount": 2}
        uploaded = [(await upload(tab, MB))[1]["id"] for _ in range(3)]
        for status, answer in (await upload(tab, MB + 1), await announce(tab, MB + 1)):
            assert (status, answer["code"]) == (413, "file_too_large")
            assert "1 MB" in answer["message"]
        assert (await tab.create("Hello", attachments=uploaded[:2])).text
        refused = await tab.create("Hello", attachments=uploaded)
        assert (refused.status, refused.body["code"]) == (409, "too_many_files")


async def test_the_settings_limits_hold_in_any_session(backend: Backend) -> None:
    async with await tab_with(backend, file_upload={"enabled": True, "max_files": 500}) as tab:
        assert (await options(tab))["attachments"] == {"enabled": True, "maxSize": 20 * MB, "maxCount": 10}


async def test_without_history_the_list_is_empty_and_a_known_thread_still_opens(backend: Backend) -> None:
    async with await tab_with(backend, history={"enabled": False}) as tab:
        thread_id = (await tab.create("Hello")).thread_id
        assert await tab.list() == {"data": [], "has_more": False}
        assert (await options(tab))["features"]["history"] is False
        assert (await tab.get(thread_id))["id"] == thread_id
    async with await tab_with(backend) as tab:
        assert (await options(tab))["features"]["history"] is True
        assert [thread["id"] for thread in await tab.history()] == [thread_id]


async def test_only_the_recent_threads_are_listed_over_all_pages(backend: Backend) -> None:
    async with await tab_with(backend, history={"recent_threads": 3}) as tab:
        ids = [(await tab.create(f"Hello {number}")).thread_id for number in range(5)]
        newest = ids[:1:-1]
        assert [thread["id"] for thread in (await tab.list())["data"]] == newest
        for order, expected in (("desc", newest), ("asc", newest[::-1])):
            listed, after = [], None
            for _ in range(3):
                page = await tab.list(limit=1, order=order, after=after)
                (thread,) = page["data"]
                listed.append(thread["id"])
                after = page.get("after")
            assert (listed, after) == (expected, None)
        assert (await tab.get(ids[0]))["id"] == ids[0]


async def test_without_titling_a_thread_has_no_title(backend: Backend) -> None:
    async with await tab_with(backend, automatic_thread_titling={"enabled": False}) as tab:
        thread_id = (await tab.create("Hello there")).thread_id
        assert (await tab.get(thread_id)).get("title") is None
    async with await tab_with(backend) as tab:
        assert (await tab.get((await tab.create("Hello there")).thread_id))["title"] == "Hello there"
        await tab.send(thread_id, "And again")
        assert (await tab.get(thread_id)).get("title") is None


async def test_the_rate_of_a_session_is_limited(backend: Backend) -> None:
    session = await backend.create(rate_limits={"max_requests_per_1_minute": 2})
    status, renewed = await backend.post("/api/chatkit/refresh", {"client_secret": session.client_secret})
    assert status == 200
    async with backend.tab(session.client_secret) as tab, backend.tab(renewed["client_secret"]) as same:
        assert (await tab.create("One")).text
        assert (await same.create("Two")).text
        for page in (tab, same):
            refused = await page.create("Three")
            assert refused.status == 429
            assert 0 < int(refused.headers["retry-after"]) <= 60
    async with backend.tab((await backend.create()).client_secret) as another:
        assert (await another.create("Three")).text
