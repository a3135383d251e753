"""Files in an S3-compatible service: moto's server, over HTTP."""

import socket

import aiohttp

from chatkit_server.files.blob_storage import make_blobs
from tests.files.test_messages import parts_of
from tests.files.uploading import S3_KEYS, TEXT, UploadClient, picture, sqlite_only
from tests.turns.conftest import Start

pytestmark = sqlite_only


async def keys(bucket: str) -> list[str]:
    """Return the keys in the bucket, as the service lists them."""
    async with aiohttp.ClientSession() as session, session.get(bucket) as response:
        text = await response.text()
    return [part.partition("</Key>")[0] for part in text.split("<Key>")[1:]]


async def test_files_are_stored_in_the_bucket_until_they_are_deleted(
    start: Start, bucket: str, service: dict[str, str]
) -> None:
    chat = await start(**service)
    async with UploadClient.of(chat) as client:
        image, large = picture(), b"A line of a log file.\n" * 400_000
        sent = await client.upload(image, "a.png", "image/png")
        announced = await client.announce("big.log", size=len(large))
        assert (await client.put(announced, large)).id == announced["id"]
        names = sorted([sent.id, f"{sent.id}.preview", announced["id"]])
        assert sorted(await keys(bucket)) == [f"chat/{name}" for name in names]
        assert (await client.upload(image[:200], "cut.png", "image/png")).status == 400
        assert len(await keys(bucket)) == 3
        assert (await client.get(client.link(announced["id"])))[1] == large

        reply = await client.send(sent.id)
        assert parts_of(chat)[1]["image_url"].startswith("data:image/png;base64,")
        preview_url = (await client.tab.reload(reply.thread_id)).items[0]["attachments"][0]["preview_url"]
        assert preview_url == sent.body["preview_url"]
        assert (await client.tab.post("attachments.delete", {"attachment_id": announced["id"]})).status == 200
        assert len(await keys(bucket)) == 2
        await client.tab.post("threads.delete", {"thread_id": reply.thread_id})
        result = await chat.services.pruner.prune()
        assert (result.unsent, result.orphaned, await keys(bucket)) == (0, 1, [])


async def test_an_unreachable_service_is_reported_and_leaves_no_row(start: Start) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        unreachable = f"http://127.0.0.1:{closed.getsockname()[1]}"
    chat = await start(attachments_url="s3://files", s3_endpoint=unreachable, s3_region="us-east-1", **S3_KEYS)
    blobs = make_blobs(chat.services.settings)
    assert blobs.location == "s3://files"
    async with UploadClient.of(chat) as client:
        sent = await client.upload(TEXT)
        assert (sent.status, sent.body["code"]) == (503, "files_unavailable")
        assert "Please try again" in sent.body["message"]
        assert await client.rows() == []
        announced = await client.announce()
        for _ in range(2):  # the upload can be retried
            assert (await client.put(announced, TEXT)).body["code"] == "files_unavailable"
