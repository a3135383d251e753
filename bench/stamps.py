"""Tokens that contain the time they were sent, so that any process can tell how long each took.

A stamp is the machine's monotonic clock in µs, which all of its processes share.
"""

import re
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import overload

STAMP = re.compile(rb"<(\d{12})>")


class Stamps(Sequence[str]):
    """A sequence of `count` tokens, each stamped when first accessed, that is when it is sent."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._tokens: list[str] = []

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
                self._tokens.append(f"<{time.monotonic_ns() // 1000:012d}> ")
            yield self._tokens[number]


Pieces = list[tuple[int, bytes]]
"""Received data with its time of arrival in µs of the same clock."""


def arrivals(pieces: Pieces, tokens: int) -> list[tuple[int, int]]:
    """Return for each token when it was sent and when it arrived, in µs, from the raw bytes of a stream.

    Raises `ValueError` unless both the deltas and the finished item after them contain all tokens.
    """
    ends = list(accumulate(len(data) for _, data in pieces))
    matches = list(STAMP.finditer(b"".join(data for _, data in pieces)))
    sent = [int(match[1]) for match in matches]
    streamed, repeated = sent[:tokens], sent[tokens:]
    if len(streamed) < tokens or streamed != sorted(streamed) or repeated[-tokens:] != streamed:
        raise ValueError(f"got {len(set(sent))} of {tokens} tokens, {len(repeated)} of them in the item")
    arrived = [pieces[bisect_left(ends, match.end())][0] for match in matches[:tokens]]
    return list(zip(streamed, arrived, strict=True))
