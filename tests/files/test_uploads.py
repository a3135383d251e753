"""Uploads: accepted files are stored completely, rejected ones say why and leave nothing behind."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from tests.files.uploading import (
    TEXT,
    UploadClient,
    UploadResponse,
    decompression_bomb,
    form,
    picture,
    sqlite_only,
)
from tests.turns.conftest import Start


async def test_a_direct_upload_returns_the_attachment_and_stores_the_bytes(client: UploadClient) -> None:
    data = picture()
    sent = await client.upload(data, "sun set.png", "image/png")
    preview = sent.body.pop("preview_url")
    assert sent.body == {"id": sent.id, "type": "image", "name": "sun set.png", "mime_type": "image/png"}
    assert client.bytes_of(sent.id) == data
    assert await client.rows() == [("sun set.png", "image/png", len(data), "stored")]
    kind, _, encoded = preview.partition(",")
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as small:
        assert (kind, small.format, small.size) == ("data:image/webp;base64", "WEBP", (256, 171))


@pytest.mark.parametrize("method", ["put", "post"])
async def test_a_two_phase_upload_is_pending_until_its_bytes_arrive(client: UploadClient, method: str) -> None:
    announced = await client.announce("notes.md", "text/markdown", len(TEXT))
    assert announced["upload_descriptor"]["method"] == "PUT"
    assert announced["upload_descriptor"]["headers"] == {"content-type": "text/markdown"}
    assert await client.rows() == [("notes.md", "text/markdown", len(TEXT), "pending")]
    reply = await client.send(announced["id"])
    assert (reply.error["code"], "attach it again" in reply.error["message"]) == ("custom", True)
    sent = await (client.put(announced, TEXT) if method == "put" else client.post(announced, TEXT))
    assert sent.body == {"id": announced["id"], "type": "file", "name": "notes.md", "mime_type": "text/markdown"}
    assert await client.rows() == [("notes.md", "text/markdown", len(TEXT), "stored")]
    assert client.bytes_of(sent.id) == TEXT
    assert (await client.send(sent.id)).error is None


@sqlite_only
async def test_a_first_request_that_uploads_a_file_creates_the_user(client: UploadClient) -> None:
    async with client.chat.tab() as tab:
        new_client = UploadClient(client.chat, tab)
        reply = await new_client.send((await new_client.upload(TEXT)).id)
        assert reply.error is None
        assert await client.chat.select("SELECT user_id FROM attachments") == [(new_client.user_id,)]


@sqlite_only
async def test_a_large_file_arrives_complete(client: UploadClient) -> None:
    data = b"A line of a log file.\n" * 200_000
    assert client.bytes_of((await client.upload(data, "big.log")).id) == data
    announced = await client.announce("big.log", size=len(data))
    assert client.bytes_of((await client.put(announced, data)).id) == data


REJECTED = [
    ("empty", b"", "a.txt", "text/plain", 400, "invalid_file", "empty"),
    ("over the limit", b"x" * 2000, "a.txt", "text/plain", 413, "file_too_large", "at most 1000 bytes"),
    ("far over the limit", b"x" * 5_000_000, "a.txt", "text/plain", 413, "file_too_large", "at most 1000 bytes"),
    (
        "a program",
        b"MZ\x90\x00" + bytes(60),
        "a.txt",
        "text/plain",
        415,
        "unsupported_file",
        "application/x-msdownload",
    ),
    (
        "a program that claims to be an image",
        b"MZ\x90\x00" + bytes(60),
        "a.png",
        "image/png",
        415,
        "unsupported_file",
        "type",
    ),
    ("HTML", b"<!DOCTYPE html><script>alert(1)</script>", "a.html", "text/html", 415, "unsupported_file", "text/html"),
    ("HTML that claims to be text", b" <!-- x --><html>", "a.txt", "text/plain", 415, "unsupported_file", "text/html"),
    ("SVG", b"<svg onload='alert(1)'/>", "a.svg", "image/svg+xml", 415, "unsupported_file", "image/svg+xml"),
    (
        "SVG that claims to be PNG",
        b"<?xml version='1.0'?>\n<svg/>",
        "a.png",
        "image/png",
        415,
        "unsupported_file",
        "image/svg",
    ),
    ("a decompression bomb", decompression_bomb(), "a.png", "image/png", 400, "invalid_file", "too many pixels"),
    ("half an image", picture(size=(90, 90))[:150], "a.png", "image/png", 400, "invalid_file", "damaged"),
    ("a zip", b"PK\x03\x04" + bytes(60), "a.zip", "application/zip", 415, "unsupported_file", "application/zip"),
]


@sqlite_only
async def test_an_unacceptable_file_is_rejected_with_a_reason_and_leaves_nothing(start: Start) -> None:
    async with UploadClient.of(await start(attachment_max_bytes=1000)) as client:
        for case, data, name, mime_type, status, code, message in REJECTED:
            sent = await client.upload(data, name, mime_type)
            assert (sent.status, sent.body["code"]) == (status, code), (case, sent.body)
            assert message in sent.body["message"], (case, sent.body)
        assert (client.stored_files(), await client.rows()) == ([], [])


@sqlite_only
async def test_a_two_phase_upload_is_rejected_in_its_first_or_second_phase(start: Start) -> None:
    async with UploadClient.of(await start(attachment_max_bytes=1000)) as client:
        for case, data, name, mime_type, status, code, _ in REJECTED:
            params = {"name": name, "mime_type": mime_type, "size": max(1, min(len(data), 1000))}
            announced = await client.tab.post("attachments.create", params)
            sent = UploadResponse(announced.status, announced.body)
            if sent.status == 200:
                sent = await client.put(announced.body, data)
            assert (sent.status, sent.body["code"]) == (status, code), (case, sent.body)
        assert client.stored_files() == []
        assert {row[3] for row in await client.rows()} == {"pending"}


@sqlite_only
@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"name": "a.txt", "mime_type": "text/plain", "size": 0}, "invalid_file"),
        ({"name": "a.txt", "mime_type": "text/plain", "size": -5}, "invalid_file"),
        ({"name": "a.txt", "mime_type": "text/plain", "size": 10**12}, "file_too_large"),
        ({"name": "a.heic", "mime_type": "image/heic", "size": 5}, "unsupported_file"),
        ({"name": "a.html", "mime_type": "text/html; charset=utf-8", "size": 5}, "unsupported_file"),
    ],
)
async def test_an_unacceptable_announcement_is_rejected_before_the_bytes_are_sent(
    client: UploadClient, params: dict[str, object], code: str
) -> None:
    reply = await client.tab.post("attachments.create", params)
    assert (reply.body["code"], await client.rows()) == (code, [])


@sqlite_only
async def test_a_file_of_another_size_than_announced_is_rejected(client: UploadClient) -> None:
    announced = await client.announce(size=100)
    sent = await client.put(announced, TEXT)
    assert (sent.status, sent.body["code"], client.stored_files()) == (400, "invalid_file", [])
    assert "arrived incomplete" in sent.body["message"]
    assert (await client.put(announced, b"x" * 100)).status == 200


@sqlite_only
async def test_a_body_without_a_length_is_rejected_at_the_limit(start: Start) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000
            await asyncio.sleep(0)

    async with UploadClient.of(await start(attachment_max_bytes=1000)) as client:
        sent = await client.put(await client.announce(size=5), endless())
        assert (sent.status, sent.body["code"], client.stored_files()) == (413, "file_too_large", [])


NAMES = {
    "../../etc/passwd": "passwd",
    "C:\\Windows\\system.ini": "system.ini",
    "..": "file",
    "a\u202etxt.exe": "atxt.exe",
    "a\r\nset-cookie: x.txt": "a  set-cookie_ x.txt",
    ".hidden": "hidden",
    "nul\x00l.txt": "null.txt",
    "Gr\u00fc\u00dfe \U0001f98a.txt": "Gr\u00fc\u00dfe \U0001f98a.txt",
    "x" * 300 + ".txt": "x" * 116 + ".txt",
}


@sqlite_only
async def test_names_are_made_safe_and_are_not_used_on_disk(client: UploadClient) -> None:
    for name, safe in NAMES.items():
        announced = await client.announce(name)
        assert announced["name"] == safe
        sent = await client.put(announced, TEXT)
        assert client.stored_files() == [sent.id]
        await client.tab.post("attachments.delete", {"attachment_id": sent.id})
    sent = await client.upload(TEXT, "../../../x.txt")
    assert (sent.body["name"], client.stored_files()) == ("x.txt", [sent.id])


async def test_only_one_of_two_concurrent_completions_succeeds(client: UploadClient) -> None:
    announced = await client.announce(size=10)
    first, second = b"first word", b"other word"
    sent = await asyncio.gather(client.put(announced, first), client.put(announced, second))
    assert sorted(answer.status for answer in sent) == [200, 409]
    assert [answer.body["code"] for answer in sent if answer.status == 409] == ["already_uploaded"]
    stored = first if sent[0].status == 200 else second
    assert client.bytes_of(announced["id"]) == stored
    again = await client.put(announced, first)
    assert (again.status, again.body["code"]) == (409, "already_uploaded")
    assert (client.bytes_of(announced["id"]), client.stored_files()) == (stored, [announced["id"]])


@sqlite_only
@pytest.mark.parametrize("phases", [1, 2])
async def test_an_interrupted_upload_leaves_no_file(client: UploadClient, phases: int) -> None:
    (cookie,) = client.tab.cookies.filter_cookies(client.tab_url).values()
    if phases == 1:
        head = '--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        request_line = "POST /api/attachments HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=b"
        lines = f"{request_line}\r\ncontent-length: 9000000\r\ncookie: {cookie.key}={cookie.value}"
        await client.cut(client.chat.url, head.encode() + b"x" * 2_000_000, lines)
    else:
        announced = await client.announce(size=9_000_000)
        target = announced["upload_descriptor"]["url"].removeprefix(client.chat.url)
        await client.cut(client.chat.url, b"x" * 2_000_000, f"PUT {target} HTTP/1.1\r\ncontent-length: 9000000")
    await client.chat.quiet()
    assert client.stored_files() == []
    assert [row[3] for row in await client.rows()] == ["pending"] * (phases - 1)
    if phases == 2:
        assert (await client.put(announced, b"x" * 9_000_000)).status == 200


@sqlite_only
async def test_another_users_file_cannot_be_sent_deleted_or_completed(client: UploadClient) -> None:
    file, pending = (await client.upload(TEXT)).id, await client.announce()
    async with UploadClient.of(client.chat) as other:
        assert (await other.send(file)).error is not None
        for attachment_id in (file, "atc_" + "0" * 32):
            reply = await other.tab.post("attachments.delete", {"attachment_id": attachment_id})
            assert (reply.status, reply.body["code"]) == (404, "not_found")
        token = (await other.announce())["upload_descriptor"]["url"].partition("?")[2]
        stolen = pending["upload_descriptor"]["url"].partition("?")[0]
        for url in (f"{stolen}?{token}", stolen, f"{stolen}?token=x", f"{stolen}?{client.link(pending['id'])[-80:]}"):
            pending["upload_descriptor"]["url"] = url
            sent = await other.put(pending, TEXT)
            assert (sent.status, sent.body["code"]) == (403, "link_expired")
    assert client.stored_files() == [file]
    assert sorted(row[3] for row in await client.rows()) == ["pending", "pending", "stored"]


@sqlite_only
async def test_a_file_can_be_deleted_until_it_is_sent(client: UploadClient) -> None:
    unsent, sent = (await client.upload(picture(), "a.png", "image/png")).id, (await client.upload(TEXT)).id
    assert (await client.tab.post("attachments.delete", {"attachment_id": unsent})).body == {}
    assert client.stored_files() == [sent]
    assert (await client.send(sent)).error is None
    reply = await client.tab.post("attachments.delete", {"attachment_id": sent})
    assert (reply.status, reply.body["code"], client.stored_files()) == (409, "conflict", [sent])


@sqlite_only
async def test_the_number_of_unsent_files_is_limited(start: Start) -> None:
    async with UploadClient.of(await start(attachments_unsent=2)) as client:
        unsent = [(await client.upload(TEXT)).id for _ in range(2)]
        sent = await client.upload(TEXT)
        assert (sent.status, sent.body["code"], client.stored_files()) == (409, "too_many_files", unsent)
        assert (await client.send(*unsent)).error is None
        assert (await client.upload(TEXT)).status == 200


@sqlite_only
async def test_a_page_of_another_origin_may_upload(start: Start) -> None:
    page = "https://app.example"
    async with UploadClient.of(await start(cors_origins=[page])) as client:
        url = (await client.announce())["upload_descriptor"]["url"]
        for target, method in ((f"{client.chat.url}/api/attachments", "POST"), (url, "PUT")):
            preflight = {
                "origin": page,
                "access-control-request-method": method,
                "access-control-request-headers": "accept-language,chatkit-frame-instance-id,content-type",
            }
            async with client.tab.session.options(target, headers=preflight) as response:
                assert response.status == 200, await response.text()
                assert response.headers["access-control-allow-origin"] == page
        headers = {"origin": page, "content-type": "text/plain"}
        async with client.tab.session.put(url, data=TEXT, headers=headers) as response:
            assert (response.status, response.headers["access-control-allow-origin"]) == (200, page)


@sqlite_only
async def test_a_form_without_a_file_is_rejected(client: UploadClient) -> None:
    url = f"{client.chat.url}/api/attachments"
    for data, code in (
        (b"not a form", "bad_request"),
        ({"file": "a text field"}, "bad_request"),
        (form(TEXT, "a.txt", "text/plain"), None),
    ):
        async with client.tab.session.post(url, data=data) as response:
            body = await response.json()
            assert body.get("code") == code
    broken = {"content-type": "multipart/form-data; boundary=b"}
    for raw in (b"", b"--b\r\nnonsense", b'--b\r\ncontent-disposition: form-data; name="x"\r\n\r\nx\r\n--b--'):
        async with client.tab.session.post(url, data=raw, headers=broken) as response:
            body = await response.json()
            assert (response.status, body["code"] in {"bad_request", "invalid_file"}) == (400, True)


@sqlite_only
async def test_an_image_is_rejected_at_upload_if_the_model_cannot_read_it(start: Start) -> None:
    chat = await start()
    services = chat.services
    assert services.attachments is not None
    object.__setattr__(services.attachments._model, "reads", frozenset())
    async with UploadClient.of(chat) as client:
        sent = await client.upload(picture(), "a.png", "image/png")
        assert (sent.status, sent.body["code"]) == (415, "unsupported_file")
        assert sent.body["message"] == "The model used here cannot read images."
        assert (await client.upload(TEXT)).status == 200


@sqlite_only
async def test_without_attachments_both_upload_methods_are_not_available(start: Start) -> None:
    async with UploadClient.of(await start(attachments=False)) as client:
        sent = await client.upload(TEXT)
        reply = await client.tab.post("attachments.create", {"name": "a", "size": 1, "mime_type": "text/plain"})
        assert (sent.status, sent.body["code"]) == (reply.status, reply.body["code"]) == (501, "not_available")
        async with client.tab.session.get(f"{client.chat.url}/api/chatkit/options") as response:
            offers = await response.json()
        assert (offers["features"]["attachments"], "attachments" in offers) == (False, False)
