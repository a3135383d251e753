"""Test files through the real app, with the fixtures of the turns: uvloop, httptools, a real model client."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.files.uploading import S3_KEYS, UploadClient
from tests.turns.conftest import (  # noqa: F401  fixtures and a hook, found by their names
    Start,
    api,
    pytest_asyncio_loop_factories,
    start,
    upstream,
)


@pytest.fixture
async def client(start: Start) -> AsyncIterator[UploadClient]:  # noqa: F811  the fixture
    """A user of the app with default settings."""
    async with UploadClient.of(await start()) as client:
        yield client


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The URL of an S3-compatible service: moto's server in a separate process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def bucket(endpoint: str) -> AsyncIterator[str]:
    """The URL of an empty bucket."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.put(f"{endpoint}/files") as response:
                    assert response.status == 200
                    yield f"{endpoint}/files"
                    return
            await asyncio.sleep(0.1)


@pytest.fixture
def service(bucket: str) -> dict[str, str]:
    """Settings that store files in the bucket."""
    endpoint = bucket.removesuffix("/files")
    return {"attachments_url": "s3://files/chat", "s3_endpoint": endpoint, "s3_region": "us-east-1", **S3_KEYS}
