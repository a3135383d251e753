"""The body of a provider's streamed response, which splits it into text that is heard at once and all other events.

`feed` gets the bytes of the socket. A text delta that fits the template of an earlier one goes straight to the tap of
the run (the hot path); everything else goes to the HTTP library, and through the openai client and the Agents SDK to
the same tap (the slow path). Both give the same events in the same order:

- An event is hot only while the slow path is empty: its reader has taken all bytes and waits for more, and they ended
  with an event. Until then, text waits here.
- A template is not guessed. A text delta goes the slow way, and the next one waits; if the last that the tap hears is
  its text, what looks the same means the same. Any event that is not hot ends the template.
- The Agents SDK joins the deltas of Chat Completions. Before the next event on its way, it gets one delta with all text
  that it has missed, which the tap drops.

One call handles at most `EVENTS_PER_CALL` hot events and leaves the others to the next iteration of the event loop.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from .chunks import Chunks, chunk
from .plain_text import EVENT_END, MAY_BE_TEXT, TextTemplate
from .tap import Tap

EVENTS_PER_CALL = 64
MAX_HELD = 64 * 1024
"""Bytes that may wait here before the socket is not read any more. A longer event goes the slow way in parts."""
MAX_TRIES = 8
"""Text deltas that become templates in vain, before all further ones go the slow way."""


@dataclass
class EventCounts:
    """How many events of all streams went which way, and how many calls delivered the hot ones."""

    hot: int = 0
    hot_calls: int = 0
    slow: int = 0


class Connection(Protocol):
    """Where the bytes come from, and where those of the slow path go."""

    def receive(self, data: bytes) -> None:
        """Give bytes to the HTTP library, as if they came from the socket."""

    def hold(self) -> None:
        """Stop reading the socket."""

    def release(self) -> None:
        """Read the socket again."""

    def end_body(self) -> None:
        """Forget the body, and read the socket: all further bytes belong to the HTTP library."""


class FastBody:
    """The body of one response."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_data",
        "_events_per_call",
        "_is_held",
        "_is_holding",
        "_is_odd",
        "_is_over",
        "_is_scheduled",
        "_is_waiting",
        "_last_bytes",
        "_loop",
        "_mark",
        "_missed",
        "_passed",
        "_sample",
        "_start",
        "_taken",
        "_tap",
        "_template",
        "_tries",
    )

    total = EventCounts()
    """Of this process."""

    def __init__(self, connection: Connection, tap: Tap, max_tokens: int) -> None:
        """`max_tokens` is how many tokens one call of the tap may get at most."""
        self._connection = connection
        self._tap = tap
        self._chunks = Chunks()
        self._events_per_call = max(1, min(EVENTS_PER_CALL, max_tokens))
        self._loop = asyncio.get_running_loop()
        self._data = b""
        self._start = 0
        """Where the events begin in `_data` that are still to be handled."""
        self._passed = 0
        self._taken = 0
        self._last_bytes = EVENT_END
        self._is_waiting = False
        """The reader of the slow path waits for bytes."""
        self._is_holding = False
        """Text waits until the slow path is empty."""
        self._is_held = False
        """The socket is not read."""
        self._is_scheduled = False
        self._is_over = False
        self._is_odd = False
        """The stream is one that only the slow path understands."""
        self._sample: bytes | None = None
        """A text delta that is on its way through the slow path."""
        self._mark = 0
        self._tries = 0
        self._template: TextTemplate | None = None
        self._missed: list[str] = []
        """The text that the slow path has missed."""

    # -- the socket's side

    def feed(self, data: bytes) -> None:
        """Take bytes from the socket."""
        content = self._chunks.take(data)
        if self._template is not None and not self._data and self._hear_event(self._template, content):
            return
        if self._data:
            self._data = self._data[self._start :] + content
            self._start = 0
        else:
            self._data = content
        if b"\r" in content:
            self._is_odd = True
        if not self._is_scheduled:
            self._advance()

    def flush(self) -> None:
        """Pass everything on to the slow path: the body or the connection ends."""
        self._is_holding = False
        self._is_over = True
        end = self._chunks.end
        self._pass(self._data[self._start :])
        self._data, self._start = b"", 0
        self._connection.end_body()
        if end is not None:
            self._connection.receive(end)

    @property
    def is_holding(self) -> bool:
        """Whether complete events wait here, so the provider is not silent."""
        return self._is_holding or self._is_scheduled

    # -- the slow path's side

    def note_waiting(self) -> None:
        """Note that the reader of the slow path has handled all that it took, and asks for more."""
        self._is_waiting = True
        if self._is_holding and self._taken == self._passed:
            self._schedule()  # not at once: what the run has heard so far is shown first

    def note_taken(self, size: int) -> None:
        """Note that the reader of the slow path has taken so many bytes."""
        self._is_waiting = False
        self._taken += size

    def close(self) -> None:
        """Drop what is left: nobody reads it any more."""
        if self._is_over:
            return
        self._template, self._missed = None, []
        if self._chunks.end is not None:
            self.flush()  # the connection can be used again
        self._data, self._start = b"", 0
        self._is_holding = False

    # -- between them

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._continue)

    def _continue(self) -> None:
        self._is_scheduled = False
        if not self._is_over:
            self._advance()

    def _advance(self) -> None:
        self._is_holding = False
        if self._is_odd or self._tap.is_closed:
            self._pass(self._data[self._start :])
            self._start = len(self._data)
        elif not self._hear():
            self._pass_events()
        remaining = len(self._data) - self._start
        if not remaining:
            self._data, self._start = b"", 0
        if self._is_holding or self._is_scheduled:
            if remaining > MAX_HELD and not self._is_held:
                self._is_held = True
                self._connection.hold()
            return
        if self._chunks.end is not None:
            self.flush()
        elif remaining > MAX_HELD:  # a long event
            self._pass(self._data[self._start :])
            self._data, self._start = b"", 0
        if self._is_held:
            self._is_held = False
            self._connection.release()

    def _is_slow_path_empty(self) -> bool:
        return self._is_waiting and self._taken == self._passed and self._last_bytes == EVENT_END

    def _hear(self) -> bool:
        """Give the next hot events to the tap; return whether the rest waits for the next iteration of the loop."""
        if (self._template is None and self._sample is None) or not self._is_slow_path_empty():
            return False
        if self._sample is not None:
            self._learn(self._sample)
            self._sample = None
        template = self._template
        if template is None:
            return False
        texts: list[str] = []
        data, position, size = self._data, self._start, len(self._data)
        while position < size and len(texts) < self._events_per_call:
            event = template.read(data, position)
            if event is None:
                break
            text, position = event
            texts.append(text)
        if not texts:
            return False
        self._start = position
        self._tries = 0
        self.total.hot += len(texts)
        self.total.hot_calls += 1
        merged = texts[0] if len(texts) == 1 else "".join(texts)
        if template.is_chat:
            self._missed.append(merged)
        self._tap.hear_text(merged, len(texts))
        if len(texts) < self._events_per_call or position == size:
            return False
        self._schedule()
        return True

    def _hear_event(self, template: TextTemplate, content: bytes) -> bool:
        """Give the tap the only event of a read, as `_hear` does; return False if there is anything else to do.

        This is the hot path of paced answers. There is a template only while the slow path is empty: `_pass` drops it.
        """
        tap = self._tap
        if tap.is_closed or self._chunks.end is not None:
            return False
        event = template.read(content, 0)
        if event is None or event[1] != len(content):
            return False
        text = event[0]
        self._tries = 0
        total = self.total
        total.hot += 1
        total.hot_calls += 1
        if template.is_chat:
            self._missed.append(text)
        tap.hear_text(text, 1)
        return True

    def _learn(self, sample: bytes) -> None:
        template = TextTemplate.of(sample)
        if template is not None and self._tap.has_just_heard(template.text, since=self._mark):
            self._template = template

    def _pass_events(self) -> None:
        """Pass on the complete events before the next text delta, and this delta unless one is in the slow path."""
        data, start = self._data, self._start
        position = start
        if self._last_bytes != EVENT_END:  # within an event
            end = (self._last_bytes[-1:] + data[start:]).find(EVENT_END)
            position = len(data) if end < 0 else start + end + 1
        while (end := data.find(EVENT_END, position)) >= 0:
            end += len(EVENT_END)
            if MAY_BE_TEXT.search(data, position, end):
                if self._sample is None:
                    self._sample, self._mark = data[position:end], self._tap.heard
                    self._tries += 1
                    self._is_odd = self._tries > MAX_TRIES
                    position = end
                self._is_holding = data.find(EVENT_END, position) >= 0
                break
            position = end
        if position > start:
            self._start = position
            self._pass(data[start:position])

    def _pass(self, content: bytes) -> None:
        """Pass bytes on to the slow path, after the text that it has missed."""
        if self._missed and self._template is not None:
            text = "".join(self._missed)
            self._missed = []
            self._tap.expect_again(text)
            content = self._template.with_text(text) + content
        self._template = None
        if content:
            self._note_passed(content)
            self._connection.receive(chunk(content))

    def _note_passed(self, content: bytes) -> None:
        self.total.slow += content.count(EVENT_END)
        self._passed += len(content)
        self._last_bytes = (self._last_bytes + content)[-2:]
