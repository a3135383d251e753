"""An endpoint that plays recorded streams in any cut, and two apps that should answer the same: fast and slow."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from agents import Agent

from chatkit_server.fast_path.fast_body import EventCounts, FastBody
from tests.serving import Served, Tab, serve
from tests.support.chatkit import Json

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
ID = re.compile(r"\b(?:[a-z]{2,7}_)+[0-9a-zA-Z]{16,}\b|(?<=\(request )[0-9a-f]+")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:\d\d)?")
DELTA = "assistant_message.content_part.text_delta"
VARYING_TURN_FIELDS = frozenset({
    "id", "thread_id", "user_id", "worker_id", "fingerprint", "created_at", "started_at", "ended_at", "request_id",
    "frame_id", "request_key", "tokens_per_second",
    "first_token_ms", "duration_ms", "readers", "idempotency_key",
})  # fmt: skip


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def events_of(stream: bytes) -> list[bytes]:
    """Split a stream into its events."""
    return re.findall(rb".+?\n\n|.+\Z", stream, re.DOTALL)


def as_response(chunks: Iterable[bytes], *, end: bytes = END, head: bytes = HEAD) -> list[bytes]:
    """Return a response as what is written at once: its head, then each chunk."""
    return [head, *(chunk(content) for content in chunks if content), *([end] if end else [])]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut bytes at these places."""
    places = sorted({place for place in places if 0 < place < len(data)})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


class ReplayEndpoint:
    """Answers the next requests with `plays`, write by write; the last one is repeated."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.plays: list[Sequence[bytes]] = []
        self.closes = False
        """Whether the connection closes behind each answer, as after a crash."""
        self.connections = 0
        self.closed = asyncio.Event()
        """Set when a client has closed its connection."""
        self.pause = asyncio.Event()
        """An empty write waits for it."""

    @property
    def base_url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.pause.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = re.search(r"content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
                for data in play:
                    await self._write(writer, data)
                if self.closes:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.closed.set()
        finally:
            writer.close()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not data:
            await self.pause.wait()
            return
        writer.write(data)
        await writer.drain()
        for _ in range(2):  # so that it is read before the next write
            await asyncio.sleep(0)


@dataclass
class Outcome:
    """What an answer left behind, comparable with that of another app."""

    events: list[Json]
    items: list[Json]
    turn: Json
    deltas: int = field(compare=False)
    """How many frames brought text."""


@dataclass
class Apps:
    """Two apps with one endpoint."""

    endpoint: ReplayEndpoint
    fast: Served
    slow: Served
    api: str = ""

    async def outcomes(self, *plays: Sequence[bytes]) -> tuple[Outcome, Outcome, EventCounts]:
        """Return what the fast and the slow app make of these answers, and what the fast one counted."""
        self.endpoint.plays = list(plays)
        before = (FastBody.total.hot, FastBody.total.hot_calls, FastBody.total.slow)
        fast = await outcome(self.fast)
        total = FastBody.total
        counts = EventCounts(total.hot - before[0], total.hot_calls - before[1], total.slow - before[2])
        self.endpoint.plays = list(plays)
        return fast, await outcome(self.slow), counts


async def outcome(served: Served) -> Outcome:
    """Return what a message leads to."""
    async with served.tab() as tab:
        reply = await tab.create("Hello")
        return await outcome_of(served, tab, reply.thread_id, reply.events)


async def outcome_of(served: Served, tab: Tab, thread_id: str, events: Sequence[Json]) -> Outcome:
    """Return what a read answer left behind."""
    (turn,) = await served.rows("SELECT * FROM turns WHERE thread_id = :id", id=thread_id)
    items = await served.rows("SELECT * FROM thread_items WHERE thread_id = :id ORDER BY position", id=thread_id)
    turn = {name: value for name, value in turn.items() if name not in VARYING_TURN_FIELDS}
    reloaded = (await tab.reload(thread_id)).items
    same = _without_ids([merged(events), [items, reloaded], turn])
    deltas = sum(event.get("update", {}).get("type") == DELTA for event in events)
    return Outcome(same[0], same[1], same[2], deltas)


def merged(events: Iterable[Json]) -> list[Json]:
    """Merge text deltas that follow each other in a content part."""
    result: list[Json] = []
    for event in events:
        update = event.get("update", {})
        if update.get("type") == DELTA and result and result[-1].get("item_id") == event["item_id"]:
            last = result[-1]["update"]
            if last.get("type") == DELTA and last["content_index"] == update["content_index"]:
                last["delta"] += update["delta"]
                continue
        result.append(json.loads(json.dumps(event)))
    return result


def _without_ids(value: Any) -> Any:
    """Number ids in the order of their first appearance, and blank times."""
    numbers: dict[str, str] = {}
    text = TIME.sub("TIME", json.dumps(value, default=str, ensure_ascii=False))
    return json.loads(ID.sub(lambda match: numbers.setdefault(match[0], f"id {len(numbers)}"), text))


@asynccontextmanager
async def two_apps(folder: Path, agent: Agent[Any], **settings: Any) -> AsyncIterator[Apps]:
    """Serve an agent with and without the fast path."""
    async with ReplayEndpoint() as endpoint:
        values: dict[str, Any] = {"model": "m", "base_url": endpoint.base_url, "model_retries": 0, "show_tools": True}
        values |= settings
        (folder / "fast").mkdir()
        (folder / "slow").mkdir()
        async with (
            serve(folder / "fast", agent, **values) as fast,
            serve(folder / "slow", agent, fast_path=False, **values) as slow,
        ):
            yield Apps(endpoint, fast, slow)
