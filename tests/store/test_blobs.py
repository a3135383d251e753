"""Files in a directory, and the extras without which PostgreSQL and S3 are refused."""

import asyncio
import gc
import io
import os
import sys
import threading
from pathlib import Path

import pytest

from chatkit_store import Blob, BlobMissing, Blobs, BlobsUnavailable, ExtraMissing, open_engine


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def everything(blobs: Blobs) -> list[Blob]:
    return sorted([blob async for batch in blobs.list() for blob in batch], key=lambda blob: blob.key)


async def test_a_directory_appears_with_its_first_file(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "deep/files"))
    assert await everything(blobs) == []
    await blobs.delete("atc_1")
    assert names_in(tmp_path) == []
    await blobs.put("atc_1", b"one")
    await blobs.put("atc_2", io.BytesIO(b"three"))
    assert await everything(blobs) == [Blob("atc_1", 3), Blob("atc_2", 5)]
    assert await blobs.get("atc_2") == b"three"
    await blobs.delete("atc_1", "atc_2", "atc_3")
    assert await everything(blobs) == []
    with pytest.raises(BlobMissing):
        await blobs.get("atc_1")


async def test_a_file_that_is_being_read_stays_as_it_was_opened(tmp_path: Path) -> None:
    blobs, content = Blobs(str(tmp_path)), os.urandom(700_000)
    await blobs.put("atc_1", content)
    opened = await blobs.open("atc_1")
    await blobs.put("atc_1", b"new")
    assert opened.size == len(content)
    assert b"".join([chunk async for chunk in opened.chunks]) == content
    assert await blobs.get("atc_1") == b"new"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted as Linux lists them")
async def test_a_file_that_nobody_reads_is_closed(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    await blobs.put("atc_1", b"x")
    opened = await blobs.open("atc_1")

    def is_open() -> bool:
        links = (link for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
        return any(link.resolve() == tmp_path / "atc_1" for link in links)

    assert is_open()
    del opened
    for _ in range(500):  # the thread that opened it may still have to forget it
        gc.collect()
        if not is_open():
            break
        await asyncio.sleep(0.01)
    assert not is_open()


class SlowFile(io.BytesIO):
    """Content whose reading waits until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__(b"x")
        self.is_read, self.may_go_on = threading.Event(), threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        self.is_read.set()
        self.may_go_on.wait(10)
        return super().read(size)


async def test_a_cancelled_write_leaves_nothing(tmp_path: Path) -> None:
    blobs, file = Blobs(str(tmp_path)), SlowFile()
    writing = asyncio.create_task(blobs.put("atc_1", file))
    await asyncio.to_thread(file.is_read.wait, 10)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    file.may_go_on.set()
    await blobs.put("atc_2", b"")
    for _ in range(500):
        if names_in(tmp_path) == ["atc_2"]:
            break
        await asyncio.sleep(0.01)
    assert names_in(tmp_path) == ["atc_2"]


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", "a//b", "", "a\\b", "a#1"])
async def test_a_key_cannot_lead_out_of_the_directory(tmp_path: Path, key: str) -> None:
    blobs = Blobs(str(tmp_path / "files"))
    with pytest.raises(ValueError, match="not a key"):
        await blobs.put(key, b"x")
    assert names_in(tmp_path) == []


async def test_a_place_that_is_no_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlobsUnavailable):
        await Blobs(str(tmp_path / "file")).put("atc_1", b"x")


def test_what_needs_an_extra_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("asyncpg", "obstore"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExtraMissing, match=r'asyncpg.*pip install "chatkit-server\[postgres\]"'):
        open_engine("postgresql://chat@db.example/chat")
    with pytest.raises(ExtraMissing, match=r'obstore.*pip install "chatkit-server\[s3\]"'):
        Blobs("s3://bucket")
