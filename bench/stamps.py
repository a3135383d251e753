"""Tokens that say when they were sent, so that whoever reads them, in whatever process, knows how long each took.

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
    """So many tokens, each made when it is first asked for, that is when it is sent."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._made: list[str] = []

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
            if number == len(self._made):
                self._made.append(f"<{time.monotonic_ns() // 1000:012d}> ")
            yield self._made[number]


Pieces = list[tuple[int, bytes]]
"""What came, and when: µs of the same clock."""


def arrivals(pieces: Pieces, tokens: int) -> list[tuple[int, int]]:
    """When each token was sent and when it came, from the raw bytes of a stream.

    Raises `ValueError` unless the deltas carry all tokens, and the finished item, which follows them, the same.
    """
    ends = list(accumulate(len(data) for _, data in pieces))
    found = list(STAMP.finditer(b"".join(data for _, data in pieces)))
    sent = [int(match[1]) for match in found]
    streamed, repeated = sent[:tokens], sent[tokens:]
    if len(streamed) < tokens or streamed != sorted(streamed) or repeated[-tokens:] != streamed:
        raise ValueError(f"{len(set(sent))} of {tokens} tokens came, {len(repeated)} of them again")
    came = [pieces[bisect_left(ends, match.end())][0] for match in found[:tokens]]
    return list(zip(streamed, came, strict=True))
