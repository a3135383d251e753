"""Clients that cost little: they keep what comes and when, and look at it when all is over.

`python -m bench.listeners` runs many turns at once, or one turn with many readers, as the JSON on its command line
says; the result is JSON on its output.
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
"""Seconds behind its planned end after which a turn counts as lost."""


class Listener(asyncio.Protocol):
    """One request and all of its answer."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.pieces: Pieces = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begun: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """Has the answer's head."""

    @classmethod
    async def ask(cls, url: str, method: str, path: str, body: Any = None, cookie: str = "") -> Self:
        """Sends the request; the answer comes by itself."""
        address = urlsplit(url)
        data = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", f"host: {address.netloc}", "accept: text/event-stream"]
        head += [f"content-type: application/json\r\ncontent-length: {len(data)}"] if data else []
        head += [f"cookie: {cookie}"] if cookie else []
        request = "\r\n".join([*head, "", ""]).encode() + data
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: cls(request), address.hostname or "", address.port or 80)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.pieces.append((time.monotonic_ns() // 1000, data))
        if not self.begun.done():
            self.begun.set_result(data)
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


async def ask_turn(url: str, **wishes: float) -> Listener:
    """A new thread, answered as the endpoint is told."""
    text = " ".join(f"{name}={value:g}" for name, value in wishes.items())
    body = {"type": "threads.create", "params": {"input": user_input(text)}}
    return await Listener.ask(url, "POST", urlsplit(url).path, body)


async def crowd(
    url: str, streams: int, rate: float, starts: float, ramp: float, steady: float, first: int, step: int
) -> dict[str, Any]:
    """Turns number `first`, `first + step` and so on, of `streams` that begin over `ramp` seconds from the moment
    `starts` of the monotonic clock, and all end `steady` seconds later.

    Returns the delay in µs of every token that was sent between the last start and that end, how many turns did not
    come to an end in time, and this process's CPU seconds meanwhile.
    """
    begin, end = (starts + ramp) * 1e6, (starts + ramp + steady) * 1e6

    async def one(number: int) -> tuple[Listener, int]:
        offset = ramp * number / streams
        await asyncio.sleep(starts + offset - time.monotonic())
        tokens = int(rate * (ramp - offset + steady))
        return await ask_turn(url, tokens=tokens, rate=rate), tokens

    started = [asyncio.create_task(one(number)) for number in range(first, streams, step)]
    await asyncio.sleep(starts + ramp - time.monotonic())
    before = time.process_time()
    await asyncio.sleep(starts + ramp + steady - time.monotonic())
    cpu = time.process_time() - before
    turns = await asyncio.gather(*started)
    await asyncio.wait([turn.ended for turn, _ in turns], timeout=PATIENCE)
    lost = [turn for turn, _ in turns if not turn.ended.done()]
    delays = [
        came - sent
        for turn, tokens in turns
        if turn not in lost
        for sent, came in arrivals(turn.pieces, tokens)
        if begin < sent < end
    ]
    return {"delays": delays, "lost": len(lost), "cpu": cpu}


async def read(url: str, readers: int, tokens: int, rate: float, wait: float) -> dict[str, Any]:
    """One turn with so many readers, who come while the model is silent behind its first token.

    Says "attached" when all are there. Returns how many frames all of them got, and in how many seconds.
    """
    turn = await ask_turn(url, tokens=tokens, rate=rate, wait=wait)
    head = await turn.begun
    turn_id, cookie = _header(head, "x-chatkit-turn-id"), _header(head, "set-cookie").split(";")[0]
    attached = [
        await Listener.ask(url, "GET", f"/api/turns/{turn_id}/events", cookie=cookie) for _ in range(readers - 1)
    ]
    for reader in attached:
        await reader.begun
    sys.stdout.write("attached\n")
    sys.stdout.flush()
    everybody = [turn, *attached]
    before = [len(reader.pieces) for reader in everybody]
    await asyncio.wait([reader.ended for reader in everybody], timeout=tokens / rate + wait + PATIENCE)
    frames, last = 0, 0
    for reader, start in zip(everybody, before, strict=True):
        if len(set(STAMP.findall(reader.data))) != tokens:
            raise ValueError("a reader has not got all of the answer")
        frames += sum(data.count(b"\ndata: ") for _, data in reader.pieces[start:])
        last = max(last, reader.pieces[-1][0])
    second = sorted({int(stamp) for stamp in STAMP.findall(turn.data)})[1]  # the first one behind the silence
    return {"frames": frames, "seconds": (last - second) / 1e6}


def _header(head: bytes, name: str) -> str:
    found = re.search(rb"(?im)^" + name.encode() + rb": *([^\r\n]+)", head)
    if found is None:
        raise ValueError(f"the answer has no {name}: {head[:200]!r}")
    return found[1].decode()


def main() -> None:
    options = json.loads(sys.argv[1])
    work = read if "readers" in options else crowd
    sys.stdout.write(json.dumps(uvloop.run(work(**options))) + "\n")


if __name__ == "__main__":
    main()
