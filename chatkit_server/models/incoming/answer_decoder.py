"""Decode the response of a model's endpoint into the events that the openai client expects.

It stands between the decoder of server-sent events and the client's `AsyncStream`, which reads `data` and `json()` of
each event, stops at `[DONE]` and raises `openai.APIError` for an object with `error` (openai 3.54).
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import httpx2

from ...errors.failures import AnswerCut, NoAnswer, UnreadableAnswer
from .answer_state import AnswerState, answer_state
from .chat_chunks import ChatAnswer
from .responses_events import ResponsesAnswer
from .whole_answers import error_in, is_whole, whole_answer

Json = dict[str, Any]

MAX_WHOLE = 64 * 1024 * 1024
"""Bytes of a response that is not a stream."""


class SseEvent(Protocol):
    """A server-sent event."""

    @property
    def event(self) -> str | None:
        """Its name."""

    @property
    def data(self) -> str:
        """Its text."""

    def json(self) -> Any:
        """Return its parsed data. Raises `ValueError`."""


class SseDecoder(Protocol):
    """Decodes server-sent events."""

    def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Yield the events in these bytes."""


class ReadEvent:
    """An event with data that has been parsed."""

    __slots__ = ("_value",)
    event = None
    data = ""

    def __init__(self, value: Json) -> None:
        self._value = value

    def json(self) -> Json:
        """Return the data."""
        return self._value


class AnswerDecoder:
    """Decodes one response."""

    def __init__(self, decoder: SseDecoder) -> None:
        self.decoder = decoder
        self.state = answer_state.get() or AnswerState()
        self._answer: ChatAnswer | ResponsesAnswer | None = None
        self._is_at_end = False

    def continue_after(self, answer: ResponsesAnswer | None) -> None:
        """Decode only the rest of a response, behind what `answer` has read of it."""
        self._answer = answer

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Yield the events of the response.

        Raises `AnswerCut` if it ends in the middle of the answer, `NotAnEndpoint` for a response that no model sends,
        `NoAnswer` if it is empty, and what `ChatAnswer.read` raises.
        """
        with self._explained_errors():
            start = await _start_of(iterator)
            if self._answer is None and is_whole(start):
                for read in self._whole(await _all_of(start, iterator)):
                    yield ReadEvent(read)
                return
            following = self._bytes(start, iterator)
            del start  # with whole responses, it would stay as long as the answer lasts
            async for event in self.decoder.aiter_bytes(following):
                if event.data.startswith("[DONE]"):
                    self._close(is_done=True)
                    yield event
                elif (value := self._value(event)) is not None:
                    if self._answer is not None and self._answer.is_plain(value):
                        yield ReadEvent(value)
                        continue
                    for read in self._read(value):
                        yield ReadEvent(read)
            self._close(is_done=False)

    @contextmanager
    def _explained_errors(self) -> Iterator[None]:
        """Raise `AnswerCut` for a connection that breaks within the answer, and nothing if it breaks after its end."""
        try:
            yield
        except httpx2.TimeoutException:
            raise
        except httpx2.RequestError as error:
            if self._answer is None:
                raise
            if not self._answer.is_complete:
                raise AnswerCut from error

    def _whole(self, body: bytes) -> Iterator[Json]:
        for value in whole_answer(body):
            yield from self._read(value)

    def _value(self, event: SseEvent) -> Json | None:
        """Return the data of an event, or None if it has none for us. Raises `UnreadableAnswer`."""
        try:
            value = event.json()
        except ValueError:
            if self._is_at_end or not event.data.lstrip().startswith("{"):
                return None  # cut in the middle, which `_close` notices, or a ping
            raise UnreadableAnswer from None
        if type(value) is not dict:
            return None
        data: Json = value
        if event.event and "type" not in data and event.event.startswith("response."):
            data["type"] = event.event
        elif event.event == "error" and "choices" not in data:
            data = {"error": error_in(data) or {"message": "error"}}
        return data

    def _read(self, value: Json) -> Iterable[Json]:
        kind = value.get("type")
        if ("error" in value) if "choices" in value else not (isinstance(kind, str) and kind.startswith("response.")):
            if (error := error_in(value)) is not None:
                return ({"error": error},)  # the client raises it
        if self._answer is None:
            is_responses = "choices" not in value and isinstance(kind, str)
            self._answer = (ResponsesAnswer if is_responses else ChatAnswer)(self.state)
        return self._answer.read(value)

    def _close(self, *, is_done: bool) -> None:
        """Check at the end of the stream that it was the end of the answer."""
        if self._answer is None:
            raise NoAnswer("the endpoint's response is empty")
        if is_done:
            self._answer.end()
        if not self._answer.is_complete:
            raise AnswerCut

    async def _bytes(self, start: bytes, iterator: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the bytes of the stream, and an end for a last event that has none."""
        yield start
        del start
        async for chunk in iterator:
            yield chunk
        self._is_at_end = True
        yield b"\n\n"


async def _start_of(iterator: AsyncIterator[bytes]) -> bytes:
    """Return the first bytes up to one that is not space."""
    start = b""
    async for chunk in iterator:
        start += chunk
        if start.strip() not in (b"", b"\xef", b"\xef\xbb", b"\xef\xbb\xbf"):
            break
    return start


async def _all_of(start: bytes, iterator: AsyncIterator[bytes]) -> bytes:
    chunks, size = [start], len(start)
    async for chunk in iterator:
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_WHOLE:
            raise UnreadableAnswer
    return b"".join(chunks)
