"""Tokens that contain the time they were sent, so that any process can tell how long each took.

A stamp is the machine's monotonic clock in µs, which all of its processes share. The words after it have quotes, line
ends and other scripts, as answers have.
"""

import re
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import overload

from tests.support.openai_answers import WORDS

STAMP = re.compile(rb"<(\d{12})>")

Pieces = list[tuple[int, bytes]]
"""Received data with its time of arrival in µs of the same clock."""


def now() -> int:
    """Return the time in µs."""
    return time.monotonic_ns() // 1000


class Stamps(Sequence[str]):
    """A sequence of `count` tokens, each stamped when first accessed, that is when it is sent."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._tokens: list[str] = []
        self._last = 0

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return list(self)[index]

    def __iter__(self) -> Iterator[str]:
        for number in range(self._count):
            if number == len(self._tokens):
                self._last = max(now(), self._last + 1)  # tells two tokens of the same µs apart
                self._tokens.append(f"<{self._last:012d}>{WORDS[number % len(WORDS)]}")
            yield self._tokens[number]


def arrivals(pieces: Pieces, after: int = 0) -> list[tuple[int, int]]:
    """Return when each token that was sent later than `after` was sent, and when it first arrived, in µs."""
    ends = list(accumulate(len(data) for _, data in pieces))
    tokens = []
    for match in STAMP.finditer(b"".join(data for _, data in pieces)):
        if (sent := int(match[1])) > after:  # not a repetition, as in a finished item
            after = sent
            tokens.append((sent, pieces[bisect_left(ends, match.end())][0]))
    return tokens


def text_of(stamps: Sequence[int]) -> str:
    """Return the text of an answer whose tokens have these stamps."""
    return "".join(f"<{stamp:012d}>{WORDS[number % len(WORDS)]}" for number, stamp in enumerate(stamps))
