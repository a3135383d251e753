"""Decode the openai client's server-sent events one event at a time instead of line by line.

openai 3.54 splits every chunk by a regular expression, decodes each line separately and parses with the json module.
We decode only the plain form that providers send (`data: …`, or `event: …` and `data: …`, with `\\n` line ends) and
pass everything else to the stock decoder. tests/models/test_fast_sse.py compares the results.

Builds on the private module `openai._streaming`: `ServerSentEvent`, and `SSEDecoder` with its `aiter_bytes`, `decode`,
`_decode_lines` and `_last_event_id`. If the module is gone, importing this one fails and `events.py` uses the stock
decoder. Unlike stock, bytes that are not UTF-8 become U+FFFD, and byte order marks are dropped.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from openai._streaming import ServerSentEvent, SSEDecoder
from pydantic_core import from_json

from .halves import Halves

END = b"\n\n"


class FastEvent(ServerSentEvent):
    """An event that parses its JSON with pydantic's parser, and cleans its text (see `chatkit_store.clean`)."""

    halves: Halves
    """Shared by all events of a stream."""

    def json(self) -> Any:
        """Return the parsed data. Raises `ValueError` if it is not JSON.

        Only keys repeat: pydantic's parser would keep up to 16,384 values of all streams, for longer than their turns.
        """
        if not self.halves and "\\u0000" not in self.data:
            try:
                return from_json(self.data, cache_strings="keys")
            except ValueError:  # stricter than the json module, for example on half of a surrogate pair
                pass
        return self.halves.join(json.loads(self.data))


class FastDecoder(SSEDecoder):
    """A drop-in for openai's `SSEDecoder`, for asynchronous streams."""

    def __init__(self) -> None:
        super().__init__()
        self._halves = Halves()

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        """Yield every complete event of the stream; like stock, drop an event cut off by the end."""
        chunks: list[bytes] = []  # of an event that is not complete yet
        async for chunk in iterator:
            if b"\r" in chunk:
                async for stock_event in super().aiter_bytes(_chain(b"".join([*chunks, chunk]), iterator)):
                    yield self._fast(stock_event)
                return
            chunks.append(chunk)
            if END in chunk or (chunk[:1] == b"\n" and len(chunks) > 1):
                *blocks, incomplete = b"".join(chunks).split(END)
                chunks = [incomplete] if incomplete else []
                blocks.reverse()
                while blocks:  # emptied: the first ones, with whole responses, would stay until the next bytes come
                    if (event := self._decode_block(blocks.pop())) is not None:
                        yield event
            del chunk

    def decode(self, line: str) -> ServerSentEvent | None:
        """Decode a line, without the byte order mark that some endpoints send."""
        return super().decode(line.lstrip("\ufeff"))

    def _decode_lines(self, lines: Iterator[bytes]) -> Iterator[ServerSentEvent]:
        """Decode lines as stock does, but do not fail on bytes that are not UTF-8."""
        events = (self.decode(line.decode(errors="replace")) for line in lines)
        return (event for event in events if event is not None)

    def _decode_block(self, block: bytes) -> ServerSentEvent | None:
        name, data = b"", block
        if block.startswith(b"event: "):
            name, _, data = block[7:].partition(b"\n")
        if data.startswith(b"data: ") and b"\n" not in data:
            event = FastEvent(
                event=name.decode() or None, data=data[6:].decode(errors="replace"), id=self._last_event_id
            )
            event.halves = self._halves
            return event
        for line in block.split(b"\n"):
            if line:  # an empty line ends an event; here it is a leftover from the previous one
                self.decode(line.decode(errors="replace"))
        stock_event = self.decode("")
        return None if stock_event is None else self._fast(stock_event)

    def _fast(self, stock_event: ServerSentEvent) -> FastEvent:
        event = FastEvent(event=stock_event.event, data=stock_event.data, id=stock_event.id, retry=stock_event.retry)
        event.halves = self._halves
        return event


async def _chain(first: bytes, following: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in following:
        yield chunk
