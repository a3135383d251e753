"""Cheap clients: they record what arrives and when, and parse it after all answers have ended.

`python -m bench.listeners OPTIONS` runs many concurrent turns, or one turn with many readers. Both OPTIONS and the
output are JSON.
"""

import asyncio
import json
import re
import sys
import time
from typing import Any, Self, cast
from urllib.parse import urlsplit

import uvloop

from bench.stamps import STAMP, Pieces, arrivals
from tests.support.chatkit import user_input

PATIENCE = 15.0
"""Seconds after its planned end at which a turn counts as lost."""


class Listener(asyncio.Protocol):
    """One request and its whole response."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.pieces: Pieces = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """The response's head, once it has arrived."""

    @classmethod
    async def send(cls, url: str, method: str, path: str, body: Any = None, cookie: str = "") -> Self:
        """Send the request; the response arrives in the background."""
        address = urlsplit(url)
        data = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", f"host: {address.netloc}", "accept: text/event-stream"]
        head += [f"content-type: application/json\r\ncontent-length: {len(data)}"] if data else []
        head += [f"cookie: {cookie}"] if cookie else []
        request = "\r\n".join([*head, "", ""]).encode() + data
        loop = asyncio.get_running_loop()
        _, listener = await loop.create_connection(lambda: cls(request), address.hostname or "", address.port or 80)
        return listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.pieces.append((time.monotonic_ns() // 1000, data))
        if not self.head.done():
            self.head.set_result(data)
        if data.endswith(b"0\r\n\r\n"):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()
        if not self.ended.done():
            self.ended.set_result(None)

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.pieces)


async def create_thread(url: str, **options: float) -> Listener:
    """Create a thread; `options` tell the endpoint how to answer."""
    text = " ".join(f"{name}={value:g}" for name, value in options.items())
    body = {"type": "threads.create", "params": {"input": user_input(text)}}
    return await Listener.send(url, "POST", urlsplit(url).path, body)


async def crowd(
    url: str, streams: int, rate: float, start: float, ramp: float, steady: float, first: int, step: int
) -> dict[str, Any]:
    """Run the turns `first`, `first + step` and so on of `streams` turns.

    They begin within `ramp` seconds after the monotonic time `start`, and all end `steady` seconds later. Returns the
    delay in µs of every token sent while all turns stream, how many turns did not end in time, and the CPU seconds that
    this process used while all turns streamed.
    """
    begin, end = (start + ramp) * 1e6, (start + ramp + steady) * 1e6

    async def begin_turn(number: int) -> tuple[Listener, int]:
        offset = ramp * number / streams
        await asyncio.sleep(start + offset - time.monotonic())
        tokens = int(rate * (ramp - offset + steady))
        return await create_thread(url, tokens=tokens, rate=rate), tokens

    started = [asyncio.create_task(begin_turn(number)) for number in range(first, streams, step)]
    await asyncio.sleep(start + ramp - time.monotonic())
    before = time.process_time()
    await asyncio.sleep(start + ramp + steady - time.monotonic())
    cpu = time.process_time() - before
    turns = await asyncio.gather(*started)
    await asyncio.wait([turn.ended for turn, _ in turns], timeout=PATIENCE)
    lost = [turn for turn, _ in turns if not turn.ended.done()]
    delays = [
        arrived - sent
        for turn, tokens in turns
        if turn not in lost
        for sent, arrived in arrivals(turn.pieces, tokens)
        if begin < sent < end
    ]
    return {"delays": delays, "lost": len(lost), "cpu": cpu}


async def read(url: str, readers: int, tokens: int, rate: float, wait: float) -> dict[str, Any]:
    """Run one turn with `readers` readers, which attach while the model pauses after its first token.

    Prints "attached" when all have attached. Returns how many frames they received in total, and in how many seconds.
    """
    turn = await create_thread(url, tokens=tokens, rate=rate, wait=wait)
    head = await turn.head
    turn_id, cookie = _header(head, "x-chatkit-turn-id"), _header(head, "set-cookie").split(";")[0]
    attached = [
        await Listener.send(url, "GET", f"/api/turns/{turn_id}/events", cookie=cookie) for _ in range(readers - 1)
    ]
    for reader in attached:
        await reader.head
    sys.stdout.write("attached\n")
    sys.stdout.flush()
    all_readers = [turn, *attached]
    before = [len(reader.pieces) for reader in all_readers]
    await asyncio.wait([reader.ended for reader in all_readers], timeout=tokens / rate + wait + PATIENCE)
    frames, last = 0, 0
    for reader, start in zip(all_readers, before, strict=True):
        if len(set(STAMP.findall(reader.data))) != tokens:
            raise ValueError("a reader did not get the whole answer")
        frames += sum(data.count(b"\ndata: ") for _, data in reader.pieces[start:])
        last = max(last, reader.pieces[-1][0])
    second = sorted({int(stamp) for stamp in STAMP.findall(turn.data)})[1]  # the first token after the pause
    return {"frames": frames, "seconds": (last - second) / 1e6}


def _header(head: bytes, name: str) -> str:
    match = re.search(rb"(?im)^" + name.encode() + rb": *([^\r\n]+)", head)
    if match is None:
        raise ValueError(f"the response has no {name}: {head[:200]!r}")
    return match[1].decode()


def main() -> None:
    options = json.loads(sys.argv[1])
    command = read if "readers" in options else crowd
    sys.stdout.write(json.dumps(uvloop.run(command(**options))) + "\n")


if __name__ == "__main__":
    main()
