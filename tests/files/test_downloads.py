"""Signed download links: bound to a user, limited in time, and never executing scripts."""

import time

import aiohttp
import pytest

from chatkit_server.auth.anonymous import COOKIE
from chatkit_store import Owner
from tests.files.uploading import PDF, TEXT, UploadClient, picture, sqlite_only
from tests.serving import Tab
from tests.turns.conftest import Start

pytestmark = sqlite_only

HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


@pytest.mark.parametrize(
    ("data", "name", "mime_type", "disposition", "served_as"),
    [
        (picture(), "a b.png", "image/png", "inline; filename*=utf-8''a%20b.png", "image/png"),
        (PDF, "a.pdf", "application/pdf", "attachment; filename*=utf-8''a.pdf", "application/pdf"),
        (TEXT, "ü.txt", "text/plain", "attachment; filename*=utf-8''%C3%BC.txt", "text/plain"),
        (HTML, "a.html", "text/html", "attachment; filename*=utf-8''a.html", "application/octet-stream"),
        (SVG, "a.svg", "image/svg+xml", "attachment; filename*=utf-8''a.svg", "application/octet-stream"),
    ],
)
async def test_a_download_is_complete_and_only_bitmaps_are_displayed_inline(
    start: Start, data: bytes, name: str, mime_type: str, disposition: str, served_as: str
) -> None:
    types = ["image/png", "application/pdf", "text/*", "text/html", "image/svg+xml"]
    async with UploadClient.of(await start(attachment_types=types)) as client:
        sent = await client.upload(data, name, mime_type)
        assert "preview_url" not in sent.body or sent.body["mime_type"] == "image/png"
        status, body, headers = await client.get(client.link(sent.id))
        assert (status, body) == (200, data)
        assert headers["content-disposition"] == disposition
        assert headers["content-type"].partition(";")[0] == served_as
        assert headers["content-length"] == str(len(data))
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["cross-origin-resource-policy"] == "cross-origin"


async def test_a_link_is_valid_for_one_file_one_purpose_and_a_limited_time(
    client: UploadClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = (await client.upload(TEXT)).id, (await client.upload(TEXT)).id
    valid = client.link(file)
    assert (await client.get(valid))[0] == 200
    upload = client.chat.services.links.make("upload", file, Owner("", client.user_id), client.chat.url)
    with monkeypatch.context() as patch:
        patch.setattr("itsdangerous.timed.TimestampSigner.get_timestamp", lambda _: int(time.time()) - 3700)
        expired = client.link(file)
    for link in (valid.replace(file, other), valid.partition("?")[0], valid[:-2], upload, expired):
        status, body, _ = await client.get(link)
        assert (status, b"link_expired" in body) == (403, True), link


async def test_a_link_is_bound_to_its_user_and_opens_nothing_else(client: UploadClient) -> None:
    file = (await client.upload(TEXT)).id
    links, base = client.chat.services.links, client.chat.url
    for stranger in (Owner("", "user_other"), Owner("acme", client.user_id), Owner("", "")):
        assert (await client.get(links.make("download", file, stranger, base)))[0] == 404
    token = client.link(file).partition("token=")[2]
    for headers in ({"cookie": f"{COOKIE}={token}"}, {"authorization": f"Bearer {token}"}):
        async with Tab(base, headers=headers, cookies=aiohttp.DummyCookieJar()) as tab:
            assert (await tab.send("thr_1", "Look", attachments=[file])).error
            assert (await tab.post("attachments.delete", {"attachment_id": file})).status == 404
    async with aiohttp.ClientSession() as http, http.put(client.link(file), data=TEXT) as response:
        assert (response.status, (await response.json())["code"]) == (403, "link_expired")
    assert (await client.get(client.link(file)))[:2] == (200, TEXT)


async def test_a_link_for_an_upload_works_once(client: UploadClient) -> None:
    announced = await client.announce()
    assert (await client.put(announced, TEXT)).status == 200
    again = await client.put(announced, b"other bytes")
    assert (again.status, again.body["code"]) == (409, "already_uploaded")
    assert client.bytes_of(announced["id"]) == TEXT


async def test_a_link_fails_once_its_file_or_its_thread_is_deleted(client: UploadClient) -> None:
    unsent, sent = (await client.upload(TEXT)).id, (await client.upload(TEXT)).id
    links = [client.link(unsent), client.link(sent)]
    await client.tab.post("attachments.delete", {"attachment_id": unsent})
    reply = await client.send(sent)
    assert [(await client.get(link))[0] for link in links] == [404, 200]
    await client.tab.post("threads.delete", {"thread_id": reply.thread_id})
    assert [(await client.get(link))[0] for link in links] == [404, 404]


async def test_a_pending_file_cannot_be_downloaded(client: UploadClient) -> None:
    announced = await client.announce("a.png", "image/png")
    assert announced["preview_url"].startswith(f"{client.chat.url}/api/attachments/{announced['id']}/content?token=")
    assert (await client.get(announced["preview_url"]))[0] == 404


async def test_links_start_with_the_public_url(start: Start) -> None:
    async with UploadClient.of(await start(public_url="https://chat.example.com/")) as client:
        url = (await client.announce())["upload_descriptor"]["url"]
        assert url.startswith("https://chat.example.com/api/attachments/atc_")
