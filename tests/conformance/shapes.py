"""How endpoints of Chat Completions shape a streamed answer."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A tool call."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Say:
    """An answer of a model, the same for all endpoints."""

    text: str = ""
    thoughts: str = ""
    calls: Sequence[Call] = ()
    hangs: bool = False
    """Whether the answer stops in the middle until the client disconnects."""
    fails: bool = False
    is_cut: bool = False
    """Whether the stream ends in the middle, without a word."""


def pieces(text: str) -> Sequence[str]:
    """Split a text into what an endpoint sends per chunk."""
    return [text[start : start + 7] for start in range(0, len(text), 7)]


def data(value: Any) -> bytes:
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()


def reasoning_content(piece: str) -> Json:
    return {"reasoning_content": piece, "content": None}


def reasoning(piece: str) -> Json:
    return {"reasoning": piece, "content": ""}


def thinking_parts(piece: str) -> Json:
    return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]}


def thinking_blocks(piece: str) -> Json:
    block = {"type": "thinking", "thinking": piece, "signature": ""}
    return {"reasoning_content": piece, "thinking_blocks": [block], "content": ""}


def reasoning_details(piece: str) -> Json:
    details = [{"type": "reasoning.text", "text": piece, "index": 0, "format": "google-gemini-v1"}]
    return {"role": "assistant", "content": "", "reasoning": piece, "reasoning_details": details}


def call_ids(form: str) -> Callable[[int, str], str]:
    """Return a function from a call's number in the process and its tool's name to its id."""
    return lambda number, name: form.format(number=number, name=name)


@dataclass(frozen=True)
class Shape:
    """The stream of one endpoint."""

    think: Callable[[str], Json] | None = None
    """The delta of a piece of thoughts; None if the endpoint never shows any."""
    after_thoughts: Json | None = None
    """A delta between thoughts and calls, for example with a signature."""
    call_id: Callable[[int, str], str | None] = call_ids("call_{number:024d}")
    whole_calls: bool = False
    """Whether a call arrives in one chunk."""
    index: Callable[[int], int | None] = lambda number: number
    """The index that the call of this number gets; None leaves it out."""
    call_fields: Callable[[int], Json] = lambda number: {}
    finish_of_calls: str = "tool_calls"
    head: Json = field(default_factory=dict)
    """More fields of each chunk."""
    before: Sequence[bytes] = ()
    role: Json = field(default_factory=lambda: {"role": "assistant", "content": ""})
    """The first delta."""
    each: Json = field(default_factory=dict)
    """More fields of each delta."""
    choice: Json = field(default_factory=dict)
    """More fields of each choice."""
    last: Json = field(default_factory=dict)
    """More fields of the last chunk."""
    usage_in_last: bool = True
    """Whether the last chunk has the usage; else a chunk without choices follows."""

    def stream(self, say: Say, first_number: int) -> Iterator[bytes]:
        """Yield the stream in pieces; an answer that hangs or is cut ends after its first words."""
        yield from self.before
        yield self._chunk(self.role)
        if self.think is not None:
            for piece in pieces(say.thoughts):
                yield self._chunk(self.think(piece))
            if say.thoughts and self.after_thoughts:
                yield self._chunk(self.after_thoughts)
        for piece in pieces(say.text)[: 2 if say.hangs or say.is_cut else None]:
            yield self._chunk({"content": piece})
        if say.hangs or say.is_cut:
            return
        for position, call in enumerate(say.calls):
            yield from self._call(position, call, first_number + position)
        finish = self.finish_of_calls if say.calls else "stop"
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        yield self._chunk({}, finish, **self.last, **({"usage": usage} if self.usage_in_last else {}))
        if not self.usage_in_last:
            yield data({**self._head(), "choices": [], "usage": usage})
        yield data("[DONE]")

    def _call(self, position: int, call: Call, number: int) -> Iterator[bytes]:
        index = self.index(position)
        where = {} if index is None else {"index": index}
        start = {**where, "id": self.call_id(number, call.name), "type": "function", **self.call_fields(position)}
        arguments = pieces(call.arguments)
        first = call.arguments if self.whole_calls else ""
        yield self._chunk({"tool_calls": [{**start, "function": {"name": call.name, "arguments": first}}]})
        for piece in () if self.whole_calls else arguments:
            yield self._chunk({"tool_calls": [{**where, "function": {"arguments": piece}}]})

    def _head(self) -> Json:
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", **self.head}

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": {**self.each, **delta}, "finish_reason": finish, **self.choice}
        return data({**self._head(), "choices": [choice], **more})
