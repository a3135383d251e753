"""Signed downloads: for their user and for a while, and nothing in them can run."""

import time

import pytest

from tests.files.uploading import PDF, TEXT, Desk, picture, sqlite_only
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
    async with Desk.of(await start(attachment_types=types)) as desk:
        sent = await desk.upload(data, name, mime_type)
        assert "preview_url" not in sent.body or sent.body["mime_type"] == "image/png"
        status, body, headers = await desk.get(desk.link(sent.id))
        assert (status, body) == (200, data)
        assert headers["content-disposition"] == how
        assert headers["content-type"].partition(";")[0] == served_as
        assert headers["content-length"] == str(len(data))
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["cross-origin-resource-policy"] == "cross-origin"


async def test_a_url_is_good_for_its_file_its_purpose_and_its_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (await desk.upload(TEXT)).id, (await desk.upload(TEXT)).id
    good = desk.link(one)
    assert (await desk.get(good))[0] == 200
    upload = desk.chat.services.links.make("upload", one, desk.user_id, desk.chat.url)
    with monkeypatch.context() as patch:
        patch.setattr("itsdangerous.timed.TimestampSigner.get_timestamp", lambda _: int(time.time()) - 3700)
        old = desk.link(one)
    for bad in (good.replace(one, other), good.partition("?")[0], good[:-2], upload, old):
        status, body, _ = await desk.get(bad)
        assert (status, b"link_expired" in body) == (403, True), bad


async def test_a_url_outlives_neither_its_file_nor_its_conversation(desk: Desk) -> None:
    back, sent = (await desk.upload(TEXT)).id, (await desk.upload(TEXT)).id
    links = [desk.link(back), desk.link(sent)]
    await desk.tab.post("attachments.delete", {"attachment_id": back})
    reply = await desk.send(sent)
    assert [(await desk.get(link))[0] for link in links] == [404, 200]
    await desk.tab.post("threads.delete", {"thread_id": reply.thread_id})
    assert [(await desk.get(link))[0] for link in links] == [404, 404]


async def test_a_file_that_is_still_to_come_cannot_be_read(desk: Desk) -> None:
    announced = await desk.announce("a.png", "image/png")
    assert announced["preview_url"].startswith(f"{desk.chat.url}/api/attachments/{announced['id']}/content?token=")
    assert (await desk.get(announced["preview_url"]))[0] == 404


async def test_urls_have_the_address_that_browsers_use(start: Start) -> None:
    async with Desk.of(await start(public_url="https://chat.example.com/")) as desk:
        url = (await desk.announce())["upload_descriptor"]["url"]
        assert url.startswith("https://chat.example.com/api/attachments/atc_")
