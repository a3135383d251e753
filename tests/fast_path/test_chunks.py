"""A chunked body, cut anywhere, has the content that was put into it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit_server.fast_path.chunks import Chunks, chunk
from tests.fast_path.replay import cut

END = b"0\r\nTrailer: x\r\n\r\n"


@given(contents=st.lists(st.binary(min_size=1, max_size=40)), places=st.lists(st.integers(0, 400)))
def test_content_is_what_is_in_the_chunks(contents: list[bytes], places: list[int]) -> None:
    wire = b"".join(map(chunk, contents)) + END
    chunks, content = Chunks(), b""
    pieces = cut(wire, places)
    for number, piece in enumerate(pieces, 1):
        content += chunks.take(piece)
        if chunks.end is not None:
            assert chunks.end + b"".join(pieces[number:]) == END
            break
    assert chunks.end is not None
    assert content == b"".join(contents)


@pytest.mark.parametrize(
    ("wire", "content", "end"),
    [
        (b"3;a=b\r\nabc\r\n", b"", b"3;a=b\r\nabc\r\n"),
        (b"3\r\nabc\r\n3;a\r\nabc", b"abc", b"3;a\r\nabc"),
        (b"3\r\nabcXY", b"abc", b"XY"),
        (b"-3\r\nabc\r\n", b"", b"-3\r\nabc\r\n"),
        (b"0x3\r\nabc\r\n", b"", b"0x3\r\nabc\r\n"),
        (b"3\nabc\n12345", b"", b"3\nabc\n12345"),
        (b"123456789\r\n", b"", b"123456789\r\n"),
        (b"\r\n", b"", b"\r\n"),
    ],
)
def test_what_is_not_plain_ends_the_content(wire: bytes, content: bytes, end: bytes) -> None:
    chunks = Chunks()
    assert chunks.take(wire) == content
    assert chunks.end == end
