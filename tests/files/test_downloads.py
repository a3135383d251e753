"""Signed downloads: for their user and for a while, and nothing in them can run."""

import time

import pytest

from tests.files.uploading import PDF, TEXT, UploadClient, picture, sqlite_only
from tests.turns.conftest import Start

pytestmark = sqlite_only

HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


@pytest.mark.parametrize(
    ("data", "name", "mime_type", "how", "served_as"),
    [
        (picture(), "a b.png", "image/png", "inline; filename*=utf-8''a%20b.png", "image/png"),
        (PDF, "a.pdf", "application/pdf", "attachment; filename*=utf-8''a.pdf", "application/pdf"),
        (TEXT, "ü.txt", "text/plain", "attachment; filename*=utf-8''%C3%BC.txt", "text/plain"),
        (HTML, "a.html", "text/html", "attachment; filename*=utf-8''a.html", "application/octet-stream"),
        (SVG, "a.svg", "image/svg+xml", "attachment; filename*=utf-8''a.svg", "application/octet-stream"),
    ],
)
async def test_a_file_comes_back_whole_and_only_bitmaps_are_shown_in_place(
    start: Start, data: bytes, name: str, mime_type: str, how: str, served_as: str
) -> None:
    types = ["image/png", "application/pdf", "text/*", "text/html", "image/svg+xml"]
    async with UploadClient.of(await start(attachment_types=types)) as client:
        sent = await client.upload(data, name, mime_type)
        assert "preview_url" not in sent.body or sent.body["mime_type"] == "image/png"
        status, body, headers = await client.get(client.link(sent.id))
        assert (status, body) == (200, data)
        assert headers["content-disposition"] == how
        assert headers["content-type"].partition(";")[0] == served_as
        assert headers["content-length"] == str(len(data))
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["cross-origin-resource-policy"] == "cross-origin"


async def test_a_url_is_good_for_its_file_its_purpose_and_its_time(
    client: UploadClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (await client.upload(TEXT)).id, (await client.upload(TEXT)).id
    good = client.link(one)
    assert (await client.get(good))[0] == 200
    upload = client.chat.services.links.make("upload", one, client.user_id, client.chat.url)
    with monkeypatch.context() as patch:
        patch.setattr("itsdangerous.timed.TimestampSigner.get_timestamp", lambda _: int(time.time()) - 3700)
        old = client.link(one)
    for bad in (good.replace(one, other), good.partition("?")[0], good[:-2], upload, old):
        status, body, _ = await client.get(bad)
        assert (status, b"link_expired" in body) == (403, True), bad


async def test_a_url_outlives_neither_its_file_nor_its_conversation(client: UploadClient) -> None:
    back, sent = (await client.upload(TEXT)).id, (await client.upload(TEXT)).id
    links = [client.link(back), client.link(sent)]
    await client.tab.post("attachments.delete", {"attachment_id": back})
    reply = await client.send(sent)
    assert [(await client.get(link))[0] for link in links] == [404, 200]
    await client.tab.post("threads.delete", {"thread_id": reply.thread_id})
    assert [(await client.get(link))[0] for link in links] == [404, 404]


async def test_a_file_that_is_still_to_come_cannot_be_read(client: UploadClient) -> None:
    announced = await client.announce("a.png", "image/png")
    assert announced["preview_url"].startswith(f"{client.chat.url}/api/attachments/{announced['id']}/content?token=")
    assert (await client.get(announced["preview_url"]))[0] == 404


async def test_urls_have_the_address_that_browsers_use(start: Start) -> None:
    async with UploadClient.of(await start(public_url="https://chat.example.com/")) as client:
        url = (await client.announce())["upload_descriptor"]["url"]
        assert url.startswith("https://chat.example.com/api/attachments/atc_")
