"""Server-sent events of the OpenAI client, decoded event by event instead of line by line.

openai 3.54 splits every chunk by a regular expression, decodes each line by itself and parses with the json module.
What it makes of a stream is kept, in tests/models/test_fast_sse.py: anything but the plain form that providers send
(`data: …`, or `event: …` and `data: …`, with `\\n` line ends) goes through the stock decoder.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

from openai._streaming import ServerSentEvent, SSEDecoder
from pydantic_core import from_json

END = b"\n\n"


class FastEvent(ServerSentEvent):
    """An event whose JSON is parsed by pydantic's parser."""

    def json(self) -> Any:
        """The data. Raises `ValueError` where it is not JSON."""
        try:
            return from_json(self.data)
        except ValueError:  # stricter than the json module: half of a surrogate pair, for one
            return json.loads(self.data)


class FastDecoder(SSEDecoder):
    """As openai's `SSEDecoder`, for asynchronous streams."""

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        """Every event of the stream; one that its end cuts off is left out, as stock does."""
        chunks: list[bytes] = []  # of an event that is not whole yet
        async for chunk in iterator:
            if b"\r" in chunk:
                async for stock in super().aiter_bytes(_after(b"".join([*chunks, chunk]), iterator)):
                    yield stock
                return
            chunks.append(chunk)
            if END in chunk or (chunk[:1] == b"\n" and len(chunks) > 1):
                *blocks, rest = b"".join(chunks).split(END)
                chunks = [rest] if rest else []
                for block in blocks:
                    if (event := self._decoded(block)) is not None:
                        yield event

    def _decoded(self, block: bytes) -> ServerSentEvent | None:
        name, data = b"", block
        if block.startswith(b"event: "):
            name, _, data = block[7:].partition(b"\n")
        if data.startswith(b"data: ") and b"\n" not in data:
            return FastEvent(event=name.decode() or None, data=data[6:].decode(), id=self._last_event_id)
        for line in block.split(b"\n"):
            if line:  # an empty one ends an event; here it only follows the end of the one before
                self.decode(line.decode())
        return self.decode("")


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
