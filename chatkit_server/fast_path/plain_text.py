"""Recognize the events of plain text in a provider's stream, and read their text without parsing their JSON.

A stream's text deltas differ only in their text and in a few fields that nobody reads. So one event that was parsed is
the template of those that follow: the same bytes, with gaps. What does not fit is not plain.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, Self

from pydantic_core import from_json, to_json

EVENT_END = b"\n\n"
TEXT_DELTA = "response.output_text.delta"
MAY_BE_TEXT = re.compile(rb'"response\.output_text\.delta"|"content": ?"[^"]')
"""Matches in each event that may become a template, and in few others."""

BACKSLASH = ord("\\")
"""A number: `in` takes ten times as long for bytes."""

_PLAIN_EVENT = re.compile(rb"(?:event: [^\n]*\n)?data: (\{[^\n]*\})")
_STRING = re.compile(rb'"([^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+)"')
_INTEGER = re.compile(rb"0|[1-9][0-9]{0,17}")
_FREE_FIELDS = (
    (re.compile(rb'"sequence_number": ?'), _INTEGER),
    (re.compile(rb'"created": ?'), _INTEGER),
    (re.compile(rb'"obfuscation": ?'), _STRING),
)
"""Top-level fields that may differ: no code reads them."""
_TEXT_KEYS = {"delta": re.compile(rb'"delta": ?(?=")'), "content": re.compile(rb'"content": ?(?=")')}


class TextTemplate:
    """The bytes of a text delta's event, with gaps for its text and for the fields that may differ."""

    __slots__ = ("_gaps", "_head", "_head_length", "_sample", "_text_end", "_text_start", "is_chat", "text")

    def __init__(self, sample: bytes, text: str, place: tuple[int, int], gaps: list["_Place"], *, is_chat: bool):
        self.text = text
        """The text of the sample."""
        self.is_chat = is_chat
        """Whether this is a chunk of Chat Completions, whose text the reader of the stream collects."""
        self._sample = sample
        self._text_start, self._text_end = place
        ends = [*(gap.start for gap in gaps[1:]), len(sample)]
        self._head = sample[: gaps[0].start]
        self._head_length = len(self._head)
        self._gaps = tuple(
            _gap(gap.pattern, sample[gap.end : end], is_text=gap.start == self._text_start)
            for gap, end in zip(gaps, ends, strict=True)
        )

    @classmethod
    def of(cls, sample: bytes) -> Self | None:
        """Return the template of an event, with the empty line at its end; None if it is not plain text."""
        form = _PLAIN_EVENT.fullmatch(sample, 0, len(sample) - len(EVENT_END))
        if form is None:
            return None
        try:
            event = from_json(form[1], cache_strings="keys")
        except ValueError:
            return None
        holder, name = _text_holder(event)
        if holder is None:
            return None
        text = holder[name]
        holder[name] = text + "#"
        for match in _TEXT_KEYS[name].finditer(sample, form.start(1)):
            value = _STRING.match(sample, match.end())
            if value is None or not _is_changed(sample, form.start(1), value.span(), holder[name], event):
                continue
            gaps = [_Place(value.start(), value.end(), _STRING), *_free_places(sample, form.start(1))]
            gaps.sort()
            return cls(sample, text, value.span(), gaps, is_chat=name == "content")
        return None

    def read(self, data: bytes, position: int) -> tuple[str, int] | None:
        """Return the text of the event that begins there, and where the next one begins; None if it does not fit.

        Text with half of a surrogate pair, NUL or bytes that are not UTF-8 does not fit.
        """
        end = position + self._head_length
        if data[position:end] != self._head:  # a slice takes half as long as `startswith`
            return None
        raw = b""
        for match_at, following, length, is_text in self._gaps:
            match = match_at(data, end)
            if match is None:
                return None
            position = match.end()
            end = position + length
            if data[position:end] != following:
                return None
            if is_text:
                raw = match[1]
        try:
            if BACKSLASH not in raw:
                return raw.decode(), end
            text: str = from_json(b'"%b"' % raw, cache_strings="keys")
        except ValueError:
            return None
        return None if "\0" in text else (text, end)  # only an escape can be NUL

    def with_text(self, text: str) -> bytes:
        """Return the sample with another text."""
        return self._sample[: self._text_start] + to_json(text) + self._sample[self._text_end :]


_Gap = tuple[Callable[[bytes, int], re.Match[bytes] | None], bytes, int, bool]


@lru_cache(maxsize=256)
def _gap(pattern: re.Pattern[bytes], following: bytes, *, is_text: bool) -> _Gap:
    """Return what matches a gap, the bytes behind it, their length, and whether it is the text.

    Answers share equal ones: what is read for each token of each answer stays in the processor's cache.
    """
    return pattern.match, following, len(following), is_text


class _Place(NamedTuple):
    start: int
    end: int
    pattern: re.Pattern[bytes]


def _text_holder(event: Any) -> tuple[Any, str]:
    """Return the object with the text of a plain text delta, and the name of its field; None if it is not one."""
    match event:
        case {"type": "response.output_text.delta", "delta": str()} if not event.get("logprobs"):
            return event, "delta"
        case {
            "choices": [{"index": 0, "finish_reason": None, "delta": {"content": str() as content} as delta} as choice]
        } if content and not event.get("usage") and not event.get("error") and not choice.get("logprobs"):
            if all(name in ("content", "role") or value in (None, "", []) for name, value in delta.items()):
                return delta, "content"
    return None, ""


def _is_changed(sample: bytes, start: int, place: tuple[int, int], text: str, expected: Any) -> bool:
    """Return whether another text at this place makes just this difference."""
    changed = sample[start : place[0]] + to_json(text) + sample[place[1] : -len(EVENT_END)]
    try:
        return bool(from_json(changed, cache_strings="keys") == expected)
    except ValueError:
        return False


def _free_places(sample: bytes, start: int) -> list[_Place]:
    places = []
    for key, pattern in _FREE_FIELDS:
        # In JSON, a quoted name before a colon is never part of a text, where the quotes are escaped.
        ends = [match.end() for match in key.finditer(sample, start)]
        if len(ends) == 1 and (value := pattern.match(sample, ends[0])) is not None:
            places.append(_Place(value.start(), value.end(), pattern))
    return places
