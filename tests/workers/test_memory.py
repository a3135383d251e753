"""Clients that attack the memory of a server process. The growth of its peak is asserted, and printed with `-s`."""

import asyncio
import json
import re
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from chatkit.types import InferenceOptions, UserMessageItem, UserMessageTextContent

from chatkit_server import RequestContext
from chatkit_store import SqlStore, new_id, open_engine
from tests.serving import Tab
from tests.support.websocket_frames import BINARY, CONTINUATION, PING, TEXT, RawSocket, websocket_frame
from tests.workers.processes import Nursery, Worker, fork

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEGABYTES = 1024 * 1024
LIMIT = 50 * MEGABYTES


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(warm: Nursery, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    """A server with the demo model."""
    folder = tmp_path_factory.mktemp("memory")
    settings = {"database_url": f"sqlite:///{folder / 'chatkit.db'}", "model": "demo", "new_users_per_minute": 10_000}
    worker = await fork(warm, folder, "worker", settings)
    async with worker.tab() as tab:  # whatever the first request allocates
        await tab.create("Hello")
    yield worker
    worker.kill()
    await worker.gone()


class Growth:
    """How much the memory of a process grows at most within the block."""

    def __init__(self, worker: Worker, attack: str) -> None:
        self._process = Path(f"/proc/{worker.number}")
        self._attack = attack

    def __enter__(self) -> "Growth":
        (self._process / "clear_refs").write_text("5", encoding="ascii")  # resets the peak
        self._before = self._status("VmRSS")
        return self

    def __exit__(self, *error: object) -> None:
        growth = self._status("VmHWM") - self._before
        print(f"\n{self._attack}: {growth / MEGABYTES:.1f} MB")  # noqa: T201 - shown with `-s`
        assert growth < LIMIT

    def _status(self, name: str) -> int:
        status = (self._process / "status").read_text(encoding="ascii")
        match = re.search(rf"{name}:\s+(\d+) kB", status)
        assert match is not None
        return int(match[1]) * 1024


async def test_compressed_frames_are_refused(worker: Worker) -> None:
    deflate = zlib.compressobj(wbits=-15)
    bomb = deflate.compress(b"a" * 4_000_000) + deflate.flush(zlib.Z_SYNC_FLUSH)
    with Growth(worker, "1 MB of compressed frames"):
        async with RawSocket.open(worker.url) as client:
            assert b"permessage-deflate" not in client.response
            await client.send(websocket_frame(TEXT, bomb[:-4], is_compressed=True) * (MEGABYTES // len(bomb)))
            assert (await client.closed())[0] == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CONTINUATION], ids=["texts", "bytes", "pings", "fragments"])
async def test_a_flood_of_small_frames_is_refused(worker: Worker, opcode: int) -> None:
    first = websocket_frame(TEXT, b"{", is_last=False) if opcode == CONTINUATION else b""
    flood = websocket_frame(opcode, is_last=opcode != CONTINUATION) * 400_000

    async def attack() -> tuple[int, str]:
        async with RawSocket.open(worker.url) as client:
            await client.send(first + flood)
            return await client.closed()

    with Growth(worker, f"{len(flood) / MEGABYTES:.1f} MB of small frames, ten times"):
        closed = await asyncio.gather(*(attack() for _ in range(10)))
    assert set(closed) == {(1008, "too many frames; please send fewer")}


async def test_messages_that_never_end_are_limited(worker: Worker) -> None:
    part = b"a" * 65_000
    begin = websocket_frame(TEXT, part, is_last=False)
    further = websocket_frame(CONTINUATION, part, is_last=False)
    with Growth(worker, "60 messages of 0.9 MB that never end"):
        clients = [await RawSocket(worker.url).connect() for _ in range(60)]
        for client in clients:
            await client.send(begin + further * 13)
        closed, _ = await asyncio.wait(
            [asyncio.create_task(client.closed()) for client in clients],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=20,
        )
        assert {task.result()[0] for task in closed} == {1013}
        await assert_answers(worker)
    for client in clients:
        client.close()
    with Growth(worker, "messages of 2 MB"):
        async with RawSocket.open(worker.url) as client:
            await client.send(begin + further * 32)
            assert (await client.closed())[0] == 1009


async def test_sockets_that_never_read_do_not_pile_up(worker: Worker) -> None:
    question = json.dumps({"message": "x" * 390_000}).encode()
    with Growth(worker, "20 sockets that never read their answers"):
        clients = [await RawSocket(worker.url).connect() for _ in range(20)]
        for _ in range(10):
            for client in clients:
                await client.send(websocket_frame(TEXT, b'{"type": "%b"}' % (b"y" * 20_000)))
        await clients[0].send(websocket_frame(TEXT, question))
        await assert_answers(worker)
    for client in clients:
        client.close()


async def test_pages_of_large_messages_that_nobody_reads(worker: Worker) -> None:
    async with worker.tab() as tab:
        thread_id = (await tab.create("Hello")).thread_id
        await fill(worker, thread_id, 40)
        body = json.dumps({"type": "threads.get_by_id", "params": {"thread_id": thread_id}}).encode()
        cookie = "; ".join(f"{morsel.key}={morsel.value}" for morsel in tab.cookies)
        for count in (8, 40):
            with (
                Growth(worker, f"{count} clients that do not read a page of 40 messages of 1.9 MB"),
                ExitStack() as stack,
            ):
                for _ in range(count):
                    await ask(worker, stack.enter_context(socket.socket()), body, cookie)
                await asyncio.sleep(1)
                await assert_answers(worker)
        with Growth(worker, "a client that reads all of them"):
            items = await all_items(tab, thread_id)
        assert len(items) == 42


async def all_items(tab: Tab, thread_id: str) -> list[str]:
    """Load a thread as the widget does."""
    page = (await tab.post("threads.get_by_id", {"thread_id": thread_id})).body["items"]
    items: list[str] = []
    while True:
        items += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            return items
        page = await tab.items(thread_id, limit=9999, after=items[-1])


async def fill(worker: Worker, thread_id: str, count: int) -> None:
    engine = open_engine(f"sqlite:///{worker.log.parent / 'chatkit.db'}")
    store: SqlStore[RequestContext] = SqlStore(engine)
    async with engine.connect() as connection:
        row = (await connection.exec_driver_sql(f"SELECT user_id FROM threads WHERE id = '{thread_id}'")).one()
    for _ in range(count):
        message = UserMessageItem(
            id=new_id("msg"),
            thread_id=thread_id,
            created_at=datetime.now(UTC),
            content=[UserMessageTextContent(text="x" * 1_900_000)],
            attachments=[],
            inference_options=InferenceOptions(),
        )
        await store.add_thread_item(thread_id, message, RequestContext(user_id=row[0]))
    await engine.dispose()


async def ask(worker: Worker, client: socket.socket, body: bytes, cookie: str) -> None:
    """Send a request, without reading its response."""
    host, port = worker.url.removeprefix("http://").split(":")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
    head = (
        f"POST /chatkit HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    await asyncio.get_running_loop().sock_sendall(client, head.encode() + body)


async def assert_answers(worker: Worker) -> None:
    """Check that another user is answered."""
    async with worker.tab() as tab:
        reply = await asyncio.wait_for(tab.create("Hello"), 20)
    assert "error" not in reply.types
